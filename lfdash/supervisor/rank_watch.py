"""Which of a run's processes are torchrun's ranks, remembered from their start. Standard library only."""

from __future__ import annotations

import os
import time

from lfdash.supervisor.processes import Rank, parent, rank_of, start_ticks

PAUSE_S = 0.2  # between two looks at least


class RankWatch:
    """Remembers the ranks that start below this process; later they may wipe their environment.

    known: the ranks that lived when one was added last.
    """

    def __init__(self) -> None:
        self.known: list[Rank] = []
        self._looked = 0.0
        self._seen = [set(os.listdir("/proc"))] * 2  # the last two looks

    def look(self) -> bool:
        """Whether ranks came since the last look. Of all processes only new ones are read, and each of them twice:
        the first time it may not have become its program yet."""
        now = time.monotonic()
        if now - self._looked < PAUSE_S:
            return False
        before, last = self._seen
        listed = set(os.listdir("/proc"))
        self._looked, self._seen = now, [last, listed]
        ranks = [rank_of(int(name)) for name in listed - before if name.isdigit()]
        fresh = [rank for rank in ranks if rank and rank not in self.known and self._starts_here(rank.pid)]
        if fresh:
            self.known = [*(rank for rank in self.known if start_ticks(rank.pid) == rank.ticks), *fresh]
        return bool(fresh)

    def _starts_here(self, pid: int) -> bool:
        """Whether a process is below this one and its parent is no rank: a rank's workers inherit its environment."""
        above = parent(pid)
        if rank_of(above) or any(rank.pid == above for rank in self.known):
            return False
        while above > 1 and above != os.getpid():
            above = parent(above)
        return above == os.getpid()
