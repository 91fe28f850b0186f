"""Whether a supervisor on another machine lives: by whether the content of its heartbeat changes, seen by the clock of
whoever looks. Clocks, pids and boots of other machines say nothing here."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from lfdash.files import look_json, real_number
from lfdash.runs.paths import AttemptPaths
from lfdash.supervisor.remote import BEAT

DEAD_S = 30.0  # without a beat, which comes every five seconds


@dataclass(frozen=True)
class Pulse:
    """What was seen of a heart. beats: a change was seen within DEAD_S. quiet: none came for so long while it was
    watched. elapsed: seconds since the supervisor began, by its own clock, and those that passed here since."""

    beats: bool = False
    quiet: bool = False
    elapsed: float | None = None


class Pulses:
    """Watches heartbeats. A first look tells nothing but what a second one is compared with."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[object, float, bool]] = {}  # folder -> count, since when, whether it ever changed

    def look(self, control: AttemptPaths) -> Pulse:
        """How an attempt's heart is. OSError when it cannot be seen."""
        told = look_json(control.root / BEAT)
        now, key, count = self._clock(), str(control.root), told.get("count")
        before = self._seen.get(key)
        if before is None or before[0] != count:
            before = self._seen[key] = (count, now, before is not None and count is not None)
        since, seconds = now - before[1], real_number(told.get("seconds"))
        alive = before[2] and since < DEAD_S
        return Pulse(alive, since >= DEAD_S, None if seconds is None else seconds + (since if alive else 0.0))

    def forget(self, control: AttemptPaths) -> None:
        """Stops watching one."""
        self._seen.pop(str(control.root), None)
