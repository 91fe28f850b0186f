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
SLICE_S = 0.05  # seconds that is read at once where nobody waits, so that several runs are read in turn
WANTED_S = 10.0  # seconds for which reading goes on after it was asked for


class Feeds:
    """The feeds of one process, by folder. One that nobody asks for is let go; whoever has it still, shares it with
    those that ask for it later."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._used: OrderedDict[str, tuple[RunFeed, float]] = OrderedDict()  # what was asked for last is at the end
        self._alive: weakref.WeakValueDictionary[str, RunFeed] = weakref.WeakValueDictionary()
        self._wanted: dict[str, tuple[RunFeed, float]] = {}  # what the thread reads, and when it was asked for
        self._reads = False  # whether the thread is there

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

    def read(self, paths: RunPaths, budget_s: float) -> None:
        """Reads what a run's files have new, for some time; a thread reads the rest, as long as somebody asks again.

        budget_s: seconds after which it returns.
        """
        feed = self.of(paths)
        feed.poll(budget_s)
        if feed.reading is None:
            return
        with self._lock:
            self._wanted[str(paths.root)] = (feed, time.monotonic())
            if not self._reads:
                self._reads = True
                threading.Thread(target=self._read_on, name="lfdash-feeds", daemon=True).start()

    def _read_on(self) -> None:
        """Reads what is wanted, in turn, until all of it is read."""
        pause = threading.Event()
        try:
            while wanted := self._still_wanted():
                shares = [feed.reading for feed in wanted]
                for feed in wanted:
                    feed.poll(SLICE_S)
                if shares == [feed.reading for feed in wanted]:  # a file that cannot be read for the moment
                    pause.wait(SLICE_S)
        except BaseException:
            with self._lock:
                self._reads = False  # the next one who asks begins it anew
            raise

    def _still_wanted(self) -> list[RunFeed]:
        """The feeds that are not read through and were asked for lately; with the last one, the thread ends."""
        now = time.monotonic()
        with self._lock:
            self._wanted = {
                key: (feed, asked)
                for key, (feed, asked) in self._wanted.items()
                if feed.reading is not None and now - asked <= WANTED_S
            }
            self._reads = bool(self._wanted)
            return [feed for feed, _ in self._wanted.values()]

    def _let_go(self, now: float) -> None:
        total = sum(feed.nbytes for feed, _ in self._used.values())
        for key, (feed, used) in list(self._used.items()):
            idle = now - used
            if idle <= IN_USE_S or (idle <= IDLE_S and total <= MOST_BYTES):
                return
            total -= feed.nbytes
            del self._used[key]
