"""The Runs page without a browser: what its table lists, and what is selected in it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from lfdash.engine.services import Services
from lfdash.locales import available
from lfdash.runs.record import RunState
from lfdash.runs.table import PENDING
from lfdash.ui.runs import columns, filters, page, selection
from lfdash.ui.runs.details import best_words
from lfdash.ui.shared.text import t
from tests.support import app as pages
from tests.support.many import add_pointers, add_run, write_notes
from tests.support.runs_page import button, ids, names, opened, press, select, texts, visit

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
    assert "Runs: 3 of 3" in texts(app)


def test_the_best_loss_is_called_what_it_is(three: Services) -> None:
    """One logged value; the evaluation's best has a step only where the log has one."""
    row = next(row for row in three.table.rows(three.registry.snapshot()) if row.name == "old")
    words = best_words(replace(row, best=1.5, best_step=7, best_eval=1.7, best_eval_step=None))
    assert words == ["lowest single loss 1.5000, step 7", "Best eval loss 1.7000"]
    assert best_words(replace(row, best=None, best_eval_step=9, best_eval=1.7)) == ["Best eval loss 1.7000 at step 9"]
    assert "lowest single loss" in texts(select(visit(), "old"))


def test_git_lfs_pointers_are_said_to_be_none_that_can_be_read(three: Services) -> None:
    assert "git lfs pull" not in texts(visit())
    add_pointers(three.workspace.root, "cloned")
    three.registry.refresh()
    app = visit()
    assert "`git lfs pull` fetches their files: cloned" in texts(app)
    states = dict(zip(names(app), app.dataframe[0].value["state"].map(list), strict=True))
    assert states["cloned"] == ["LOST", "pointer"] and states["cli"] == ["SUCCEEDED"]


def test_every_language_draws_the_page(three: Services) -> None:
    app = visit()
    app = select(app, "new")
    for code in reversed(available()):
        app = pages.speak(app, code)
        assert names(app) == ["new", "cli", "old"]


def test_rows_do_not_move_while_only_their_values_change(three: Services) -> None:
    app = opened(visit({"sort": "last"}), "view")
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


def test_a_large_table_is_sent_seldom_but_at_once_when_a_run_comes(
    three: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    every: list[float] = []
    plain = page.st.fragment

    def fragment(*args: Any, **named: Any) -> Any:
        if named.get("key") == page.TABLE:
            every.append(named["run_every"])
        return plain(*args, **named)

    monkeypatch.setattr(page.st, "fragment", fragment)
    tells: list[Callable[[], bool]] = []
    kept = SimpleNamespace(keep=lambda _fragment, news, _seconds: tells.append(news))
    monkeypatch.setattr(page, "looks", kept)
    visit()
    monkeypatch.setattr(page, "ROWS_A_SECOND", 0.01)  # as if there were thousands
    visit()
    assert every[0] < 100 and every[1] == pytest.approx(300.0)
    assert tells and not any(news() for news in tells)
    add_run(three.workspace.root, "later", age=60)
    three.registry.refresh()
    assert all(news() for news in tells)


# -- selected -------------------------------------------------------------------------------------------


def test_a_selection_is_of_runs_not_of_places(three: Services) -> None:
    app = select(visit(), "old", "cli")
    chosen = app.session_state[selection.CHOSEN]
    add_run(three.workspace.root, "newest", age=10)
    three.registry.refresh()
    app = pages.good(app.run())
    assert names(app) == ["newest", "new", "cli", "old"]
    assert app.session_state[selection.CHOSEN] == chosen == [ids(app)["cli"], ids(app)["old"]]
    app.text_input(key=filters.FIND).set_value("old")
    app = pages.good(app.run())
    assert app.session_state[selection.CHOSEN] == [ids(app)["old"]]  # what is not seen is not selected


def test_a_click_on_a_table_that_is_gone_selects_nothing(three: Services) -> None:
    """The browser's click was under way when another run came: its place means another run now."""
    app = visit()
    before = selection.table_key([ids(app)[name] for name in names(app)])
    add_run(three.workspace.root, "newest", age=10)
    three.registry.refresh()
    app.session_state[before] = {"selection": {"rows": [0], "columns": [], "cells": []}}  # of the table before: "new"
    app = pages.good(app.run())
    assert names(app)[0] == "newest" and app.session_state[selection.CHOSEN] == []
    assert button(app, "runs_open").disabled


def test_a_table_that_comes_back_does_not_bring_its_old_selection(three: Services) -> None:
    app = select(visit(), "old")
    key = app.session_state[selection.SHOWN_TABLE][""]
    copy = three.workspace.root / "copy"
    shutil.copytree(three.workspace.saves / "other", copy)
    shutil.rmtree(three.workspace.saves / "other")
    three.registry.refresh()
    app = pages.good(app.run())
    app.session_state[selection.CHOSEN] = []
    app.session_state[selection.SHOWN_TABLE] = None
    app = pages.good(app.run())
    copy.rename(three.workspace.saves / "other")
    three.registry.refresh()
    # as it is while only the fragment is drawn: nothing takes the state of the table that is gone away
    app.session_state[key] = {"selection": {"rows": [2], "columns": [], "cells": []}}
    app = pages.good(app.run())
    assert names(app) == ["new", "cli", "old"] and app.session_state[selection.CHOSEN] == []


def test_a_thousand_rows_are_sent_as_they_are(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a time: that every row is there, once, and that a second look and a second tab make no columns anew."""
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
    made: list[str] = []
    original = columns.table_of
    monkeypatch.setattr(columns, "table_of", lambda rows: made.extend(row.name for row in rows) or original(rows))
    pages.good(app.run())
    assert len(names(visit())) == 1000 and made == []
    write_notes(source, "one is changed")
    services.registry.refresh()
    pages.good(app.run())
    assert len(made) == columns.BLOCK and "r0" in made


def test_a_run_that_waits_on_a_cluster_is_not_said_to_run(three: Services) -> None:
    rows = three.table.rows(three.registry.snapshot())
    running = replace(rows[0], state=RunState.RUNNING)
    waiting = replace(rows[1], state=RunState.STARTING, badges=(PENDING,))
    assert page.count_words([waiting], [waiting], 0).endswith(f" · {t('ui.runs_pending', count=1)}")
    said = page.count_words([running, waiting], [], 0)
    assert t("ui.runs_alive", count=1) in said and t("ui.runs_pending", count=1) in said
    assert t("ui.runs_alive", count=1) not in page.count_words([waiting], [], 0)
