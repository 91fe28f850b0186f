"""How a run's times and states are shown, and how often a page looks."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from lfdash.queue.store import Queued
from lfdash.runs.metrics.progress import Progress
from lfdash.runs.record import TERMINAL, RunState
from lfdash.runs.table import BADGES
from lfdash.runs.trash_origins import Item
from lfdash.runs.view import RunView
from lfdash.ui.shared.layout import CSS
from lfdash.ui.shared.run_words import (
    BADGE_LOOKS,
    BEGINNING_S,
    LOOKS,
    duration,
    not_shown_words,
    queued_words,
    state_word,
    tick_seconds,
)
from lfdash.ui.shared.text import t

VIEW = RunView("id-a", "a", Path("/w/saves/a"), "saves/a", RunState.RUNNING)


@pytest.mark.parametrize(
    ("seconds", "words"), [(None, "–"), (0, "0:00:00"), (59.9, "0:00:59"), (3725, "1:02:05"), (360000, "100:00:00")]
)
def test_seconds_as_people_read_them(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize("state", RunState)
def test_a_page_looks_often_only_while_its_run_is_alive(state: RunState) -> None:
    assert tick_seconds(replace(VIEW, state=state), 1) == (10.0 if state in TERMINAL else 2.0)
    assert tick_seconds(None, 1) == 10.0


def test_it_looks_most_often_for_the_first_step() -> None:
    begun = replace(VIEW, started=time.time())
    assert tick_seconds(begun, 1) == 0.5
    assert tick_seconds(replace(begun, progress=Progress(step=0)), 16) == 1.0
    assert tick_seconds(replace(begun, progress=Progress(step=1)), 1) == 2.0
    assert tick_seconds(replace(begun, state=RunState.STOPPING), 1) == 2.0
    assert tick_seconds(replace(begun, started=time.time() - BEGINNING_S), 1) == 2.0


def test_many_open_tabs_make_each_look_less_often() -> None:
    assert [tick_seconds(VIEW, tabs) for tabs in (1, 8, 16)] == [2.0, 2.0, 4.0]


def test_every_state_has_a_colour() -> None:
    assert LOOKS.keys() == set(RunState) and all(f".lf-{look} {{color:" in CSS for look in LOOKS.values())


def test_a_link_to_a_run_that_is_not_there_says_so() -> None:
    item = Item("a.id-b", Path("/t/a.id-b"), Path("/w/saves/b"), "id-b", "b_b", 1.0)
    other = replace(VIEW, record=None, run_id="id-a")

    def said(wanted: str | None, kind: str = "train") -> str:
        return not_shown_words(wanted, [other], [item], kind)

    assert said(None) == said("") == said("id-a") == ""
    assert said("id-a", "eval") == t("ui.run_other_kind", run="a")
    assert said("id-b") == t("ui.run_in_trash", run="b\\_b")
    twin = replace(other, run_id="id-a2")
    assert "id-a, id-a2" in not_shown_words("a", [other, twin], [], "train")
    assert said("id-c") == t("ui.run_missing", run="id-c") and len(said("x" * 999)) < 200


def test_a_job_that_starts_at_once_does_not_say_that_it_waits() -> None:
    assert queued_words("a", Queued("id", 1, starts=True)) == t("ui.queued_starts", name="a")
    assert queued_words("a", Queued("id", 2)) == t("ui.queued_as", name="a", position=2)


def test_every_badge_has_a_word_and_a_colour() -> None:
    assert set(BADGES) == BADGE_LOOKS.keys() and all(state_word(name) != name for name in BADGES)
    assert state_word("SUCCEEDED") == "FINISHED"
