"""What is known to be wrong is told before Start is pressed, with its cure; what is only missing, after."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.demo.__main__ import make_data
from lfdash.engine.services import Services
from lfdash.jobs.packages import install_line
from lfdash.ui.form import sidebar
from lfdash.ui.form.origin import NEW
from lfdash.ui.launch.actions import PROBLEMS
from lfdash.ui.shared import clicks
from lfdash.ui.shared.scripts import css_class
from lfdash.ui.shared.text import label, t
from tests.support import app as pages
from tests.support.pseudo import ESCAPED


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    make_data(tmp_path / "workspace" / "data")
    with pages.opened(tmp_path / "workspace") as found:
        packages = {"trl": "0.24.0", "matplotlib": "3.11.2"}  # what LLaMA-Factory 0.9.5 comes with
        found.upstream = replace(found.upstream, packages=packages, source="installed")
        yield found


def listed(app: AppTest) -> str:
    """What the list at the foot of the form says; a warning alone does not open it."""
    return ESCAPED.sub(r"\1", "\n".join(str(item.value) for item in app.sidebar.markdown))


def at_fields(app: AppTest) -> str:
    return ESCAPED.sub(r"\1", "\n".join(str(item.value) for item in app.sidebar.caption))


def choose(app: AppTest, key: str, value: str) -> AppTest:
    pages.widget(app, "selectbox", key).set_value(value)
    pages.good(app.run())
    return pages.good(app.run())  # a callback redraws parts only; AppTest's tree holds no more than those


def test_a_new_form_is_not_scolded(services: Services) -> None:
    app = pages.start()
    pages.widget(app, "selectbox", "page.preset_pick").set_value(NEW)
    pages.good(app.run())
    assert t("problems.model_missing") not in listed(app) + at_fields(app)
    app.button(key="start").click()
    pages.good(app.run())
    pages.good(app.run())
    assert t("problems.model_missing") in listed(app) and t("problems.model_missing") in at_fields(app)


def test_ppo_says_before_launch_why_it_cannot_run(services: Services) -> None:
    app = choose(pages.start(), "train.training_stage", "ppo")
    said = t("problems.ppo_trl", version="0.24.0")
    assert said in listed(app) and said in at_fields(app)
    assert t("problems.reward_missing") not in listed(app)
    choose(app, "train.training_stage", "sft")
    assert said not in listed(app) + at_fields(app)


def test_oft_says_before_launch_how_its_adapter_is_loaded_again(services: Services) -> None:
    app = pages.start()
    app.session_state[PROBLEMS] = True
    app = choose(app, "top.finetuning_type", "oft")
    assert t("problems.oft_again") in listed(app) and t("problems.oft_again") in at_fields(app)


def test_a_cure_is_one_click_and_the_whole_page_follows(services: Services) -> None:
    app = pages.start()
    app.session_state["top.checkpoint_path"] = ["saves/demo-llama/oft/run"]
    app = choose(app, "top.finetuning_type", "oft")
    assert t("problems.adapter_method") in listed(app)
    button = next(item for item in app.button if (item.key or "").startswith("fix_"))
    button.click()
    pages.good(app.run())
    pages.good(app.run())
    assert pages.widget(app, "selectbox", "top.finetuning_type").value == "lora"
    assert app.session_state["top.checkpoint_path"] == ["saves/demo-llama/oft/run"]
    assert t("problems.adapter_method") not in listed(app) + at_fields(app)


def test_a_slow_double_click_cures_one_problem(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clicks, "time", mock.Mock(monotonic=lambda: 1.0))  # however slow the page is here
    app = pages.start()
    app.session_state["train.logging_steps"], app.session_state["train.num_train_epochs"] = "0", "0"
    pages.good(app.run())
    fixes = [item.key for item in app.button if (item.key or "").startswith("fix_")]
    assert len(fixes) == 2
    for _ in range(2):  # the second click of a double click, on what has moved up
        app.button(key="fix_0").click()
        pages.good(app.run())
        pages.good(app.run())
    assert [item.key for item in app.button if (item.key or "").startswith("fix_")] == ["fix_0"]
    app.session_state["clicks.fix"] -= 1
    app.button(key="fix_0").click()
    pages.good(app.run())
    pages.good(app.run())
    assert not [item for item in app.button if (item.key or "").startswith("fix_")]


def test_a_mark_stands_at_the_group_with_the_wrong_field(services: Services) -> None:
    app = pages.start()
    marks = [item.value for item in app.sidebar.get("html") if "⚠" in str(item.value)]
    assert not marks
    app.session_state["train.use_galore"] = True  # does not go with LoRA
    app.session_state["train.optim"] = "adamw_torch"
    pages.good(app.run())
    marks = [item.value for item in app.sidebar.get("html") if "⚠" in str(item.value)]
    assert len(marks) == 1 and "lf-fail" in marks[0]


def test_the_name_of_a_problem_leads_to_its_field(services: Services) -> None:
    app = pages.start()
    app.session_state["train.use_galore"] = True  # does not go with LoRA
    app.session_state["train.optim"] = "adamw_torch"
    app.session_state[sidebar.FILTER] = "learning rate"
    pages.good(app.run())
    links = [item for item in app.button if (item.key or "").startswith("go_")]
    link = next(item for item in links if label("train.use_galore") in item.label)
    link.click()
    pages.good(app.run())
    pages.good(app.run())
    assert app.session_state["open_optimizers"] and app.session_state[sidebar.FILTER] == ""
    assert any(css_class("train.use_galore") in str(item.value) for item in app.get("html"))


def test_what_is_to_be_typed_elsewhere_can_be_copied(services: Services) -> None:
    app = pages.start()
    app.session_state[PROBLEMS] = True
    app.session_state["train.report_to"] = "wandb"
    pages.good(app.run())
    (command,) = [str(item.value) for item in app.sidebar.code]
    assert command.endswith(" wandb") and command not in listed(app)
def test_the_line_that_installs_a_package_is_copied_letter_by_letter(services: Services) -> None:
    """In a sentence `>=` is kept apart by a character that no shell takes."""
    app = pages.start()
    app.session_state["train.optim"] = "paged_adamw_8bit"
    app.session_state[f"open_{sidebar.group_of('train.optim')}"] = True
    pages.good(app.run())
    python = getattr(services.cli, "python", None) or ""
    line = install_line(python, "bitsandbytes>=0.39.0")
    assert [item.value for item in app.sidebar.code] == [line] and line.isascii()
    (told,) = [item.value for item in app.sidebar.markdown if "bitsandbytes" in str(item.value)]
    assert told.endswith(r"install it there\:")
    assert any(f"`{line}`" in str(item.value) for item in app.sidebar.caption)
    app.button(key="preview").click()
    pages.good(app.run())
    assert any(f"`{line}`" in item.value for item in app.warning)
