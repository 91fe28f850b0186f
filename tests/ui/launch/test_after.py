"""The steps that follow a run: a line on its page, buttons in Runs; what each opens, and why it may not."""

from __future__ import annotations

import json
import math
from typing import Any
from unittest import mock

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.engine.services import Services
from lfdash.jobs.kinds import BY_NAME
from lfdash.outcomes import Refused
from lfdash.runs.record import RunState
from lfdash.runs.view import RunView
from lfdash.ui.chat.keys import COMPARED
from lfdash.ui.launch import after
from lfdash.ui.shared.answers import SHOWN
from lfdash.ui.shared.text import t
from tests.support import app as pages
from tests.support.many import add_run
from tests.support.pseudo import ESCAPED

STEPS = [step.name for step in after.NEXT_STEPS]


def visit(services: Services, name: str = "old", **about: Any) -> AppTest:
    """The Train page with one run, which is over."""
    add_run(services.workspace.root, name, **about)
    services.registry.refresh()
    return pages.start()


def press(app: AppTest, step: str) -> AppTest:
    """Clicks a step; the page that it leads to, as AppTest follows it."""
    app.button(key=f"next_{step}_after").click()
    pages.good(app.run())
    return pages.good(app.run())


def helps(app: AppTest) -> dict[str, str]:
    """What the disabled steps say."""
    found = {step: app.button(key=f"next_{step}_after") for step in STEPS}
    return {step: button.help for step, button in found.items() if button.disabled}


def view_of(services: Services, name: str) -> RunView:
    view = services.registry.get(f"id-{name}")
    assert view is not None
    return view


def test_the_line_says_where_the_adapter_is_and_offers_every_step(services: Services) -> None:
    app = visit(services)
    assert "saves/demo-llama/lora/old" in [item.value for item in app.code] and helps(app) == {}
    assert [button.label for button in app.button if str(button.key).endswith("_after")][-5:] == [
        t(f"ui.next_{step}") for step in STEPS
    ]


@pytest.mark.parametrize(("step", "kind"), [("try_it", "chat"), ("evaluate", "eval"), ("export", "export")])
def test_a_step_opens_the_form_of_its_kind_with_the_run_chosen(services: Services, step: str, kind: str) -> None:
    app = press(visit(services), step)
    assert app.session_state["page.entered_kind"] == kind
    assert app.session_state["top.checkpoint_path"] == ["old"]
    assert app.session_state["source.main"] == "saves/demo-llama/lora/old"
    assert pages.widget(app, "selectbox", "source.main").label == t("ui.source")


def test_settings_are_used_under_a_fresh_name(services: Services) -> None:
    app = press(visit(services, stage="dpo", args={"learning_rate": 7e-7}), "use_settings")
    assert app.session_state["train.training_stage"] == "dpo"
    assert app.session_state["train.learning_rate"] == "7e-7"
    assert app.session_state["train.output_dir"] not in ("", "old")
    assert app.session_state["top.checkpoint_path"] == []  # not its weights
    assert t("ui.taken_from", name="old") in "\n".join(item.value for item in app.caption)


def test_continue_is_a_new_run_from_its_weights(services: Services) -> None:
    app = press(visit(services, args={"learning_rate": 7e-7}), "continue")
    assert app.session_state["top.checkpoint_path"] == ["old"]
    assert app.session_state["train.learning_rate"] == "7e-7"
    assert app.session_state["train.output_dir"] not in ("", "old")


def test_a_run_without_weights_can_only_lend_its_settings(services: Services) -> None:
    app = visit(services, state=RunState.FAILED)
    assert helps(app) == dict.fromkeys(STEPS[:-1], t("outcomes.next_nothing_saved"))


def test_an_adapter_that_is_gone_is_named(services: Services) -> None:
    app = visit(services)
    (view_of(services, "old").path / "adapter_config.json").unlink()
    said = t("outcomes.next_gone", path="saves/demo-llama/lora/old")
    assert helps(pages.good(app.run())) == dict.fromkeys(STEPS[:-1], said)


def test_a_run_that_is_evaluated_does_not_become_what_the_next_training_starts_from(services: Services) -> None:
    app, shared = visit(services), ("top.model_path", "top.checkpoint_path", "top.finetuning_type", "top.template")
    before = {name: app.session_state[name] for name in shared}
    app = press(app, "evaluate")
    app = pages.good(app.switch_page("app.py").run())
    assert {name: app.session_state[name] for name in shared} == before and not before["top.checkpoint_path"]
    app = pages.good(app.switch_page("pages/evaluate.py").run())
    assert app.session_state["top.checkpoint_path"] == ["old"], "and the evaluation keeps it"
    again = pages.good(pages.start().run())  # another session, from the drafts
    assert {name: again.session_state[name] for name in shared} == before
    again = pages.good(again.switch_page("pages/evaluate.py").run())
    assert again.session_state["top.checkpoint_path"] == ["old"]


def test_what_has_gone_since_it_was_drawn_is_said_after_the_click(services: Services) -> None:
    app = visit(services)
    (view_of(services, "old").path / "adapter_config.json").unlink()
    app.button(key="next_evaluate_after").click()
    pages.good(app.run())
    said = ESCAPED.sub(r"\1", "\n".join(str(item.value) for item in app.error))
    assert t("outcomes.next_gone", path="saves/demo-llama/lora/old") in said
    assert app.session_state["page.entered_kind"] == "train"


def with_nan(line: str) -> str:
    """A row of the log whose loss is no number."""
    return json.dumps({**json.loads(line), "loss": math.nan})


def test_weights_of_a_loss_that_was_no_number_are_not_offered(services: Services) -> None:
    paths = add_run(services.workspace.root, "old", checkpoints=(20, 40))
    (paths.root / "checkpoint-20" / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    (paths.root / "checkpoint-20" / "adapter_model.safetensors").write_bytes(b"0")
    rows = paths.trainer_log.read_text().splitlines()
    paths.trainer_log.write_text("".join(f"{line}\n" for line in (*rows[:30], *map(with_nan, rows[30:]))))
    services.registry.refresh()
    app, earlier = pages.start(), "saves/demo-llama/lora/old/checkpoint-20"
    assert helps(app) == dict.fromkeys(STEPS[:-1], t("outcomes.next_dead_earlier", step=30, earlier=earlier))


def test_of_a_run_that_goes_on_its_last_checkpoint_can_be_tried(services: Services) -> None:
    add_run(services.workspace.root, "going", checkpoints=(20,))
    services.registry.refresh()
    view = view_of(services, "going")
    object.__setattr__(view, "state", RunState.RUNNING)
    (view.path / "checkpoint-20" / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    (view.path / "checkpoint-20" / "adapter_model.safetensors").write_bytes(b"0")
    object.__setattr__(view.saved, "model", None)
    reasons = {step.name: after.why_not(step, [after.Subject(services, view)]) for step in after.NEXT_STEPS}
    going = t("outcomes.next_running")
    assert reasons == {"try_it": "", "evaluate": "", "export": going, "continue": going, "use_settings": ""}


def test_an_evaluation_lends_its_settings_and_a_chat_nothing() -> None:
    assert [step.name for step in after.offered(BY_NAME["eval"])] == ["use_settings"]
    assert after.offered(BY_NAME["chat"]) == []


def test_two_runs_are_tried_side_by_side_and_nothing_else(services: Services) -> None:
    for name in ("one", "two"):
        add_run(services.workspace.root, name)
    services.registry.refresh()
    subjects = [after.Subject(services, view_of(services, name)) for name in ("one", "two")]
    reasons = [after.why_not(step, subjects) for step in after.NEXT_STEPS]
    assert reasons == ["", *[t("ui.runs_choose_one")] * 4]
    assert after.why_not(after.NEXT_STEPS[0], []) == t("ui.runs_choose_pair")
    app = pages.start()
    app.session_state["runs.chosen"] = ["id-one", "id-two"]
    launched = mock.patch.object(after, "launch", side_effect=["id-one", "id-two"])
    with launched as launch:
        after_click(services, app)
    jobs = [call.args[1] for call in launch.call_args_list]
    assert [job.values["top.checkpoint_path"] for job in jobs] == [["one"], ["two"]]
    assert app.session_state[SHOWN] == "id-one" and app.session_state[COMPARED] == ["id-two"]


def after_click(services: Services, app: AppTest) -> None:
    """Two runs are tried, as the button in Runs does it."""
    with mock.patch.object(after.st, "session_state", app.session_state):
        views = [view_of(services, name) for name in ("one", "two")]
        assert after.beside(services, views) is None


def test_a_chat_that_is_refused_leads_nowhere(services: Services) -> None:
    app = visit(services)
    with (
        mock.patch.object(after.st, "session_state", app.session_state),
        mock.patch.object(after, "launch", return_value=Refused("blocked_demo")),
    ):
        assert after.beside(services, [view_of(services, "old")]) == Refused("blocked_demo")
        assert after.GO not in app.session_state
