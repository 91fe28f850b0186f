"""The Runs page without a browser: what it lists, filters and offers, and what its buttons do."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.engine.services import Services
from lfdash.launchers.fake import FakeLauncher
from lfdash.locales import available
from lfdash.runs.notes import Notes
from lfdash.runs.record import RunState
from lfdash.ui.runs import filters, page, trash
from tests.support import app as pages
from tests.support.many import add_plain, add_run, write_notes
from tests.support.runs import launch, plan_for


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    monkeypatch.setenv("LFDASH_CLI", "/no/llamafactory-cli")
    with pages.opened(tmp_path / "workspace") as found:
        found.registry.launchers.default = FakeLauncher()
        found._started = True  # its thread would look at the runs at moments of its own
        yield found


@pytest.fixture
def three(services: Services) -> Services:
    """Two runs of ours, and one of the plain CLI between them."""
    root = services.workspace.root
    add_run(root, "old", age=9000, checkpoints=(20, 40))
    add_run(root, "new", state=RunState.FAILED, steps=20, age=5000, stage="dpo", model="other", checkpoints=(10,))
    add_plain(root, "cli")
    services.registry.refresh()
    services.registry.summaries.step(services.registry.snapshot(), budget=60)
    return services


def visit(query: dict[str, Any] | None = None) -> AppTest:
    app = pages.start()
    for name, value in (query or {}).items():
        app.query_params[name] = value
    app.switch_page("pages/runs.py")
    return pages.good(app.run())


def names(app: AppTest) -> list[str]:
    """The runs in the table, in order."""
    return list(app.dataframe[0].value["name"]) if app.dataframe else []


def select(app: AppTest, *wanted: str) -> AppTest:
    """Ticks runs of the table."""
    app.session_state[page.CHOSEN] = [ids(app)[name] for name in wanted]
    app.session_state[page.SHOWN_TABLE] = None
    return pages.good(app.run())


def ids(app: AppTest) -> dict[str, str]:
    return dict(zip(names(app), app.session_state[page.ORDER][1], strict=True))


def button(app: AppTest, key: str) -> Any:
    found = [item for kind in ("button", "download_button") for item in app.get(kind) if item.key == key]
    assert len(found) == 1, (key, [item.key for item in app.button])
    return found[0]


def press(app: AppTest, key: str) -> AppTest:
    button(app, key).click()
    return pages.good(pages.good(app.run()).run())  # a fragment may have been drawn alone


def menus(app: AppTest) -> dict[str, Any]:
    """The menus of the bar: name -> its block."""
    found = {}
    for block in app.get("popover"):
        found[block.proto.popover.label] = block.proto.popover
    return found


def texts(app: AppTest) -> str:
    kinds: Sequence[str] = ("info", "error", "caption", "markdown", "text", "success")
    return "\n".join(str(item.value) for kind in kinds for item in app.get(kind))


# -- listed ---------------------------------------------------------------------------------------------


def test_without_runs_it_says_what_to_do(services: Services) -> None:
    said = texts(visit())
    assert "press Start" in said and str(services.workspace.saves) in said.replace("\\", "")


def test_all_runs_newest_first_with_what_is_known_of_them(three: Services) -> None:
    app = visit()
    table = app.dataframe[0].value
    assert names(app) == ["new", "cli", "old"]
    assert list(table["state"].map(list)) == [["FAILED"], ["SUCCEEDED"], ["SUCCEEDED"]]
    assert list(table["model"]) == ["other", "llama3-8b", "demo-llama"] and list(table["stage"]) == ["dpo", "", "sft"]
    assert list(table["progress"].round()) == [33, 100, 100]
    assert all(len(curve) == 30 for curve in table["spark"][1:]) and (table["best"] <= table["last"]).all()
    assert "3 of 3 runs" in texts(app)


def test_the_address_filters_and_sorts_and_what_is_chosen_gets_there(three: Services) -> None:
    app = visit({"state": ["SUCCEEDED"], "sort": "name", "order": "desc"})
    assert names(app) == ["old", "cli"]
    app.text_input(key=filters.FIND).set_value("demo-llama")
    app = pages.good(app.run())
    assert names(app) == ["old"]
    assert {name: app.query_params[name] for name in ("find", "state", "sort", "order")} == {
        "find": "demo-llama", "state": "SUCCEEDED", "sort": "name", "order": "desc",
    }
    app = press(app, "runs_clear")
    assert names(app) == ["old", "new", "cli"] and "state" not in app.query_params


def test_an_address_that_says_nonsense_shows_what_it_can(three: Services) -> None:
    app = visit({"state": ["<b>", "FAILED"], "sort": "__class__", "order": "up", "model": ["gone"], "find": "x" * 999})
    assert names(app) == [] and "No run matches" in texts(app)
    assert len(app.session_state[filters.FIND]) == 200
    app = press(app, "runs_clear_too")
    assert names(app) == ["old", "cli", "new"]  # by time, the smallest first, as far as it could be understood


def test_every_language_draws_the_page(three: Services) -> None:
    app = visit()
    app = select(app, "new")
    for code in reversed(available()):
        app = pages.speak(app, code)
        assert names(app) == ["new", "cli", "old"]


def test_rows_do_not_move_while_only_their_values_change(three: Services) -> None:
    app = visit({"sort": "last"})
    before = names(app)
    log = three.workspace.saves / "demo-llama" / "lora" / "old" / "trainer_log.jsonl"
    with log.open("a") as file:
        file.write('{"current_steps": 61, "total_steps": 61, "loss": 99.0}\n')
    three.registry.refresh()
    three.registry.summaries.step(three.registry.snapshot(), budget=60)
    app = pages.good(app.run())
    assert names(app) == before and max(app.dataframe[0].value["last"]) == pytest.approx(99.0)
    app = press(app, "runs_turn")
    app = press(app, "runs_turn")
    assert names(app)[-1] == "old"  # asked again: sorted again


# -- selected -------------------------------------------------------------------------------------------


def test_a_selection_is_of_runs_not_of_places(three: Services) -> None:
    app = select(visit(), "old", "cli")
    chosen = app.session_state[page.CHOSEN]
    add_run(three.workspace.root, "newest", age=10)
    three.registry.refresh()
    app = pages.good(app.run())
    assert names(app) == ["newest", "new", "cli", "old"]
    assert app.session_state[page.CHOSEN] == chosen == [ids(app)["cli"], ids(app)["old"]]
    app.text_input(key=filters.FIND).set_value("old")
    app = pages.good(app.run())
    assert app.session_state[page.CHOSEN] == [ids(app)["old"]]  # what is not seen is not selected


def test_a_click_on_a_table_that_is_gone_selects_nothing(three: Services) -> None:
    """The browser's click was under way when another run came: its place means another run now."""
    app = visit()
    before = page.table_key([ids(app)[name] for name in names(app)])
    add_run(three.workspace.root, "newest", age=10)
    three.registry.refresh()
    app.session_state[before] = {"selection": {"rows": [0], "columns": [], "cells": []}}  # of the table before: "new"
    app = pages.good(app.run())
    assert names(app)[0] == "newest" and app.session_state[page.CHOSEN] == []
    assert button(app, "runs_open").disabled


def test_a_table_that_comes_back_does_not_bring_its_old_selection(three: Services) -> None:
    app = select(visit(), "old")
    key = app.session_state[page.SHOWN_TABLE]
    copy = three.workspace.root / "copy"
    shutil.copytree(three.workspace.saves / "other", copy)
    shutil.rmtree(three.workspace.saves / "other")
    three.registry.refresh()
    app = pages.good(app.run())
    app.session_state[page.CHOSEN] = []
    app.session_state[page.SHOWN_TABLE] = None
    app = pages.good(app.run())
    copy.rename(three.workspace.saves / "other")
    three.registry.refresh()
    # as it is while only the fragment is drawn: nothing takes the state of the table that is gone away
    app.session_state[key] = {"selection": {"rows": [2], "columns": [], "cells": []}}
    app = pages.good(app.run())
    assert names(app) == ["new", "cli", "old"] and app.session_state[page.CHOSEN] == []


# -- buttons --------------------------------------------------------------------------------------------


def test_without_a_selection_every_button_says_why_not(three: Services) -> None:
    app = visit()
    assert all(button(app, f"runs_{name}").disabled for name in ("open", "stop", "clone"))
    assert all(menus(app)[name].disabled for name in ("Resume", "Rename", "Notes and tags", "Delete"))
    app = select(app, "old", "new")
    assert button(app, "runs_open").disabled and not menus(app)["Delete"].disabled


def test_a_run_of_the_plain_cli_can_be_opened_noted_and_deleted_not_resumed(three: Services) -> None:
    app = select(visit(), "cli")
    assert not button(app, "runs_open").disabled and button(app, "runs_clone").disabled
    assert menus(app)["Resume"].disabled and "outside the dashboard" in menus(app)["Resume"].help
    folder = three.workspace.saves / "llama3-8b" / "lora" / "cli"
    app = press(app, "runs_delete")
    assert "less than an hour ago" not in texts(app) and not folder.exists()
    app = press(app, "runs_undo")
    assert folder.exists()
    os.utime(folder / "trainer_log.jsonl")
    three.registry.refresh()
    app = press(select(pages.good(app.run()), "cli"), "runs_delete")
    assert "less than an hour ago" in texts(app) and folder.exists()


def test_delete_names_what_goes_and_can_be_undone(three: Services) -> None:
    handle = launch(three.registry, plan_for(three.workspace.root, name="live"))
    three.registry.launchers.default.begin(handle)  # type: ignore[attr-defined]
    three.registry.refresh()
    app = select(visit(), "live", "old", "new")
    assert "**new**, **old**" in texts(app) and "1 of the selected runs" in texts(app)
    app = press(app, "runs_delete")
    assert names(app) == ["live", "cli"] and "In the trash: **new**, **old**" in texts(app)
    app = press(app, "runs_undo")
    assert names(app) == ["live", "new", "cli", "old"] and "In the trash" not in texts(app)
    assert app.session_state[page.CHOSEN] == [ids(app)["new"], ids(app)["old"]]


def test_an_undo_whose_place_is_taken_says_so_and_stays(three: Services) -> None:
    app = press(select(visit(), "old"), "runs_delete")
    place = three.workspace.saves / "demo-llama" / "lora" / "old"
    place.mkdir()
    app = press(app, "runs_undo")
    assert "exists again" in texts(app) and "In the trash: **old**" in texts(app)
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
    assert names(app) == ["new", "cli", "new name"] and app.session_state[page.CHOSEN] == ["id-old"]
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
    assert "changed elsewhere" in texts(app)
    assert app.text_area(key="runs.note.id-old").value == "theirs"
    assert view.paths.notes.exists() and "theirs" in view.paths.notes.read_text()


def test_clone_fills_the_form_of_its_kind_and_open_shows_the_run(three: Services) -> None:
    app = press(select(visit(), "new"), "runs_clone")
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
    app = press(app, "runs_clone")
    assert app.session_state["page.drawn_kind"] == "eval" and "eval.form.notes" in app.session_state
    assert {key: app.session_state[key] for key in own} == own
    assert [note for note, _ in app.session_state["eval.form.notes"]] == ["ui.taken_from"]


# -- the trash ------------------------------------------------------------------------------------------


def opened_trash(app: AppTest) -> AppTest:
    app.session_state["runs.trash"] = True
    return pages.good(app.run())


def test_the_trash_lists_restores_and_empties(three: Services) -> None:
    app = press(select(visit(), "old", "new"), "runs_delete")
    app = opened_trash(app)
    table = app.dataframe[1].value
    assert sorted(table["name"]) == ["new", "old"] and (table["size"] > 0).all()
    assert sorted(table["folder"]) == ["saves/demo-llama/lora/old", "saves/other/lora/new"]
    place = list(table["name"]).index("old")
    key = trash.table_key(three.registry.archive.trash.items())
    app.session_state[key] = {"selection": {"rows": [place], "columns": [], "cells": []}}
    app = press(pages.good(app.run()), "trash_restore")
    assert "old" in names(app) and list(app.dataframe[1].value["name"]) == ["new"]
    app = press(app, "trash_delete")
    assert three.registry.archive.trash.items() == () and len(app.dataframe) == 1


def test_a_thousand_rows_are_sent_as_they_are(services: Services) -> None:
    """Not a time: that every row is there, once, and that a second look sends the very same table."""
    source = add_run(services.workspace.root, "r0")
    text = source.record.read_text()
    for number in range(1, 1000):
        target = source.root.with_name(f"r{number}")
        target.mkdir()
        (target / "run.json").write_text(text.replace("id-r0", f"id-r{number}").replace('"r0"', f'"r{number}"'))
    services.registry.refresh()
    began = time.perf_counter()
    app = visit()
    print(f"first draw of 1,000 rows: {time.perf_counter() - began:.2f} s")
    assert sorted(names(app)) == sorted(f"r{number}" for number in range(1000))
    first = app.session_state["runs.blocks"]
    app = pages.good(app.run())
    assert app.session_state["runs.blocks"].keys() == first.keys() and len(first) == 10
    assert all(app.session_state["runs.blocks"][mark][0] is first[mark][0] for mark in first)
