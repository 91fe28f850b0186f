"""Notices a graceful stop that does not come to its end, so that the page can offer the harder step by itself.

Under torchrun LLaMA-Factory's own stop is not synchronised: one rank may save and leave while another waits for it
for ever. Nothing is done here; only the user takes the harder step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from lfdash.runs.record import RunState
from lfdash.runs.view import RunView

QUIET_S = 60.0  # without a sign of life in the run's folder
TORN_S = 15.0  # the same, when some of its ranks are gone already

Signs = tuple[tuple[str, int, float], ...]


class StallDetector:
    """Remembers when each run that is stopping last changed a file of its folder. clock: seconds, never set back."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, quiet: float = QUIET_S, torn: float = TORN_S
    ) -> None:
        self._clock, self._quiet, self._torn = clock, quiet, torn
        self._since: dict[tuple[Path, int], tuple[Signs, float]] = {}

    def look(self, views: Iterable[RunView], alive: Iterable[RunView] | None = None) -> tuple[RunView, ...]:
        """The same runs, with `stalled` where a graceful stop has shown no sign of life for too long.

        alive: those among them that are not over, where that is known.
        """
        before, self._since = self._since, {}
        views = tuple(views)
        stopping = [view for view in (views if alive is None else alive) if view.state is RunState.STOPPING]
        asked = {(view.path, view.attempt): view for view in stopping}
        stalled = {key for key, view in asked.items() if self._is_stalled(view, before.get(key))}
        if not stalled:
            return views
        return tuple(replace(one, stalled=True) if (one.path, one.attempt) in stalled else one for one in views)

    def _is_stalled(self, view: RunView, held: tuple[Signs, float] | None) -> bool:
        if view.awaiting in ("term", "kill"):
            return False
        signs, now = tuple(view.paths.listing()), self._clock()
        if held is None or held[0] != signs:
            held = (signs, now)
        self._since[view.path, view.attempt] = held
        torn = view.ranks is not None and view.ranks[0] < view.ranks[1]
        return now - held[1] > (self._torn if torn else self._quiet)
