"""The feeds of one process: one for each run that somebody looks at."""

from __future__ import annotations

import threading
import time
import weakref
from collections import OrderedDict

from lfdash.runs.metrics.feed import RunFeed
from lfdash.runs.paths import RunPaths

IDLE_S = 600.0  # seconds after which a feed that nobody asked for is let go
MOST_BYTES = 1 << 30  # of all feeds; of more, those that were not asked for last are let go
IN_USE_S = 60.0  # seconds for which a feed counts as in use


class Feeds:
    """The feeds of one process, by folder. One that nobody asks for is let go; whoever has it still, shares it with
    those that ask for it later."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._used: OrderedDict[str, tuple[RunFeed, float]] = OrderedDict()  # what was asked for last is at the end
        self._alive: weakref.WeakValueDictionary[str, RunFeed] = weakref.WeakValueDictionary()

    def of(self, paths: RunPaths) -> RunFeed:
        """The one feed of a run's folder."""
        key, now = str(paths.root), time.monotonic()
        with self._lock:
            feed = self._alive.get(key)
            if feed is None:
                feed = self._alive[key] = RunFeed(paths)
            self._used[key] = (feed, now)
            self._used.move_to_end(key)
            if now - next(iter(self._used.values()))[1] > IN_USE_S:
                self._let_go(now)
            return feed

    def _let_go(self, now: float) -> None:
        total = sum(feed.nbytes for feed, _ in self._used.values())
        for key, (feed, used) in list(self._used.items()):
            idle = now - used
            if idle <= IN_USE_S or (idle <= IDLE_S and total <= MOST_BYTES):
                return
            total -= feed.nbytes
            del self._used[key]
