"""What starts things by itself rests after a refusal: longer each time while that may pass by itself, so that nobody is
hammered; for good where somebody has to do something about it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from lfdash.outcomes import Refused

FIRST_S = 30.0  # after a first refusal
MOST_S = 600.0  # after many
# refusals that nobody has to do anything about for another try to go well; any other lasts
PASSING = (
    "another_launch", "busy", "disk", "elsewhere_fresh", "no_locks", "readonly", "runs_already", "scheduler_refused",
    "scheduler_silent", "space", "start_failed", "target_broken", "unbegun", "unseen", "workspace_gone",
)


@dataclass(frozen=True)
class Rest:
    """until: by the monotonic clock. pause: seconds that it lasts."""

    refused: Refused
    until: float
    pause: float


class Rests:
    """What this process remembers of refusals, by what was refused: a run, a sweep, a target. Any thread may use it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, Rest] = {}

    def note(self, key: str, refused: Refused, *, grows: bool = True) -> None:
        """Nothing is tried for a while. grows: for twice as long as the last time."""
        before = self._known.get(key)
        pause = FIRST_S if before is None or not grows else min(MOST_S, 2 * before.pause)
        self._known[key] = Rest(refused, self._clock() + pause, pause)

    def rests(self, *keys: str) -> bool:
        """Whether nothing is to be tried just now."""
        return any(self._clock() < one.until for key in keys if (one := self._known.get(key)) is not None)

    def why(self, *keys: str) -> Refused | None:
        """The last refusal of the first of these that had one, until it is forgotten."""
        return next((one.refused for key in keys if (one := self._known.get(key)) is not None), None)

    def forget(self, *keys: str) -> None:
        """It went well, or somebody wants it to be tried at once."""
        for key in keys:
            self._known.pop(key, None)
