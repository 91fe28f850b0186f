"""Since when a run learns nothing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lfdash.runs.metrics.columns import Columns
from lfdash.runs.metrics.frame import OVERFLOWN, TRAINED

WIDTH = 64  # rows that are looked at, at first


class Dead:
    """Follows the newest losses: whether they are such as a run has that learns nothing.

    Not a number; or 0, as transformers logs such a loss (`logging_nan_inf_filter`): then the gradient norm tells. One
    such step means little (fp16 looks for its scale so), `fewest` in a row do; of a run that is over one is enough, as
    its weights are what the last step has left.
    """

    def __init__(self, columns: Columns, fewest: int) -> None:
        self._columns, self._fewest = columns, fewest
        self._first: int | None = None  # place of the first of the newest rows without a living one among them
        self._seen = 0  # rows that were looked at; -1: it has to be looked for again
        columns.watch("loss", self)
        columns.watch("grad_norm", self)

    def spoil(self, place: int) -> None:
        """See `columns.Watcher`."""
        if place < self._seen:
            known = self._first is not None and place > self._first
            self._first, self._seen = (self._first, place) if known else (None, -1)

    def since(self, over: bool = False) -> float | None:
        """The step since which the run has learned nothing; None while it may learn. over: no step comes any more."""
        size = len(self._columns)
        if "loss" not in self._columns:
            return None
        if self._seen < 0:
            self._look_back(size)
        else:
            alive, dead = self._judge(self._seen, size)
            if len(alive):
                self._first, dead = None, dead[dead > alive[-1]]
            if self._first is None and len(dead):
                self._first = int(dead[0])
        self._seen = size
        if self._first is None or not (over or self._is_long(self._first, size)):
            return None
        return float(self._columns.view("step")[self._first])

    def _look_back(self, end: int) -> None:
        width = WIDTH
        while end > 0:
            begin = max(0, end - width)
            alive, dead = self._judge(begin, end)
            if len(alive):
                dead = dead[dead > alive[-1]]
            if len(dead):
                self._first = int(dead[0])
            if len(alive):
                return
            end, width = begin, 4 * width

    def _is_long(self, begin: int, size: int) -> bool:
        count, width = 0, WIDTH
        while begin < size and count < self._fewest:
            count += len(self._judge(begin, min(begin + width, size))[1])
            begin, width = begin + width, 4 * width
        return count >= self._fewest

    def _judge(self, begin: int, end: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """The places of the rows with a loss that tells of life, and of those whose loss does not."""
        loss, marks = self._columns.view("loss")[begin:end], self._columns.marks[begin:end]
        trained = marks & TRAINED > 0
        dead = trained & (~np.isfinite(loss) | ((loss == 0) & (marks & OVERFLOWN > 0)))
        return np.flatnonzero(trained & ~dead) + begin, np.flatnonzero(dead) + begin
