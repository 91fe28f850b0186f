"""The tables of the Runs page: a name that opens its run, groups that are opened, what is selected in them."""

from __future__ import annotations

from unittest.mock import patch
from zlib import crc32

import pyarrow as pa
import pytest

from lfdash.engine.services import Services
from lfdash.runs.grouping import Group
from lfdash.ui.runs import actions, selection, tables
from tests.support import app as pages
from tests.support.many import add_run
from tests.support.runs_page import names, texts, visit


def test_a_click_on_a_name_opens_the_run_on_the_page_of_its_kind(three: Services) -> None:
    add_run(three.workspace.root, "scores", kind="eval", age=100)
    three.registry.refresh()
    ids = ["id-new", "id-scores"]
    state: dict[str, object] = {"k.open": {"row": 1, "label": "scores"}}
    assert clicked(three, state, ids) == ("pages/evaluate.py", "id-scores")
    state["k.open"] = {"row": 0, "label": "new"}
    assert clicked(three, state, ids) == ("app.py", "id-new")
    for click in ({"row": 2, "label": "x"}, {"row": -1, "label": "x"}, None):
        state["k.open"] = click
        assert clicked(three, state, ids) is None
    assert clicked(three, {"k.open": {"row": 0, "label": "x"}}, ["id-gone"]) is None


def clicked(services: Services, state: dict[str, object], ids: list[str]) -> object:
    """What a click asks to be opened."""
    with patch.object(tables.st, "session_state", dict(state)) as session:
        tables.open_named(services, "k", ids)
        return session.get(actions.GO)


def place_of(state: str) -> str:
    return f"{crc32(f'state={state!r}'.encode()):08x}."


def test_groups_are_closed_opened_and_selected_in(three: Services) -> None:
    app = visit({"group": "state"})
    titles = [box.label for box in app.expander]
    assert len(titles) == 2 and titles[0].startswith("**FAILED** · 1 run · ") and not app.dataframe
    assert titles[1].startswith("**FINISHED** · 2 runs · Best eval loss: best ") and " · mean " in titles[1]
    for group in ("FAILED", "SUCCEEDED"):
        app.session_state[tables.open_key(place_of(group))] = True
    app = pages.good(app.run())
    assert [list(table.value["name"]) for table in app.dataframe] == [["new"], ["cli", "old"]]
    key = app.session_state[selection.SHOWN_TABLE][place_of("SUCCEEDED")]
    app.session_state[key] = {"selection": {"rows": [1], "columns": [], "cells": []}}
    app = pages.good(app.run())
    assert app.session_state[selection.CHOSEN] == ["id-old"] and "1 selected" in texts(app)
    app.session_state["runs.group"] = None
    app = pages.good(app.run())
    assert names(app) == ["new", "cli", "old"] and app.session_state[selection.CHOSEN] == ["id-old"]


def test_numbers_are_written_with_their_own_digits() -> None:
    """As sprintf-js understands it; Streamlit's "plain" shows 999.9999999999999 for the first."""
    column = tables.number_column("max_samples", pa.chunked_array([[1000.0, 1e-5]]))
    assert column["type_config"]["format"] == "%.12g"


def test_a_group_is_called_by_its_value() -> None:
    words = tables.value_words
    assert words(Group(0.0001, ()), "arg.learning_rate") == "learning_rate 0.0001"
    assert words(Group(5e-05, ()), "arg.learning_rate") == "learning_rate 0.00005"  # as the table has it
    assert words(Group(None, ()), "arg.seed") == "seed not given (LLaMA-Factory's default)"
    assert words(Group(None, (), unknown=True), "arg.seed") == "seed not known (no training_args.yaml)"
    assert words(Group(None, ()), "tags") == "(none)" and words(Group("SUCCEEDED", ()), "state") == "FINISHED"
    assert words(Group(1.25, (), to=2.5), "best") == "1.25 – 2.5" and words(Group(60.0, (), to=60.0),
        "duration") == "0:01:00"
    assert words(Group("eval", ()), "kind") == "Evaluation" and words(Group(True, ()), "arg.packing") == "packing true"
    assert words(Group(0.0, (), to=60.0), "when") == "1970-01-01 00:00 – 1970-01-01 00:01"


def test_the_column_of_the_states_has_room_for_the_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    def width(*states: list[str]) -> int:
        return tables.states_width(pa.table({"state": pa.array(states, pa.list_(pa.string()))}))

    assert width() == width(["SUCCEEDED"]) == width(["SUCCEEDED"], ["FAILED"]) == tables.STATES_PX
    two, three = width(["RUNNING", "stalled"]), width(["RUNNING"], ["RUNNING", "stalled", "best"])
    assert tables.STATES_PX < two < three < width(["RUNNING", *["stalled"] * 9]) == 2 * tables.STATES_PX
    monkeypatch.setattr(tables, "state_word", lambda name: "В ОЧЕРЕДИ КЛАСТЕРА")
    assert width(["pending"], ["RUNNING"]) > tables.STATES_PX == width(["RUNNING"])
    assert tables.states_width(pa.table({"name": ["a"]})) == tables.STATES_PX
