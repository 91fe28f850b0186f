"""A graceful stop that does not come to its end is noticed; nothing else is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lfdash.runs.record import RunState
from lfdash.runs.stall import QUIET_S, TORN_S, StallDetector
from lfdash.runs.view import RunView


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def view(tmp_path: Path) -> RunView:
    return RunView("id", "r1", tmp_path, "saves/r1", RunState.STOPPING, awaiting="save")


@pytest.mark.parametrize(("ranks", "limit"), [(None, QUIET_S), ((2, 2), QUIET_S), ((1, 2), TORN_S)])
def test_a_stop_without_a_sign_of_life_is_stuck(view: RunView, ranks: tuple[int, int] | None, limit: float) -> None:
    clock = Clock()
    stall_detector, view = StallDetector(clock), replace(view, ranks=ranks)
    assert not stall_detector.look([view])[0].stalled
    clock.now += limit
    assert not stall_detector.look([view])[0].stalled
    clock.now += 1
    assert stall_detector.look([view])[0].stalled
    (view.path / "console.log").write_text("still here")
    assert not stall_detector.look([view])[0].stalled
    clock.now += limit + 1
    assert stall_detector.look([view])[0].stalled


def test_only_a_graceful_stop_is_waited_for(view: RunView) -> None:
    clock = Clock()
    stall_detector = StallDetector(clock)
    others = [replace(view, awaiting="term"), replace(view, awaiting="kill"), replace(view, state=RunState.RUNNING)]
    for other in others:
        stall_detector.look([other])
        clock.now += 10 * QUIET_S
        assert stall_detector.look([other]) == (other,)


def test_each_attempt_has_its_own_time(view: RunView) -> None:
    clock = Clock()
    stall_detector = StallDetector(clock)
    stall_detector.look([view])
    clock.now += 10 * QUIET_S
    again = replace(view, attempt=2)
    assert [one.stalled for one in stall_detector.look([view, again])] == [True, False]
