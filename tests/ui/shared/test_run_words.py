"""How a run's times and states are shown, and how often a page looks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lfdash.runs.record import TERMINAL, RunState
from lfdash.runs.view import RunView
from lfdash.ui.shared.layout import CSS
from lfdash.ui.shared.run_words import LOOKS, duration, tick_seconds

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


def test_many_open_tabs_make_each_look_less_often() -> None:
    assert [tick_seconds(VIEW, tabs) for tabs in (1, 8, 16)] == [2.0, 2.0, 4.0]


def test_every_state_has_a_colour() -> None:
    assert LOOKS.keys() == set(RunState) and all(f".lf-{look} {{color:" in CSS for look in LOOKS.values())
