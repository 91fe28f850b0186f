"""An index of a log: for each stretch of the file how many lines of which kind begin in it. It is read once from its
beginning, as far as time allows, and takes no memory for a line.
"""

from __future__ import annotations

import os
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from lfdash.runs.output.levels import ERROR, SIGNS, WARNING, Levels
from lfdash.runs.output.lines import (
    ERASED,
    LINE_END,
    LONGEST,
    METRIC,
    PLAIN,
    PROGRESS,
    Line,
    is_blank,
    kind_of,
    long_end,
    parts,
    read_lines,
    whole,
)

GRID = 1 << 18  # bytes of a stretch
LOOK = 1 << 24  # bytes in which a line's end is looked for at once
MARGIN = 1 << 12  # bytes in which a stretch's last line mostly ends
STRETCHES = 1 << 16  # at most; of a larger file the stretches are larger


@dataclass(frozen=True)
class Stretch:
    """What begins in a stretch. others: lines that are neither progress nor metrics and not blank."""

    progress: int
    metrics: int
    others: int
    warnings: int
    errors: int

    @property
    def repeats(self) -> bool:
        """Whether it is progress and metrics only."""
        return not self.others and bool(self.progress or self.metrics)


class Index:
    """Counts the lines of a file. grid: bytes of a stretch. place: up to where it is read; whole lines only."""

    def __init__(self, grid: int = GRID) -> None:
        self.grid = grid
        self.place = 0
        self._looked = 0  # up to here the line at `place` has no end
        self.seen = 0  # the size of the file whose whole lines are read
        self.levels = Levels()  # before the line at `place`
        self._counts = {name: array("I") for name in ("progress", "metrics", "others", "warnings", "errors")}
        self._stretches = 0
        self._before: dict[int, Levels] = {}  # stretch -> where its first line finds a report

    @staticmethod
    def grid_of(size: int) -> int:
        """The bytes of a stretch for a file of this size."""
        grid = GRID
        while size > grid * STRETCHES // 2:
            grid *= 2
        return grid

    def __len__(self) -> int:
        return self._stretches

    def __getitem__(self, stretch: int) -> Stretch:
        if stretch >= len(self):  # the middle of a long line
            return Stretch(0, 0, 0, 0, 0)
        counts = {name: column[stretch] for name, column in self._counts.items()}
        return Stretch(**counts)

    def total(self, name: str) -> int:
        """The number of lines of a kind."""
        return sum(self._counts[name])

    def knows(self, stretch: int) -> bool:
        """Whether all of a stretch is read."""
        return (stretch + 1) * self.grid <= self.place

    def before(self, stretch: int) -> Levels:
        """How the first line of a stretch is to be judged, as far as that is known."""
        known = self._before.get(stretch)
        return known.copied() if known else Levels()

    def read(self, descriptor: int, size: int, budget_s: float | None = None) -> bool:
        """Reads on, for some `budget_s` seconds; whether there may be more to read. size: of the file."""
        end = None if budget_s is None else time.monotonic() + budget_s
        while self.place < size and self._step(descriptor, size):
            if end is not None and time.monotonic() >= end:
                return True
        self.seen = size
        return False

    def _step(self, descriptor: int, size: int) -> bool:
        """Takes one part of the file; False when it holds no whole line yet."""
        stretch = self.place // self.grid
        inside = min((stretch + 1) * self.grid - self.place, LONGEST)  # bytes in which the lines of this part begin
        data = os.pread(descriptor, inside + MARGIN, self.place)
        last = LINE_END.search(data, inside - 1) if len(data) > inside else None
        length = last.end() if last and last.end() < len(data) else whole(data[:inside])
        if not length:
            return self._take_long(descriptor, size)
        self._open(stretch)
        self._take(data[:length])
        self.place += length
        return True

    def _open(self, stretch: int) -> None:
        while len(self) <= stretch:
            for column in self._counts.values():
                column.append(0)
            self._stretches += 1
            if len(self) == stretch + 1 and not self.levels.idle:
                self._before[stretch] = self.levels.copied()

    def _take(self, data: bytes) -> None:
        """Takes whole lines, which begin at the index's place in its last stretch."""
        counts, place, others = [0, 0, 0, 0], self.place, []
        for segment in data.splitlines(keepends=True):
            if b"%|" in segment:
                start = place
                for length, kind in parts(segment):
                    counts[kind] += 1
                    if kind == PLAIN:
                        others.append((start, segment[start - place :]))
                    start += length
            elif segment.isspace():
                counts[ERASED] += 1
                if not segment.endswith(b"\r"):  # it may end a report
                    others.append((place, segment))
            else:
                kind = kind_of(segment, segment.endswith(b"\r")) if len(segment) < LONGEST else PLAIN
                counts[kind] += 1
                if kind == PLAIN:
                    others.append((place, segment[:LONGEST]))
            place += len(segment)
        if b"\0" in data or b"\x1b" in data:
            counts[PLAIN] -= sum(is_blank(raw) and not raw.isspace() for _, raw in others)
        self._add(counts, self._judge(others))

    def _judge(self, others: Sequence[tuple[int, bytes]]) -> list[int]:
        """How many of the lines that are neither progress nor metrics have which level."""
        levels, graves = self.levels, [0, 0, 0]
        text = b"".join(raw for _, raw in others)
        signs = [sign for sign in SIGNS if sign in text]
        if levels.idle and not signs:
            return graves
        for place, raw in others:
            if not levels.idle or any(sign in raw for sign in signs):
                graves[levels.of(Line(place, place, PLAIN, raw))] += 1
        return graves

    def _add(self, counts: list[int], graves: list[int]) -> None:
        self._counts["progress"][-1] += counts[PROGRESS]
        self._counts["metrics"][-1] += counts[METRIC]
        self._counts["others"][-1] += counts[PLAIN]
        self._counts["warnings"][-1] += graves[WARNING]
        self._counts["errors"][-1] += graves[ERROR]

    def _take_long(self, descriptor: int, size: int) -> bool:
        """Takes a line that ends in another stretch, or goes on looking for its end; False when it has none yet."""
        looked = max(self._looked, self.place + 1)
        end = long_end(descriptor, looked, min(size, looked + LOOK))
        if end is None:
            self._looked = max(self.place + 1, min(size, looked + LOOK) - 1)
            return size > looked + LOOK
        lines = list(read_lines(descriptor, self.place, self.place + 1, end))
        self._open(self.place // self.grid)
        counts = [0, 0, 0, 0]
        for line in lines:
            counts[ERASED if line.kind == PLAIN and is_blank(line.raw) else line.kind] += 1
        self._add(counts, self._judge([(line.start, line.raw) for line in lines if line.kind == PLAIN]))
        self.place = end
        return True
