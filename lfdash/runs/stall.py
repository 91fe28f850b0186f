"""Notices a graceful stop that does not come to its end, so that the page can offer the harder step by itself.

Under torchrun LLaMA-Factory's own stop is not synchronised: one rank may save and leave while another waits for it
for ever. Nothing is done here; only the user takes the harder step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

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
        self._since: dict[tuple[str, int], tuple[Signs, float]] = {}

    def look(self, views: Iterable[RunView]) -> tuple[RunView, ...]:
        """The same runs, with `stalled` where a graceful stop has shown no sign of life for too long."""
        before, self._since = self._since, {}
        views = tuple(views)
        if not any(view.state is RunState.STOPPING for view in views):
            return views
        return tuple(self._look(view, before.get((view.run_id, view.attempt))) for view in views)

    def _look(self, view: RunView, held: tuple[Signs, float] | None) -> RunView:
        if view.state is not RunState.STOPPING or view.awaiting in ("term", "kill"):
            return view
        signs, now = tuple(view.paths.listing()), self._clock()
        if held is None or held[0] != signs:
            held = (signs, now)
        self._since[view.run_id, view.attempt] = held
        torn = view.ranks is not None and view.ranks[0] < view.ranks[1]
        return replace(view, stalled=now - held[1] > (self._torn if torn else self._quiet))
