"""What comes after a run: its settings, its weights, its next attempt, its name for another."""

from __future__ import annotations

import json
import math
from typing import Any
from unittest import mock

from streamlit.testing.v1 import AppTest

from lfdash.engine.services import Services
from lfdash.outcomes import Problem, Refused
from lfdash.runs.record import RunState
from lfdash.ui.form.state import Form
from lfdash.ui.shared.answers import SHOWN
from lfdash.ui.shared.text import t
from tests.support import app as pages
from tests.support.many import add_run
from tests.support.pseudo import ESCAPED


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


def test_the_settings_of_a_run_are_taken_under_a_fresh_name(services: Services) -> None:
    app = press(visit(services, "old", stage="dpo", args={"learning_rate": 7e-7}), "take_settings")
    assert app.session_state["train.training_stage"] == "dpo"
    assert app.session_state["train.learning_rate"] == "7e-7"
    assert app.session_state["train.output_dir"] not in ("", "old")
    assert app.session_state["top.checkpoint_path"] == []  # not its weights
    assert t("ui.taken_from", name="old") in "\n".join(item.value for item in app.caption)


def test_from_its_weights_the_next_run_starts_where_it_ended(services: Services) -> None:
    app = press(visit(services, "old"), "from_weights")
    assert app.session_state["top.checkpoint_path"] == ["old"]
    assert app.session_state["train.output_dir"] not in ("", "old")


def test_of_weights_that_are_useless_it_is_said_before_and_after(services: Services) -> None:
    paths = add_run(services.workspace.root, "old", checkpoints=(20, 40))
    for folder in (paths.root, paths.root / "checkpoint-20"):
        (folder / "adapter_config.json").write_text("{}")
    rows = paths.trainer_log.read_text().splitlines()
    paths.trainer_log.write_text("".join(f"{line}\n" for line in (*rows[:30], *map(with_nan, rows[30:]))))
    services.registry.refresh()
    while not services.registry.summaries.step(services.registry.snapshot()):
        pass
    app, said = pages.start(), t("ui.weights_dead", step=30)
    said = f"{said} {t('ui.weights_before', step=20)}"
    assert app.button(key="from_weights").help == said != app.button(key="take_settings").help
    app = press(app, "from_weights")
    before = t("problems.weights_dead_earlier", value="saves/demo-llama/lora/old", step=30, earlier="checkpoint-20")
    for _ in range(2):
        assert before in ESCAPED.sub(r"\1", "\n".join(str(item.value) for item in app.sidebar.markdown))
        app = pages.start()  # also after the page was opened anew


def with_nan(line: str) -> str:
    """A row of the log whose loss is no number."""
    return json.dumps({**json.loads(line), "loss": math.nan})


def test_where_there_is_no_room_the_same_stands_in_a_menu_which_closes(services: Services) -> None:
    app = visit(services, "old")
    (menu,) = [block for block in app.get("popover") if block.proto.popover.label == t("ui.curves_more")]
    assert {button.key for button in menu.button} == {"from_weights_folded", "take_settings_folded"}
    assert press(app, "from_weights_folded").session_state["top.checkpoint_path"] == ["old"]
    (after,) = [block for block in app.get("popover") if block.proto.popover.label == t("ui.curves_more")]
    assert after.proto.id != menu.proto.id


def test_a_run_without_a_checkpoint_says_why_it_cannot_be_resumed(services: Services) -> None:
    app = visit(services, "old", state=RunState.FAILED)
    assert resume_menu(app).disabled and resume_menu(app).help == t("outcomes.resume_no_checkpoint")
    assert "from_weights" not in {button.key for button in app.button}  # it saved none


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
