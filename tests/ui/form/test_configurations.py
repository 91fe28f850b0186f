"""Configurations of the workspace, through the page: saved, opened, renamed, deleted, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from streamlit.testing.v1 import AppTest

from lfdash.engine.services import Services
from lfdash.jobs.fields import BY_ID
from lfdash.jobs.importing import read_config
from lfdash.ui.form import configurations, widgets
from lfdash.ui.form.configurations import ANSWER, NAME, NEW_NAME, PICK
from lfdash.ui.shared.text import markdown_safe, t
from tests.support import FIXTURES
from tests.support import app as pages


def menus_page() -> None:
    """The two menus of the training form, and what is told about what was opened."""
    from lfdash.jobs.kinds import DEFAULT
    from lfdash.ui.form import sidebar
    from lfdash.ui.form.state import Form
    from lfdash.ui.shared.session import shared_services

    form = Form(shared_services(), DEFAULT)
    form.seed()
    sidebar.draw_preset(form)


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    with pages.opened(tmp_path / "workspace") as found:
        yield found


@pytest.fixture
def app(services: Services) -> AppTest:
    return pages.good(AppTest.from_function(menus_page, default_timeout=60).run())


def press(app: AppTest, key: str) -> AppTest:
    app.button(key=key).click()
    return pages.good(app.run())


def typed(app: AppTest, key: str, text: str) -> AppTest:
    app.text_input(key=key).set_value(text)
    return pages.good(app.run())


def save(app: AppTest, name: str) -> AppTest:
    return press(typed(app, NAME, name), "config.save")


def pick(app: AppTest, name: str) -> AppTest:
    pages.widget(app, "selectbox", PICK).set_value(name)
    return pages.good(app.run())


def answers(app: AppTest) -> str:
    return "\n".join(item.value for item in app.caption)


def discarded(services: Services) -> list[str]:
    """The configurations in the trash."""
    return [path.read_text() for path in (services.workspace.private / "trash").glob("*.yaml")]


def test_what_was_saved_comes_back(services: Services, app: AppTest) -> None:
    app.session_state["train.learning_rate"] = "7e-7"
    save(app, "mine")
    kept = yaml.safe_load((services.workspace.configs / "mine.yaml").read_text())
    assert kept["learning_rate"] == 7e-7 and "output_dir" not in kept
    assert app.session_state[NAME] == ""  # the next one is not saved over it
    app.session_state["train.learning_rate"] = "1e-3"
    app.session_state[ANSWER] = "of a click before"
    press(pick(app, "mine"), "config.open")
    assert app.session_state["train.learning_rate"] == "7e-7" and app.session_state["page.preset"] is None
    assert "mine" in answers(app) and app.session_state[ANSWER] is None


def test_a_name_that_is_taken_is_replaced_only_when_that_is_said(services: Services, app: AppTest) -> None:
    save(app, "mine")
    typed(app, NAME, "mine")
    assert app.button(key="config.save").disabled
    app.session_state["train.learning_rate"] = "7e-7"
    app.checkbox(key="config.replace").check()
    press(pages.good(app.run()), "config.save")
    assert "7.0e-07" in (services.workspace.configs / "mine.yaml").read_text()
    (before,) = discarded(services)
    assert "7.0e-07" not in before


def test_another_name_and_one_that_cannot_be(services: Services, app: AppTest) -> None:
    save(app, "mine")
    save(app, "other")
    pick(app, "mine")
    for bad, said in ((".hidden", "cannot be a file"), ("a/b", "cannot be a file"), ("other", "already exists")):
        press(typed(app, NEW_NAME, bad), "config.rename")
        assert said in answers(app) and sorted(configurations.saved(services).names()) == ["mine", "other"]
    press(typed(app, NEW_NAME, "new"), "config.rename")
    assert sorted(configurations.saved(services).names()) == ["new", "other"]
    assert app.session_state[PICK] == "new" and app.session_state[ANSWER] is None
    save(app, "../up")
    assert "cannot be a file" in answers(app) and not (services.workspace.root / "up.yaml").exists()


def test_delete_asks_first_and_leaves_the_file_in_the_trash(services: Services, app: AppTest) -> None:
    save(app, "mine")
    text = (services.workspace.configs / "mine.yaml").read_text()
    pick(app, "mine")
    assert app.button(key="config.delete").disabled and app.button(key="config.delete").help == t("ui.delete_why")
    app.checkbox(key="config.sure").check()
    press(pages.good(app.run()), "config.delete")
    assert configurations.saved(services).names() == [] and app.session_state[PICK] is None
    assert discarded(services) == [text]


def test_a_file_that_cannot_be_read_leaves_the_form_as_it_is(app: AppTest) -> None:
    before = app.session_state["train.output_dir"]
    for content in (b"- a\n- b", b"\xff\xfe"):
        app.get("file_uploader")[0].set_value(("some.yaml", content, "text/yaml"))
        pages.good(app.run())
        assert any("some.yaml" in str(item.value) for item in app.error), "in the menu, which is open"
        assert "some.yaml" in app.session_state[ANSWER] and app.session_state["train.output_dir"] == before


def uploaded(app: AppTest, path: Path) -> AppTest:
    app.get("file_uploader")[0].set_value((path.name, path.read_bytes(), "text/yaml"))
    app.run()
    return app


@pytest.mark.parametrize(
    ("page", "name", "there"),
    [
        ("app.py", "merge.yaml", "export"), ("app.py", "board_eval.yaml", "eval"),
        ("pages/evaluate.py", "lists.yaml", "train"), ("pages/export.py", "command.txt", "train"),
    ],
)
def test_a_file_of_another_kind_goes_to_its_page_whole(services: Services, page: str, name: str, there: str) -> None:
    path = FIXTURES / "configurations" / name
    app = pages.start()
    if page != "app.py":
        app = pages.good(app.switch_page(page).run())
    pages.good(uploaded(app, path))
    assert t("ui.loaded_moved", name=markdown_safe(name)) in answers(app) and app.session_state[ANSWER] is None
    assert app.session_state["page.entered_kind"] == there
    job = read_config(path.read_text()).job
    values = {key: value for key, value in job.values.items() if key not in ("top.model_path", f"{there}.output_dir")}
    assert {key: app.session_state[key] for key in values} == {
        key: widgets.to_raw(BY_ID[key], value) for key, value in values.items()
    }
    app = pages.good(app.run())  # and stays there
    assert {key: app.session_state[key] for key in values if key.startswith(there)} == {
        key: widgets.to_raw(BY_ID[key], value) for key, value in values.items() if key.startswith(there)
    }


def test_a_form_of_llamaboard_brings_the_path_of_its_model(app: AppTest) -> None:
    """Its files hold the model's name alone."""
    pages.good(uploaded(app, FIXTURES / "configurations" / "board_0_9_1.yaml"))
    assert app.session_state["top.model_name"] == "Qwen2.5-0.5B-Instruct"
    assert app.session_state["top.model_path"] == "Qwen/Qwen2.5-0.5B-Instruct"
    assert app.session_state["train.report_to"] == "all" and app.session_state["top.quantization_method"] == "bnb"
    assert t("ui.loaded_trust") in answers(app) and not app.session_state["top.trust_remote_code"]


def test_a_command_is_pasted(app: AppTest) -> None:
    app.text_area(key=configurations.PASTED).set_value("llamafactory-cli train --stage dpo --pref_beta 0.3 --fp8 true")
    press(pages.good(app.run()), "config.open_text")
    assert app.session_state["train.training_stage"] == "dpo" and app.session_state["train.pref_beta"] == "0.3"
    assert t("ui.loaded_command", name=t("ui.open_pasted"), fields=2) in answers(app)
    assert app.session_state[configurations.PASTED] == ""
    app.text_area(key=configurations.PASTED).set_value("llamafactory-cli webui")
    press(pages.good(app.run()), "config.open_text")
    assert t("config.not_job_webui") in answers(app) and "webui" in app.session_state[configurations.PASTED]
