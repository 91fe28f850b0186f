"""How a run goes on: its next attempt, more epochs, its name for another."""

from __future__ import annotations

from typing import Any
from unittest import mock

from streamlit.testing.v1 import AppTest

from lfdash.engine.services import Services
from lfdash.launchers.fake import FakeLauncher
from lfdash.outcomes import Problem, Refused
from lfdash.runs.record import Handle, RunState
from lfdash.ui.form.state import Form
from lfdash.ui.shared.answers import SHOWN
from lfdash.ui.shared.text import t
from tests.support import app as pages
from tests.support.many import add_run


def visit(services: Services, name: str, **about: Any) -> AppTest:
    """The Train page with one run, which is over."""
    add_run(services.workspace.root, name, **about)
    services.registry.refresh()
    return pages.start()


def press(app: AppTest, key: str) -> AppTest:
    app.button(key=key).click()
    return pages.good(app.run())


def resume_menu(app: AppTest) -> Any:
    (menu,) = [block.proto.popover for block in app.get("popover") if block.proto.popover.label == t("ui.resume")]
    return menu


def test_a_run_without_a_checkpoint_says_why_it_cannot_be_resumed(services: Services) -> None:
    app = visit(services, "old", state=RunState.FAILED)
    assert resume_menu(app).disabled and resume_menu(app).help == t("outcomes.resume_no_checkpoint")


def test_a_run_is_resumed_from_the_checkpoint_that_is_chosen(services: Services) -> None:
    app = visit(services, "old", state=RunState.STOPPED, steps=50, checkpoints=(20, 40))
    assert not resume_menu(app).disabled and t("ui.resume_repeats", count=10) in [c.value for c in app.caption]
    pages.widget(app, "selectbox", "resume.step.after").set_value(20)
    pages.good(app.run())
    assert t("ui.resume_repeats", count=30) in [item.value for item in app.caption]
    press(app, "resume_after")
    view = services.registry.get("id-old")
    assert view is not None and (view.attempt, view.state) == (2, RunState.STARTING)
    assert view.record is not None and app.session_state[SHOWN] == "id-old"
    assert "checkpoint-20" in view.paths.training_args.read_text()


def test_the_next_resume_offers_the_newest_checkpoint_whatever_was_chosen_before(services: Services) -> None:
    app = visit(services, "old", state=RunState.STOPPED, steps=50, checkpoints=(20, 40))
    pages.good(pages.widget(app, "selectbox", "resume.step.after").set_value(20).run())
    press(app, "resume_after")
    view = services.registry.get("id-old")
    launcher = services.registry.launchers.default
    assert view is not None and isinstance(launcher, FakeLauncher)
    (view.path / "checkpoint-60").mkdir()
    handle = Handle("id-old", 2, view.paths)
    launcher.begin(handle)
    assert services.registry.stop("id-old", "graceful") is None
    launcher.end(handle, 0)
    services.registry.refresh()
    pages.good(app.run())
    assert pages.widget(app, "selectbox", "resume.step.after").value == 60
    press(app, "resume_after")
    assert "checkpoint-60" in view.paths.training_args.read_text()


def test_a_taken_name_offers_the_weights_and_keeps_the_form(services: Services) -> None:
    app = visit(services, "old")
    app.session_state["top.model_name"], app.session_state["train.output_dir"] = "demo-llama", "old"
    app.session_state["top.finetuning_type"], app.session_state["train.learning_rate"] = "lora", "7e-7"
    taken = Problem("train.output_dir", "name_taken", {"value": "old"})
    with mock.patch.object(Form, "problems", return_value=(taken,)):
        app = press(app, "start")
        offered = [block.proto.popover.label for block in app.get("popover")]
        assert offered.count(t("ui.more_epochs")) == 2 and t("ui.resume") not in offered  # it has finished
        press(app, "taken_weights")
    assert app.session_state["top.checkpoint_path"] == ["old"] and app.session_state["train.learning_rate"] == "7e-7"
    assert app.session_state["train.output_dir"] not in ("", "old")


def longer(services: Services, *, whole: bool = True) -> AppTest:
    """The page of a finished run. whole: whether its checkpoint holds its optimizer."""
    paths = add_run(services.workspace.root, "old", checkpoints=(60,), args={"num_train_epochs": 2.0})
    for name in ("trainer_state.json", "optimizer.pt"):
        (paths.root / "checkpoint-60" / name).write_text("{}" if name.endswith("json") or whole else "")
    if not whole:
        (paths.root / "checkpoint-60" / "optimizer.pt").unlink()
    services.registry.refresh()
    return pages.start()


def captions(app: AppTest) -> list[str]:
    return [item.value for item in app.caption]


def test_a_finished_run_is_trained_for_more_epochs_as_a_new_run(services: Services) -> None:
    app = longer(services)
    assert "resume_after" not in {button.key for button in app.button}
    (total,) = app.number_input
    assert total.value == 4 and t("ui.more_from_checkpoint", step=60, total="4") in captions(app)
    pages.good(total.set_value(2.0).run())
    assert app.button(key="more_after").disabled and t("ui.more_bad", done="2", most="1000") in captions(app)
    pages.good(app.number_input[0].set_value(6.0).run())
    press(app, "more_after")
    (new,) = [view for view in services.registry.snapshot() if view.name == "old-6ep"]
    assert new.state is RunState.STARTING and app.session_state[SHOWN] == new.run_id
    text = new.paths.training_args.read_text()
    assert "num_train_epochs: 6.0" in text and "resume_from_checkpoint: saves/demo-llama/lora/old/checkpoint-60" in text
    old = services.registry.get("id-old")
    assert old is not None and (old.state, old.attempt) == (RunState.SUCCEEDED, 1)


def test_without_an_optimizer_it_says_that_all_begins_anew(services: Services) -> None:
    app = longer(services, whole=False)
    assert t("ui.more_from_weights", count="2") in captions(app)


def test_a_busy_machine_asks_and_more_epochs_wait_for_their_turn(services: Services) -> None:
    app = longer(services)
    busy = Refused("busy", {"code": "slots", "run": "other"})
    with mock.patch.object(services.registry, "launch", return_value=busy):
        press(app, "more_after")
    press(app, "queue_it")
    (waiting,) = [view for view in services.registry.snapshot() if view.waiting is not None]
    assert (waiting.name, waiting.state) == ("old-4ep", RunState.QUEUED)
