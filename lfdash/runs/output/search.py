"""A text searched for in a whole log: stretch by stretch, from the end to the beginning, and what comes after. It finds
what can be seen: a secret that is hidden is not found.
"""

from __future__ import annotations

import os
import time
from array import array
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from lfdash.runs.output.index import Index
from lfdash.runs.output.lines import COLOURS, line_start, read_lines, segment_start
from lfdash.runs.output.rows import Row, rows_of
from lfdash.runs.output.shown import LOOKED_AT, Redact, begun, texts

WANTED_S = 20.0  # how long somebody who asked is taken to wait
FIND_S = 0.25  # seconds that the way to the next match may take


class Searched(Protocol):
    """What is searched: a log, of which `opened` gives a descriptor."""

    index: Index
    size: int

    @property
    def opened(self) -> Callable[[], AbstractContextManager[int]]:
        """Opens the file."""
        ...


class Match(NamedTuple):
    """Where a line with the text begins; None when none was found. reached: the byte up to which was looked; number:
    how many there are before it, None while that is not known."""

    place: int | None
    reached: int
    number: int | None = None


class Search:
    """The lines of a log that hold a text, whatever the case. query: in small letters. least: level of the lines."""

    def __init__(self, log: Searched, query: str, redact: Redact, least: int) -> None:
        self.log, self.query, self.least = log, query, least
        self.grid = log.index.grid
        self.wanted_at = time.monotonic()
        self._redact = redact
        self._needle = query.encode("utf-8", "replace") if query.isascii() else b""
        self._counts = array("I")  # by stretch
        self._low: int | None = None  # the stretch that is counted next, downwards; None before the first look
        self._high = 0  # up to here lines are counted, upwards
        self._seen = 0  # the size of the file when they were

    @property
    def wanted(self) -> bool:
        """Whether somebody waits for it."""
        return time.monotonic() - self.wanted_at < WANTED_S

    @property
    def count(self) -> int:
        """The lines found so far."""
        return sum(self._counts)

    @property
    def share(self) -> float:
        """The share of the file that is searched, 0 to 1."""
        if self._low is None:
            return 0.0
        size = max(1, self._high)
        return min(1.0, (size - (self._low + 1) * self.grid) / size) if self._low >= 0 else 1.0

    def done(self, size: int) -> bool:
        """Whether all of the file is searched, but for a last line that has no end."""
        return self._low == -1 and self._seen == size

    def advance(self, descriptor: int, size: int, budget_s: float) -> None:
        """Searches on for some `budget_s` seconds."""
        end = time.monotonic() + budget_s
        if self._low is None:
            self._high = whole_end(descriptor, size)
            self._low = max(0, self._high - 1) // self.grid if self._high else -1
            self._counts.extend([0] * (self._low + 1))
        elif size > self._high:
            self._upwards(descriptor, whole_end(descriptor, size))
        self._seen = size
        while self._low >= 0 and time.monotonic() < end:
            last = self._high if self._high < (self._low + 1) * self.grid else (self._low + 1) * self.grid
            self._counts[self._low] += len(self.places(descriptor, self._low, self._low * self.grid, last))
            self._low -= 1

    def _upwards(self, descriptor: int, end: int) -> None:
        """Counts the lines that came since."""
        while self._high < end:
            number = self._high // self.grid
            stop = min(end, (number + 1) * self.grid)
            while len(self._counts) <= number:
                self._counts.append(0)
            if self._low is not None and number > self._low:
                self._counts[number] += len(self.places(descriptor, number, self._high, stop))
            self._high = stop

    def places(self, descriptor: int, number: int, begin: int, stop: int) -> list[int]:
        """Where the lines of a stretch with the text begin, from byte `begin` to before `stop`."""
        if begin >= stop or not self._may_hold(descriptor, begin, stop):
            return []
        last = stop == (number + 1) * self.grid  # what stands behind a bar goes with it
        every = self._rows(descriptor, number, begin)
        rows = [row for row in every if begin <= row.start and (last or row.start < stop)]
        shown = texts([row.raw[:LOOKED_AT] for row in rows], self._redact)
        if rows and rows[-1].end >= self.log.size and not rows[-1].raw.endswith(b"\n"):
            shown[-1] = begun(shown[-1])  # as it is shown: it may end with half a secret
        return [row.start for row, text in zip(rows, shown, strict=True) if self.query in text.lower()]

    def _rows(self, descriptor: int, number: int, begin: int) -> list[Row]:
        index = self.log.index
        if self.least:  # how grave a line is depends on those before
            begin = number * self.grid
        start = line_start(descriptor, begin, self.grid) if begin == number * self.grid else begin
        if start is None or start >= (number + 1) * self.grid:
            return []
        lines = read_lines(descriptor, start, (number + 1) * self.grid, self.log.size)
        return rows_of(lines, index.before(number), self.least)

    def _may_hold(self, descriptor: int, begin: int, stop: int) -> bool:
        """Whether the text may be there, quickly; only a no is certain."""
        index, number = self.log.index, begin // self.grid
        if self.least and index.knows(number) and not index[number].errors + index[number].warnings:
            return False
        data = os.pread(descriptor, stop - begin + LOOKED_AT, begin)
        if b"\t" in data and " " in self.query:
            return True
        data = COLOURS.sub(b"", data) if b"\x1b" in data else data
        if b"\x1b" in data:
            return True
        if self._needle:
            return self._needle in data.lower()
        return self.query in data.decode("utf-8", "replace").lower()

    def find(self, place: int, forward: bool, budget_s: float = FIND_S) -> Match:
        """The next line with the text that begins at byte `place` or behind it; not forward: the last one that begins
        before it."""
        end = time.monotonic() + budget_s
        size = self.log.size
        with self.log.opened() as descriptor:
            number = (segment_start(descriptor, place) if forward else place - 1) // self.grid
            while 0 <= number * self.grid < size and number >= 0:
                begin, stop = number * self.grid, min(size, (number + 1) * self.grid)
                if not self._counted(number) or self._counts[number]:
                    found = self.places(descriptor, number, begin, stop)
                    right = [one for one in found if (one >= place if forward else one < place)]
                    if right:
                        one = right[0] if forward else right[-1]
                        return Match(one, one, self._before(number, found.index(one)))
                number += 1 if forward else -1
                if time.monotonic() > end:
                    break
        return Match(None, max(0, min(size, number * self.grid if forward else (number + 1) * self.grid)))

    def _counted(self, number: int) -> bool:
        """Whether the count of a stretch is all that there is in it."""
        return self._low is not None and self._low < number and (number + 1) * self.grid <= self._high

    def _before(self, number: int, inside: int) -> int | None:
        """How many lines with the text come before one, which is that many behind the first of its stretch."""
        return sum(self._counts[:number]) + inside if self._low == -1 else None


def whole_end(descriptor: int, size: int) -> int:
    """Where the whole lines of a file end."""
    if not size or os.pread(descriptor, 1, size - 1) == b"\n":
        return size
    return segment_start(descriptor, size if os.pread(descriptor, 1, size - 1) != b"\r" else size - 1)
