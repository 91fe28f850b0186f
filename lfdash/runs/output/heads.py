"""Where tracebacks begin: found by their first line alone, so that a log of a gigabyte takes a second."""

from __future__ import annotations

import os
import time
from bisect import bisect_left

from lfdash.runs.output.lines import BAR, HEAD, LINE_END
from lfdash.runs.output.shown import plain_text
from lfdash.runs.tracebacks import IGNORED, split

CHUNK = 1 << 22  # bytes read at once
BEFORE = 1 << 12  # bytes before it in which its line and the one before begin
MOST = 1000  # that are remembered


class Heads:
    """The first lines of tracebacks of which a process may have failed. place: up to here the file is read."""

    def __init__(self) -> None:
        self.place = 0
        self._starts: list[int] = []

    def first(self, start: int) -> int | None:
        """The first one at byte `start` or behind it."""
        place = bisect_left(self._starts, start)
        return self._starts[place] if place < len(self._starts) else None

    def read(self, descriptor: int, size: int, budget_s: float) -> bool:
        """Reads on for some `budget_s` seconds; whether there is more."""
        end = time.monotonic() + budget_s
        while self.place < size and len(self._starts) < MOST:
            begin = max(0, self.place - len(HEAD) + 1)
            data = os.pread(descriptor, min(CHUNK, size - begin), begin)
            if not data:
                return False
            found = data.find(HEAD)
            while found >= 0:
                self._take(descriptor, begin + found)
                found = data.find(HEAD, found + len(HEAD))
            self.place = begin + len(data)
            if time.monotonic() >= end:
                return self.place < size
        return False

    def _take(self, descriptor: int, place: int) -> None:
        begin = max(0, place - BEFORE)
        before = os.pread(descriptor, place - begin, begin)
        ends = [found.end() for found in LINE_END.finditer(before)]
        line = ends[-1] if ends else 0
        earlier = plain_text(before[ends[-2] if len(ends) > 1 else 0 : line])
        bars = [found.end() for found in BAR.finditer(before, line)]
        if not split(earlier)[1].startswith(IGNORED):
            self._starts.append(begin + (bars[-1] if bars else line))
