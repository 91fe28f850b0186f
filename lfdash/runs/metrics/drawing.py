"""A column -> few points to draw, over steps, epochs, tokens or time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from lfdash.runs.metrics.columns import Columns
from lfdash.runs.metrics.frame import Column, Places
from lfdash.runs.metrics.series import Series

Axis = Literal["step", "epoch", "tokens", "seconds"]
AXES: tuple[Axis, ...] = ("step", "epoch", "tokens", "seconds")


def no_places() -> Places:
    return np.empty(0, np.int64)


@dataclass(frozen=True)
class Curve:
    """Points of a line, ascending in x. place: of each in the run's columns."""

    x: Column = field(default_factory=lambda: np.empty(0))
    y: Column = field(default_factory=lambda: np.empty(0))
    place: Places = field(default_factory=no_places)

    def __len__(self) -> int:
        return len(self.x)


class Ruler:
    """A column as an axis: its values made ascending, a gap as the value before. Grows with the column; nothing is
    copied where it ascends by itself."""

    def __init__(self, columns: Columns, name: str) -> None:
        self._columns, self._name = columns, name
        self._built = 0
        self._filled: Column | None = None
        columns.watch(name, self)

    @property
    def nbytes(self) -> int:
        """Bytes in use beside the column."""
        return 0 if self._filled is None else 8 * self._built

    def spoil(self, place: int) -> None:
        """See `columns.Watcher`."""
        self._built = min(self._built, place)

    def values(self) -> Column:
        """As long as the columns; -inf before the first number."""
        column = self._columns.view(self._name)
        begin = max(0, self._built - 1)
        part = column[begin:]
        if self._filled is None and not bool(np.all(part[1:] >= part[:-1]) and (not len(part) or part[0] == part[0])):
            self._filled, self._built, begin, part = np.empty(0), 0, 0, column
        if self._filled is None:
            self._built = len(column)
            return column
        if len(column) > len(self._filled):
            self._filled = np.resize(self._filled, max(len(column), 2 * len(self._filled)))
        before = self._filled[begin] if begin < self._built else -np.inf
        part = np.maximum.accumulate(np.where(np.isfinite(part), part, -np.inf))
        self._filled[begin : len(column)] = np.maximum(part, before)
        self._built = len(column)
        return self._filled[: len(column)]


def draw(
    series: Series, axis: Column, *, span: float, lo: float | None, hi: float | None, points: int,
    stop: int | None = None,
) -> Curve:
    """See `RunFeed.draw`. axis: ascending, a value a place. stop: the place before which the line ends; None = at the
    last one."""
    values, pyramid = series.drawn(span)
    size = len(series) if stop is None else series.rank(stop)
    begin = 0 if lo is None else series.rank(int(np.searchsorted(axis, lo)))
    end = size if hi is None else min(size, series.rank(int(np.searchsorted(axis, hi, side="right"))))
    begin, end = min(begin, size), max(min(begin, size), end)
    ranks = pyramid.pick(values, begin, end, max(points, 2))
    if begin:
        ranks = np.concatenate(([begin - 1], ranks))
    if end < size:
        ranks = np.concatenate((ranks, [end]))
    elif len(ranks) and ranks[-1] != end - 1:  # where the run is now, though it is no end of its stretch
        ranks = np.concatenate((ranks, [end - 1]))
    places = series.places(ranks)
    x = axis[places]
    known = np.isfinite(x)
    return Curve(x[known], values[ranks][known].astype(np.float64), places[known])
