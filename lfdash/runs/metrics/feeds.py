"""The feeds of one process: one for each run that somebody looks at."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

from lfdash.runs.metrics.feed import RunFeed
from lfdash.runs.paths import RunPaths

IDLE_S = 600.0  # seconds after which a feed that nobody asked for is dropped
MOST_BYTES = 1 << 30  # of all feeds; those that were asked for last stay
IN_USE_S = 60.0  # seconds for which a feed counts as in use


class Feeds:
    """The feeds of one process, by folder. Those that nobody asks for are dropped."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._feeds: OrderedDict[str, tuple[RunFeed, float]] = OrderedDict()  # used last: at the end

    def of(self, paths: RunPaths) -> RunFeed:
        """The one feed of a run's folder."""
        key, now = str(paths.root), time.monotonic()
        with self._lock:
            held = self._feeds.pop(key, None)
            feed = RunFeed(paths) if held is None else held[0]
            self._feeds[key] = (feed, now)
            if held is None:
                self._drop(now)
            return feed

    def _drop(self, now: float) -> None:
        total = sum(feed.nbytes for feed, _ in self._feeds.values())
        for key, (feed, used) in list(self._feeds.items()):
            idle = now - used
            if idle > IDLE_S or (total > MOST_BYTES and idle > IN_USE_S):
                total -= feed.nbytes
                del self._feeds[key]
