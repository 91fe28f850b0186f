"""How long a disk still has room, by how its free space fell in the last minutes to hours."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean, median

WINDOWS_S = (30 * 60.0, 3 * 3600.0, 24 * 3600.0)  # the first that gives an answer does
SHORTEST_S = 5 * 60.0  # of what was seen, before anything is said
PARTS = 6  # of a window
EVERY_S = 30.0  # between two that are kept
FURTHEST_H = 90 * 24.0  # further off is no end at all


class FreeSpace:
    """The free space of a disk over the last day."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque(maxlen=int(WINDOWS_S[-1] / EVERY_S) + 1)
        self._speed = 0.0

    def add(self, seconds: float, free: float) -> None:
        """Notes how much is free. seconds: of a clock that nobody sets."""
        if not self._seen or seconds - self._seen[-1][0] >= EVERY_S:
            self._seen.append((seconds, free))
            self._speed = speed_of(self._seen)

    def hours(self, free: float) -> float | None:
        """Hours until nothing is free, of `free` bytes now; None while that cannot be said."""
        return until_full(self._speed, free)


def until_full(speed: float, free: float) -> float | None:
    """Hours until nothing of `free` bytes is left at so many bytes a second; None when that is no end."""
    hours = free / speed / 3600 if speed > 0 else FURTHEST_H
    return hours if hours < FURTHEST_H else None


def speed_of(seen: Sequence[tuple[float, float]]) -> float:
    """Bytes a second by which the free space of a disk falls; 0 while it does not, or that is not known.

    seen: (seconds, free bytes), ascending. Of each window the level in each of its parts is taken; it falls when most
    of them are lower than the one before, and as quick as they do without the quickest and the slowest. So neither one
    checkpoint nor a file that comes and goes is taken for a trend, and several checkpoints are. The shortest window
    that shows a fall counts.
    """
    if not seen or seen[-1][0] - seen[0][0] < SHORTEST_S:
        return 0.0
    end = seen[-1][0]
    for window in WINDOWS_S:
        begin = max(end - window, seen[0][0])
        speed = falling(seen, begin, end)
        if speed > 0 or begin == seen[0][0]:
            return speed
    return 0.0


def falling(seen: Sequence[tuple[float, float]], begin: float, end: float) -> float:
    """Bytes a second by which the free space falls between two times; 0 when it does not, or too little was seen."""
    length = (end - begin) / PARTS
    parts: list[list[tuple[float, float]]] = [[] for _ in range(PARTS)]
    for seconds, free in seen:
        if seconds >= begin:
            parts[min(PARTS - 1, int((seconds - begin) / length))].append((seconds, free))
    if not all(parts):
        return 0.0
    levels = [(median(seconds for seconds, _ in part), median(free for _, free in part)) for part in parts]
    speeds = sorted((before[1] - after[1]) / (after[0] - before[0]) for before, after in pairwise(levels))
    return fmean(speeds[1:-1]) if speeds[len(speeds) // 2] > 0 else 0.0
