"""A heart on another machine is judged by change, and by the clock of whoever looks."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from lfdash import files
from lfdash.launchers.pulse import DEAD_S, Pulse, Pulses
from lfdash.runs.paths import AttemptPaths
from lfdash.supervisor.remote import BEAT


class Looked:
    """A heart, and a clock that a test sets."""

    def __init__(self, folder: Path) -> None:
        self.now = 1000.0
        self.control = AttemptPaths(folder)
        self.pulses = Pulses(lambda: self.now)

    def beat(self, count: int, seconds: float = 7.0) -> None:
        (self.control.root / BEAT).write_text(json.dumps({"count": count, "seconds": seconds}))

    def look(self, later: float = 0.0) -> Pulse:
        self.now += later
        return self.pulses.look(self.control)


@pytest.fixture
def heart(tmp_path: Path) -> Looked:
    return Looked(tmp_path)


def test_a_first_look_tells_nothing(heart: Looked) -> None:
    heart.beat(1)
    assert heart.look() == Pulse(False, False, 7.0)
    assert heart.look(DEAD_S - 1) == Pulse(False, False, 7.0)


def test_one_that_changes_beats_and_its_time_goes_on(heart: Looked) -> None:
    heart.beat(1)
    heart.look()
    heart.beat(2, 12.0)
    assert heart.look(5) == Pulse(True, False, 12.0)
    assert heart.look(3) == Pulse(True, False, 15.0)


def test_one_that_stops_is_quiet_and_its_time_stands_still(heart: Looked) -> None:
    heart.beat(1)
    heart.look()
    heart.beat(2, 12.0)
    heart.look(5)
    assert heart.look(DEAD_S) == Pulse(False, True, 12.0)
    heart.beat(3, 50.0)
    assert heart.look(1) == Pulse(True, False, 50.0)


@pytest.mark.parametrize("seconds", [-5.0, 1e9])
def test_clocks_of_other_machines_say_nothing(heart: Looked, seconds: float) -> None:
    """Not the time of the file either."""
    heart.beat(1)
    heart.look()
    heart.beat(2, seconds)
    os.utime(heart.control.root / BEAT, (0, 0))
    assert heart.look(1).beats


def test_none_that_ever_was_is_quiet_after_a_while(heart: Looked) -> None:
    assert heart.look() == Pulse()
    assert heart.look(DEAD_S) == Pulse(False, True, None)


def test_one_that_is_no_heart(heart: Looked) -> None:
    (heart.control.root / BEAT).write_text("{")
    assert heart.look() == Pulse()


def test_one_that_cannot_be_read_is_not_quiet(heart: Looked, monkeypatch: pytest.MonkeyPatch) -> None:
    heart.beat(1)
    heart.look()

    def fail(*_args: object, **_more: object) -> int:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    monkeypatch.setattr(files.os, "open", fail)
    with pytest.raises(OSError, match="tale"):
        heart.look(100)


def test_one_that_is_forgotten_begins_anew(heart: Looked) -> None:
    heart.beat(1)
    heart.look()
    heart.pulses.forget(heart.control)
    heart.beat(2)
    assert heart.look(5) == Pulse(False, False, 7.0)
