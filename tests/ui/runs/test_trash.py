"""The trash on the Runs page: what it lists, and what comes out of it."""

from __future__ import annotations

import json

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.engine.services import Services
from lfdash.ui.runs import trash
from tests.support import app as pages
from tests.support.runs_page import names, press, select, visit


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


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (34_500_000_000, "34.5 GB"), (345_000_000, "345 MB"),
     (5 * 10**15, "5000 TB")],
)
def test_sizes_are_written_as_people_read_them(size: int, words: str) -> None:
    assert trash.size_words(size) == words


def test_without_anything_in_it_there_is_no_trash(three: Services) -> None:
    app = opened_trash(visit())
    assert len(app.dataframe) == 1 and "trash_restore" not in {item.key for item in app.button}


def test_what_is_away_or_cannot_be_used_is_said(three: Services) -> None:
    origins = three.workspace.private / "trash" / ".origins"
    origins.mkdir(parents=True)
    note = {"version": 1, "run_id": "id-x", "title": "a*b", "discarded": 1.0, "origin": "saves/m/lora/x"}
    (origins / "x.json").write_text(json.dumps(note | {"place": "saves/m/lora/.lfdash-trash/x", "disk": "d"}))
    (origins / "y.json").write_text(json.dumps(note | {"place": "../thesis"}))
    app = opened_trash(visit())
    words = " ".join(item.value for item in app.markdown)
    assert "“a\\*b” is in" in words and "on a disk that is not available right now" in words
    assert "y.json in .lfdash/trash/.origins cannot be used" in words
    assert len(app.dataframe) == 1 and "trash_restore" not in {item.key for item in app.button}
