"""What replaces a form's content says so and can be taken back; an event that is out of date replaces nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.engine.services import Services
from lfdash.jobs.args import build_args, job_from_args
from lfdash.jobs.job import JobConfig
from lfdash.ui.form import configurations
from lfdash.ui.form.configurations import ANSWER
from lfdash.ui.form.origin import NEW, PRESET_PICK
from lfdash.ui.form.sidebar import OWN
from lfdash.ui.shared.text import label, t
from tests.support import app as pages
from tests.support.pseudo import ESCAPED

OPENED = job_from_args({"model_name_or_path": "models/opened", "stage": "dpo", "learning_rate": 3e-4, "pref_beta": 0.2})


def page() -> None:
    """The sidebar of the training form, alone. What the test left in the session is done before, as a click would."""
    import streamlit as st

    from lfdash.jobs.kinds import DEFAULT
    from lfdash.ui.form import sidebar
    from lfdash.ui.form.state import FOLLOWERS, Form
    from lfdash.ui.shared.session import shared_services

    form = Form(shared_services(), DEFAULT)
    form.seed()
    for method, args in st.session_state.pop("do", []):
        getattr(form, method)(*args)
    st.session_state["job"] = form.read().job
    sidebar.draw(form)
    for name in set(FOLLOWERS) - {"changed"}:  # parts of the page that are not the sidebar's
        st.fragment(lambda: None, key=name)()


LISTED = {"demo_sft": {"file_name": "a.json"}, "demo_pairs": {"file_name": "b.json", "ranking": True}}


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    with pages.opened(tmp_path / "workspace") as found:
        (found.workspace.data / "dataset_info.json").write_text(json.dumps(LISTED))
        yield found


@pytest.fixture
def app(services: Services) -> AppTest:
    return pages.good(AppTest.from_function(page, default_timeout=60).run())


def do(app: AppTest, *calls: tuple[str, Any]) -> AppTest:
    app.session_state["do"] = [(name, args) for name, *args in calls]
    return pages.good(app.run())


def choose(app: AppTest, key: str, value: Any, kind: str = "selectbox") -> None:
    pages.widget(app, kind, key).set_value(value)
    pages.good(app.run())  # of its fragment
    pages.good(app.run())


def args_of(app: AppTest) -> dict[str, Any]:
    """What the form would run, but for the run's name."""
    job: JobConfig = app.session_state["job"]
    return {key: value for key, value in build_args(job).items() if key != "output_dir"}


def press(app: AppTest, key: str) -> None:
    app.button(key=key).click()
    pages.good(app.run())
    pages.good(app.run())


def told(app: AppTest) -> str:
    return " ".join(item.value for item in app.caption)


REPLACEMENTS: dict[str, tuple[tuple[str, Any], ...]] = {
    "a preset": (("load_preset", "dpo"),),
    "a new form": (("load_new",),),
    "a file": (("load_job", OPENED, [("ui.loaded_llamaboard", {"name": "x.yaml", "fields": 4})]),),
    "a run's settings with a cure": (
        ("load_job", OPENED, [("ui.taken_from", {"name": "x.yaml"})]),
        ("apply_fix", {"train.learning_rate": 0.1, "extra.adam_beta1": 0.5}),
    ),
    "a cure": (("apply_fix", {"train.cutoff_len": 77, "extra.adam_beta1": 0.5}),),
}


@pytest.mark.parametrize("what", REPLACEMENTS)
def test_what_replaces_the_form_can_be_taken_back_and_done_again(app: AppTest, what: str) -> None:
    choose(app, "train.learning_rate", "7e-4", "text_input")
    choose(app, "train.output_dir", "mine", "text_input")
    before = args_of(app)
    do(app, *REPLACEMENTS[what])
    after, preset = args_of(app), app.session_state[PRESET_PICK]
    assert after != before
    press(app, "undo")
    assert args_of(app) == before
    assert app.session_state["train.output_dir"] == "mine" and app.session_state[PRESET_PICK] == "demo"
    assert not [button for button in app.button if button.key == "undo"], "one click replaced it, one takes it back"
    press(app, "redo")
    assert args_of(app) == after and app.session_state[PRESET_PICK] == preset
    press(app, "undo")
    assert args_of(app) == before


def test_each_replacement_is_said_with_its_count_and_taken_back_in_turn(app: AppTest) -> None:
    first = args_of(app)
    do(app, ("apply_fix", {"train.cutoff_len": 77, "train.learning_rate": 0.1}))
    second = args_of(app)
    assert t("ui.replaced", count=2, what=t("ui.by_fix")) in told(app)
    do(app, *REPLACEMENTS["a file"])
    assert t("ui.by_file", name="x.yaml") in told(app)
    press(app, "undo")
    assert args_of(app) == second and t("ui.by_fix") in told(app)
    press(app, "undo")
    assert args_of(app) == first


def test_what_changes_nothing_is_no_replacement(app: AppTest) -> None:
    do(app, ("load_preset", "demo"), ("apply_fix", {}))
    assert not [button for button in app.button if button.key == "undo"]


def test_take_all_back_takes_the_model_back_and_can_be_taken_back_itself(app: AppTest, services: Services) -> None:
    name = "Qwen2.5-0.5B-Instruct"
    do(app, ("load_preset", "sft_lora"))
    before = args_of(app)
    choose(app, "page.model", name)
    assert args_of(app)["model_name_or_path"] == services.upstream.models[name].paths["huggingface"]
    press(app, "reset.all")
    assert args_of(app) == before
    assert app.session_state["top.model_name"] == "Qwen2.5-7B-Instruct"
    press(app, "undo")
    assert app.session_state["top.model_name"] == name


def test_a_preset_keeps_the_model_the_datasets_and_the_name_that_are_the_users(
    app: AppTest, services: Services
) -> None:
    do(app, ("load_preset", "sft_lora"))
    pages.type_in(app, "page.model", "org/mine")
    choose(app, "train.dataset", ["my_rows"], "multiselect")
    choose(app, "train.output_dir", "named", "text_input")
    choose(app, "train.learning_rate", "7e-4", "text_input")
    do(app, ("load_preset", "sft_full"))
    assert args_of(app)["model_name_or_path"] == "org/mine" and args_of(app)["dataset"] == "my_rows"
    assert app.session_state["train.output_dir"] == "named"
    assert args_of(app)["learning_rate"] == services.presets["sft_full"].args["learning_rate"]
    assert t("ui.kept_yours", names="Run name, Model, Datasets") in told(app)
    assert {"top.model_path", "train.dataset"} <= set(changed_ids(app))  # one click each gives the preset's


def changed_ids(app: AppTest) -> list[str]:
    return [str(item.key).removeprefix("reset.") for item in app.button if str(item.key).startswith("reset.")]


def test_a_preset_keeps_datasets_of_another_stage_too_and_nothing_that_nobody_changed(
    app: AppTest, services: Services
) -> None:
    do(app, ("load_preset", "sft_lora"))
    choose(app, "train.dataset", ["demo_sft"], "multiselect")
    do(app, ("load_preset", "dpo"))
    assert args_of(app)["dataset"] == "demo_sft", "it is told at the field that it has no pairs"
    do(app, ("load_preset", "sft_qlora"))
    assert args_of(app)["model_name_or_path"] == services.presets["sft_qlora"].args["model_name_or_path"]
    pages.type_in(app, "page.model", "org/mine")
    do(app, ("load_preset", "demo"))
    assert args_of(app)["model_name_or_path"] == "models/demo-llama", "the demo is an example as a whole"


@pytest.mark.parametrize("start", ["demo", NEW])
def test_an_event_that_left_before_a_file_was_drawn_changes_nothing(app: AppTest, start: str) -> None:
    """A browser sends what all its widgets show, with the tick of a fragment too. The one that it sends while a file is
    being read has the preset and the fields of before."""
    if start == NEW:
        choose(app, PRESET_PICK, NEW)
    stale = app._tree.get_widget_states()
    do(app, *REPLACEMENTS["a file"])
    opened = args_of(app)
    assert opened["learning_rate"] == 3e-4 and opened["stage"] == "dpo"
    for _ in range(3):
        pages.good(app._run(stale))
        assert args_of(app) == opened and app.session_state[PRESET_PICK] is None
        assert app.session_state["train.learning_rate"] == "0.0003"
    later = app._tree.get_widget_states()
    pages.good(app._run(later))
    assert args_of(app) == opened


def test_what_the_browser_clears_is_no_choice(app: AppTest) -> None:
    """Esc in a list that may be empty clears it in the browser, for a moment after a choice even where it may not."""
    before = args_of(app)
    for key in (PRESET_PICK, "page.model", "top.template", "top.finetuning_type", "train.training_stage"):
        choose(app, key, None)
        assert args_of(app) == before and pages.widget(app, "selectbox", key).value is not None, key


def test_a_choice_is_taken_back_by_the_first_line(app: AppTest) -> None:
    assert "lr_scheduler_type" in args_of(app)
    choose(app, "train.lr_scheduler_type", "")
    assert "lr_scheduler_type" not in args_of(app)
    box = pages.widget(app, "selectbox", "train.lr_scheduler_type")
    assert box.value == "" and box.options[0] == t("ui.default_is", value="linear")
    choose(app, "page.model", "")
    assert "model_name_or_path" not in args_of(app)


def test_what_differs_is_told_after_each_edit(app: AppTest) -> None:
    assert changed_ids(app) == []
    choose(app, "train.num_train_epochs", "6", "text_input")
    assert changed_ids(app) == ["train.num_train_epochs", "all"]


def test_several_steps_are_done_again_one_by_one(app: AppTest) -> None:
    seen = [args_of(app)]
    for name in ("dpo", "kto", "sft_full"):
        do(app, ("load_preset", name))
        seen.append(args_of(app))
    for before in reversed(seen[:-1]):
        press(app, "undo")
        assert args_of(app) == before
    for after in seen[1:]:
        press(app, "redo")
        assert args_of(app) == after
    assert not [button for button in app.button if button.key == "redo"]


def test_a_dataset_that_was_chosen_elsewhere_is_taken_back(app: AppTest) -> None:
    before = args_of(app)
    do(app, ("choose_dataset", "demo_pairs", "data", "dpo"))
    assert (args_of(app)["dataset"], args_of(app)["stage"]) == ("demo_pairs", "dpo")
    assert t("ui.by_dataset", name="demo_pairs") in told(app).replace("\\", "")
    press(app, "undo")
    assert args_of(app) == before


def test_undo_leaves_what_was_typed_since(app: AppTest) -> None:
    choose(app, "train.cutoff_len", "99", "text_input")
    do(app, ("reset", ["train.cutoff_len"]))
    choose(app, "train.learning_rate", "7e-4", "text_input")
    press(app, "undo")
    args = args_of(app)
    assert (args["cutoff_len"], args["learning_rate"]) == (99, 7e-4)
    press(app, "redo")
    assert args_of(app)["cutoff_len"] != 99 and args_of(app)["learning_rate"] == 7e-4


def test_a_template_goes_with_the_model_that_it_came_with(app: AppTest) -> None:
    before = args_of(app)
    pages.type_in(app, "page.model", "Qwen2.5-0.5B-Instruct")
    pages.good(app.run())
    assert args_of(app)["template"] == "qwen" != before["template"]
    pages.type_in(app, "page.model", "models/demo-llama")
    pages.good(app.run())
    assert args_of(app)["template"] == before["template"]


def test_a_form_that_came_back_as_a_draft_is_taken_back_too(app: AppTest) -> None:
    """Nothing was told about it when it was loaded: it came from the session before."""
    choose(app, "train.learning_rate", "7e-4", "text_input")
    again = pages.good(AppTest.from_function(page, default_timeout=60).run())
    before = args_of(again)
    do(again, *REPLACEMENTS["a file"])
    assert args_of(again) != before
    press(again, "undo")
    assert args_of(again) == before and before["learning_rate"] == 7e-4


def test_what_a_preset_has_changed_is_listed_value_by_value(app: AppTest) -> None:
    do(app, ("load_preset", "lora_3b"))
    said = [ESCAPED.sub(r"\1", str(item.value)) for item in app.markdown]
    was = f"**{label('train.cutoff_len')}** · 128 → 1024"
    assert was in said and not [line for line in said if line.startswith(f"**{label('train.output_dir')}**")]
    press(app, "undo")
    assert was not in [ESCAPED.sub(r"\1", str(item.value)) for item in app.markdown]


def test_saved_configurations_are_presets_of_ones_own(app: AppTest, services: Services) -> None:
    text = "model_name_or_path: org/mine\nstage: sft\ndo_train: true\nlearning_rate: 0.0123\n"
    assert configurations.saved(services).save("for me", text) is None
    pages.good(app.run())
    choose(app, PRESET_PICK, f"{OWN}for me", "selectbox")
    assert args_of(app)["learning_rate"] == 0.0123 and app.session_state[PRESET_PICK] == f"{OWN}for me"
    (box,) = [box for box in app.selectbox if box.label == t("ui.preset")]
    assert t("ui.preset_saved", name="for me") in box.options
    press(app, "undo")
    assert args_of(app)["model_name_or_path"] == "models/demo-llama" and app.session_state[PRESET_PICK] == "demo"


def test_a_saved_configuration_that_is_gone_leaves_the_form(app: AppTest, services: Services) -> None:
    assert configurations.saved(services).save("mine", "stage: sft\n") is None
    pages.good(app.run())
    box, before = pages.widget(app, "selectbox", PRESET_PICK), args_of(app)
    assert configurations.saved(services).delete("mine") is None
    box.set_value(f"{OWN}mine")
    pages.good(app.run())
    assert args_of(app) == before and app.session_state[PRESET_PICK] == "demo" and app.session_state[ANSWER]
