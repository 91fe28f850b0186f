"""The smallest and the largest of fixed stretches of a series that grows, for drawing it with few points."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lfdash.runs.metrics.frame import Places

FINEST = 4  # the smallest stretch that is kept has 2**FINEST values
Values = npt.NDArray[np.floating]
Ranks = npt.NDArray[np.int32]


class Ends:
    """Of each whole stretch of one length: the ranks of its smallest and its largest value (the first of equal
    ones)."""

    def __init__(self) -> None:
        self.size = 0
        self._low: Ranks = np.empty(16, np.int32)
        self._high: Ranks = np.empty(16, np.int32)

    @property
    def low(self) -> Ranks:
        return self._low[: self.size]

    @property
    def high(self) -> Ranks:
        return self._high[: self.size]

    @property
    def nbytes(self) -> int:
        return 8 * self.size

    def add(self, low: Places, high: Places) -> None:
        size = self.size + len(low)
        if size > len(self._low):
            room = max(size, 2 * len(self._low))
            self._low, self._high = np.resize(self._low, room), np.resize(self._high, room)
        self._low[self.size : size], self._high[self.size : size] = low, high
        self.size = size


class Pyramid:
    """Keeps `Ends` for stretches of 16, 32, 64 ... values of a series. Adding a value costs the same however long the
    series is; memory: one byte a value."""

    def __init__(self) -> None:
        self._levels: list[Ends] = []

    @property
    def nbytes(self) -> int:
        """Bytes in use."""
        return sum(level.nbytes for level in self._levels)

    def cut(self, size: int) -> None:
        """Values from rank `size` on have changed, or are no more."""
        for number, level in enumerate(self._levels):
            level.size = min(level.size, size >> (FINEST + number))

    def build(self, values: Values) -> None:
        """Takes the values that came since; those of before are not looked at again."""
        whole = len(values) >> FINEST
        if not self._levels:
            self._levels.append(Ends())
        finest = self._levels[0]
        if whole > finest.size:
            begin = finest.size << FINEST
            stretches = values[begin : whole << FINEST].reshape(-1, 1 << FINEST)
            first = np.arange(begin, whole << FINEST, 1 << FINEST)
            finest.add(first + stretches.argmin(axis=1), first + stretches.argmax(axis=1))
        number = 1
        while whole := whole >> 1:
            if number == len(self._levels):
                self._levels.append(Ends())
            self._join(self._levels[number - 1], self._levels[number], whole, values)
            number += 1

    def _join(self, fine: Ends, coarse: Ends, whole: int, values: Values) -> None:
        if whole <= coarse.size:
            return
        pairs = slice(2 * coarse.size, 2 * whole)
        low, high = fine.low[pairs].reshape(-1, 2), fine.high[pairs].reshape(-1, 2)
        lower = values[low[:, 1]] < values[low[:, 0]]
        higher = values[high[:, 1]] > values[high[:, 0]]
        coarse.add(np.where(lower, low[:, 1], low[:, 0]), np.where(higher, high[:, 1], high[:, 0]))

    def pick(self, values: Values, begin: int, end: int, points: int) -> Places:
        """At most `points` ranks of begin..end, ascending: all, or the ends of each of its stretches. Stretches begin
        at multiples of their length, which is a power of two: they stay the same as the series grows."""
        if end - begin <= points:
            return np.arange(begin, end)
        shift = 1
        while 2 * ((end - 1 >> shift) - (begin >> shift) + 1) > points:
            shift += 1
        first, last = (begin >> shift) + 1, end >> shift  # whole stretches within
        edges = [(begin, min(first << shift, end)), (max(last, first) << shift, end)]
        parts = [ends_of(values, *edge) for edge in edges if edge[0] < edge[1]]
        if last > first:
            parts.insert(1, self._whole(values, shift, first, last))
        picked = np.concatenate(parts)
        fresh: npt.NDArray[np.bool_] = np.append(True, picked[1:] != picked[:-1])
        return picked[fresh]

    def _whole(self, values: Values, shift: int, first: int, last: int) -> Places:
        if shift >= FINEST:
            level = self._levels[shift - FINEST]
            return in_order(level.low[first:last], level.high[first:last])
        stretches = values[first << shift : last << shift].reshape(-1, 1 << shift)
        begin = np.arange(first << shift, last << shift, 1 << shift)
        return in_order(begin + stretches.argmin(axis=1), begin + stretches.argmax(axis=1))


def in_order(low: Ranks | Places, high: Ranks | Places) -> Places:
    """Two ranks of each of some stretches, all ascending."""
    ranks = np.empty(2 * len(low), np.int64)
    np.minimum(low, high, out=ranks[::2])
    np.maximum(low, high, out=ranks[1::2])
    return ranks


def ends_of(values: Values, begin: int, end: int) -> Places:
    """The ranks of the smallest and the largest value of a stretch, ascending."""
    part = values[begin:end]
    return np.array(sorted((begin + int(part.argmin()), begin + int(part.argmax()))))
