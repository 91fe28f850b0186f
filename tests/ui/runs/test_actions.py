"""The buttons of the Runs page: what they do with the runs that are selected, and why they do not."""

from __future__ import annotations

import os
import time

import pytest

from lfdash.engine.services import Services
from lfdash.runs.notes import Notes
from lfdash.runs.record import RunState
from lfdash.ui.launch import after
from lfdash.ui.runs import actions, selection
from lfdash.ui.shared.text import t
from tests.support import app as pages
from tests.support.many import add_run, write_notes
from tests.support.runs import launch, plan_for
from tests.support.runs_page import button, ids, menus, names, press, select, texts, visit


def test_without_a_selection_every_button_says_why_not(three: Services) -> None:
    app = visit()
    assert all(button(app, f"runs_{name}").disabled for name in ("open", "stop"))
    assert all(button(app, f"next_{step.name}_runs").disabled for step in after.NEXT_STEPS)
    assert all(menus(app)[name].disabled for name in ("Resume", "Rename", "Notes and tags", "Delete"))
    app = select(app, "old", "new")
    assert button(app, "runs_open").disabled and not menus(app)["Delete"].disabled


def test_a_run_of_the_plain_cli_can_be_opened_noted_and_deleted_not_resumed(three: Services) -> None:
    app = select(visit(), "cli")
    assert not button(app, "runs_open").disabled and button(app, "next_use_settings_runs").disabled
    assert menus(app)["Resume"].disabled and "outside the dashboard" in menus(app)["Resume"].help
    folder = three.workspace.saves / "llama3-8b" / "lora" / "cli"
    app = press(app, "runs_delete")
    assert "less than an hour ago" not in texts(app) and not folder.exists()
    app = press(app, "runs_undo")
    assert folder.exists()
    os.utime(folder / "trainer_log.jsonl", (time.time() - 600,) * 2)
    three.registry.refresh()
    app = press(select(pages.good(app.run()), "cli"), "runs_delete")
    assert "less than an hour ago" in texts(app) and folder.exists()


def test_delete_names_what_goes_and_can_be_undone(three: Services) -> None:
    handle = launch(three.registry, plan_for(three.workspace.root, name="live"))
    three.registry.launchers.default.begin(handle)  # type: ignore[attr-defined]
    three.registry.refresh()
    app = select(visit(), "live", "old", "new")
    assert "**new**, **old**" in texts(app) and t("ui.runs_delete_left", count=1) in texts(app)
    app = press(app, "runs_delete")
    assert names(app) == ["live", "cli"] and "Moved to the trash: **new**, **old**" in texts(app)
    app = press(app, "runs_undo")
    assert names(app) == ["live", "new", "cli", "old"] and "Moved to the trash" not in texts(app)
    assert app.session_state[selection.CHOSEN] == [ids(app)["new"], ids(app)["old"]]


def test_an_undo_whose_place_is_taken_says_so_and_stays(three: Services) -> None:
    app = press(select(visit(), "old"), "runs_delete")
    place = three.workspace.saves / "demo-llama" / "lora" / "old"
    place.mkdir()
    app = press(app, "runs_undo")
    assert "exists again" in texts(app) and "Moved to the trash: **old**" in texts(app)
    place.rmdir()
    app = press(app, "runs_undo")
    assert "old" in names(app)


def test_stop_leaves_the_wish_and_then_offers_the_harder_one(three: Services) -> None:
    handle = launch(three.registry, plan_for(three.workspace.root, name="live"))
    three.registry.launchers.default.begin(handle)  # type: ignore[attr-defined]
    three.registry.refresh()
    app = press(select(visit(), "live", "old"), "runs_stop")
    view = three.registry.get("id-live")
    assert view is not None and view.state is RunState.STOPPING
    assert "**live**" in texts(app)
    app = press(app, "runs_kill")
    assert handle.paths.attempt(1).read_wish() == "kill"


def test_rename_keeps_the_run_selected_and_says_what_is_taken(three: Services) -> None:
    app = select(visit(), "old")
    field = "runs.name.id-old.old"
    app.text_input(key=field).set_value("new name")
    app = press(pages.good(app.run()), "runs_rename")
    assert names(app) == ["new", "cli", "new name"] and app.session_state[selection.CHOSEN] == ["id-old"]
    assert (three.workspace.saves / "demo-llama" / "lora" / "newname").is_dir()
    app.text_input(key="runs.name.id-old.new name").set_value("../up")
    app = press(pages.good(app.run()), "runs_rename")
    assert "cannot be the name of a run" in texts(app)


def test_notes_and_tags_of_one_run_and_tags_of_several(three: Services) -> None:
    app = select(visit(), "old")
    app.text_area(key="runs.note.id-old").set_value("Look *here*")
    app.session_state["runs.tags.id-old"] = ["Paper"]
    app = press(pages.good(app.run()), "runs_notes_save")
    assert three.registry.get("id-old").notes == Notes("Look *here*", ("Paper",))  # type: ignore[union-attr]
    assert list(app.dataframe[0].value["note"]) == ["", "", "Look *here*"] and "Look *here*" in texts(app)
    app = select(app, "old", "cli", "new")
    app.session_state["runs.tags"] = ["paper", "keep"]
    app = press(pages.good(app.run()), "runs_tags_add")
    assert [list(tags) for tags in app.dataframe[0].value["tags"]] == [["paper", "keep"]] * 2 + [["Paper", "keep"]]
    app.session_state["runs.tags"] = ["PAPER"]
    app = press(pages.good(app.run()), "runs_tags_remove")
    assert [list(tags) for tags in app.dataframe[0].value["tags"]] == [["keep"]] * 3
    assert list(app.dataframe[0].value["note"]) == ["", "", "Look *here*"]


def test_notes_that_were_changed_elsewhere_are_not_overwritten(three: Services) -> None:
    app = select(visit(), "old")
    app.text_area(key="runs.note.id-old").set_value("mine")
    app = pages.good(app.run())
    view = three.registry.get("id-old")
    assert view is not None
    write_notes(view.paths, "theirs")
    three.registry.refresh()
    app = press(app, "runs_notes_save")
    assert "changed somewhere else" in texts(app)
    assert app.text_area(key="runs.note.id-old").value == "theirs"
    assert view.paths.notes.exists() and "theirs" in view.paths.notes.read_text()


def test_clone_fills_the_form_of_its_kind_and_open_shows_the_run(three: Services) -> None:
    app = press(select(visit(), "new"), "next_use_settings_runs")
    assert app.session_state["top.model_path"] == "models/other"
    assert app.session_state["train.training_stage"] == "dpo"
    app.switch_page("pages/runs.py")
    app = press(select(pages.good(app.run()), "old"), "runs_open")
    assert app.session_state["page.run"] == "id-old"


def test_clone_of_an_evaluation_leaves_the_training_form_alone(three: Services) -> None:
    add_run(three.workspace.root, "scores", kind="eval", stage="sft", age=60)
    three.registry.refresh()
    three.registry.summaries.step(three.registry.snapshot(), budget=60)
    app = select(visit(), "scores")
    own = {key: app.session_state[key] for key in ("train.dataset", "train.output_dir", "train.do_train")}
    app = press(app, "next_use_settings_runs")
    assert app.session_state["page.entered_kind"] == "eval" and "eval.form.notes" in app.session_state
    assert {key: app.session_state[key] for key in own} == own
    assert [note for note, _ in app.session_state["eval.form.notes"]] == ["ui.taken_from"]


def test_two_runs_are_compared_where_there_is_a_page_for_it(three: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    app = select(visit(), "new", "old")
    there = (three.project.root / actions.COMPARE).exists()
    assert ("runs_compare" in {item.key for item in app.button}) is there
    gone: list[tuple[str, dict[str, str]]] = []
    monkeypatch.setattr(actions, "COMPARE", "pages/runs.py")  # one that there is
    monkeypatch.setattr(actions.st, "switch_page", lambda page, query_params: gone.append((page, query_params)))
    app = select(app, "new")
    assert button(app, "runs_compare").disabled
    app = press(select(app, "new", "old"), "runs_compare")
    assert gone == [("pages/runs.py", {"runs": "id-new,id-old"})]
    monkeypatch.setattr(actions, "MOST_RUNS", 2)
    app = select(app, "new", "old", "cli")
    assert button(app, "runs_compare").disabled and "at most 2 runs" in button(app, "runs_compare").help
