"""One column as it is drawn: without its gaps, with its best values, its means and what is needed to draw it with few
points. All of it grows with the column."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import numpy.typing as npt

from lfdash.runs.metrics.columns import Columns
from lfdash.runs.metrics.frame import Column, Places
from lfdash.runs.metrics.pyramid import Pyramid, Values
from lfdash.runs.metrics.smoothing import Mean

MOST_MEANS = 3  # spans of one column whose means are kept
LARGEST = float(np.finfo(np.float32).max)  # a spoiled row may say anything; more is not drawn


class Series:
    """The values of one column that are numbers, by rank: 0 is the first of them.

    As long as the column has no gap nothing is copied; then 12 bytes a value.
    """

    def __init__(self, columns: Columns, name: str) -> None:
        self._columns, self.name = columns, name
        self._built = 0  # places of the column that were looked at
        self._size = 0
        self._dense = True  # whether ranks are places
        self._places: npt.NDArray[np.int32] = np.empty(0, np.int32)
        self._values: Column = np.empty(0)
        self._pyramid = Pyramid()
        self._means: OrderedDict[float, tuple[Mean, Pyramid]] = OrderedDict()
        self._best: dict[bool, tuple[int, int]] = {}  # largest? -> rank, how many were looked at
        columns.watch(name, self)

    def __len__(self) -> int:
        return self._size

    @property
    def nbytes(self) -> int:
        """Bytes in use beside the column."""
        own = self._pyramid.nbytes + (0 if self._dense else 12 * self._size)
        return own + sum(mean.nbytes + pyramid.nbytes for mean, pyramid in self._means.values())

    @property
    def values(self) -> Column:
        """The values by rank."""
        return self._columns.view(self.name)[: self._size] if self._dense else self._values[: self._size]

    def places(self, ranks: Places) -> Places:
        """The places of some ranks."""
        return ranks if self._dense else self._places[ranks].astype(np.int64)

    def rank(self, place: int) -> int:
        """The first rank at a place or beyond it."""
        if self._dense:
            return min(place, self._size)
        return int(np.searchsorted(self._places[: self._size], place))

    def spoil(self, place: int) -> None:
        """See `columns.Watcher`."""
        if place >= self._built:
            return
        size = self.rank(place)
        self._built, self._size = place, size
        self._pyramid.cut(size)
        for mean, pyramid in self._means.values():
            mean.cut(size)
            pyramid.cut(size)
        for largest, (rank, seen) in list(self._best.items()):
            if rank >= size:
                del self._best[largest]
            else:
                self._best[largest] = (rank, min(seen, size))

    def sync(self) -> None:
        """Takes what the column has gained."""
        column = self._columns.view(self.name)
        fresh = column[self._built :]
        known = np.abs(fresh) <= LARGEST
        if self._dense and not known.all():
            self._dense = False
            self._places = np.arange(self._size, dtype=np.int32)
            self._values = column[: self._size].copy()
        if self._dense:
            self._size = len(column)
        else:
            self._extend(np.flatnonzero(known) + self._built, fresh[known])
        self._built = len(column)

    def _extend(self, places: Places, values: Column) -> None:
        size = self._size + len(places)
        if size > len(self._places):
            room = max(size, 2 * len(self._places))
            self._places, self._values = np.resize(self._places, room), np.resize(self._values, room)
        self._places[self._size : size], self._values[self._size : size] = places, values
        self._size = size

    def drawn(self, span: float) -> tuple[Values, Pyramid]:
        """Values by rank and their pyramid: of the means over a half-life of `span` steps, or as they were logged where
        it is 0."""
        self.sync()
        if not span > 0:
            self._pyramid.build(self.values)
            return self.values, self._pyramid
        mean, pyramid = self._means.setdefault(span, (Mean(span), Pyramid()))
        self._means.move_to_end(span)
        if len(self._means) > MOST_MEANS:
            self._means.popitem(last=False)
        steps = self._columns.view("step")
        mean.build(steps[: self._size] if self._dense else steps[self._places[: self._size]], self.values)
        pyramid.build(mean.values)
        return mean.values, pyramid

    def best(self, *, largest: bool) -> int | None:
        """The place of the smallest value, or of the largest; the first of equal ones."""
        self.sync()
        if not self._size:
            return None
        values, (rank, seen) = self.values, self._best.get(largest, (0, 0))
        if seen < self._size:
            fresh = values[seen:]
            found = seen + int(fresh.argmax() if largest else fresh.argmin())
            if not seen or (values[found] > values[rank] if largest else values[found] < values[rank]):
                rank = found
            self._best[largest] = (rank, self._size)
        return int(self.places(np.array([rank]))[0])
