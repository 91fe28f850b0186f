"""The losses of a run as the rules look at them: one level a few logged steps, grown with the log and never made anew.

A level is the median of a block of rows, a spread the median distance from it: one outlier changes neither. Blocks are
fixed places of the table, so what was taken does not change as the run grows. Work on a look: what is new, and the last
rows. Memory: 24 bytes a block.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lfdash.runs.metrics.frame import OVERFLOWN, TRAINED, Column, MetricFrame, Segment

EVAL_LOSS = "eval_loss"
BLOCK = 5  # rows of a level
TAIL = 64  # newest rows that are looked at one by one
FEW = 10  # losses that make the level beside an evaluation
MOST = 2000  # blocks that are looked at at once
PIECE = 100_000  # blocks that are taken at once


@dataclass(frozen=True)
class Evaluated:
    """One evaluation: its loss, and the level of the training loss then (NaN when there was none)."""

    step: float
    loss: float
    level: float


def floats(values: array[float]) -> Column:
    """The numbers of an array, copied: an array that is looked into cannot grow."""
    return np.array(values, dtype=np.float64)


def middle(rows: npt.NDArray[np.float64]) -> tuple[Column, Column]:
    """(median, median distance from it) of each row of a table, as far as it has numbers; NaN where it has none."""
    level = median_of(rows)
    return level, median_of(np.abs(rows - level[:, None]))


def median_of(rows: npt.NDArray[np.float64]) -> Column:
    """The median of each row, its NaNs left out."""
    rows = np.sort(rows, axis=1)  # NaN comes last
    count = np.isfinite(rows).sum(axis=1)
    place = np.arange(len(rows))
    low, high = rows[place, np.maximum(count - 1, 0) // 2], rows[place, np.minimum(count // 2, rows.shape[1] - 1)]
    return np.where(count > 0, (low + high) / 2, math.nan)


class LossLevels:
    """Follows the columns of one run. `take` brings it up to date; the rest answers for what was taken.

    best: the lowest level, best_step: the last step of its block. first: the first level. peak: the highest learning
    rate. rate: the newest one. step: the newest step.
    """

    def __init__(self) -> None:
        self._frame = MetricFrame({"step": np.empty(0)})
        self.dead_since: float | None = None
        self.planned: int | None = None
        self._reset()

    def _reset(self) -> None:
        self._steps, self._levels, self._spreads = array("d"), array("d"), array("d")
        self._rows = 0  # that blocks were made of
        self._segments: tuple[Segment, ...] = ()
        self._evaluated: dict[str, list[Evaluated]] = {}  # by column
        self._scanned: dict[str, int] = {}  # rows of each that were looked through
        self.best, self.best_step, self.first, self.peak = math.nan, math.nan, math.nan, 0.0

    def take(self, frame: MetricFrame, dead_since: float | None = None, planned: int | None = None) -> None:
        """Looks at what the columns gained. dead_since, planned: as the run's feed says."""
        self.dead_since, self.planned = dead_since, planned
        if frame.origin is not self._frame.origin:
            self._reset()
        self._frame, self._segments = frame, frame.segments
        whole = max(0, len(frame) - 1) // BLOCK * BLOCK  # the newest row may still get values
        while self._rows < whole:
            end = min(whole, self._rows + PIECE * BLOCK)
            self._add(self._rows, end)
            self._rows = end
        self._scan(max(0, len(frame) - 1))

    def _add(self, begin: int, end: int) -> None:
        """Takes whole blocks."""
        frame = self._frame
        loss = frame["loss"][begin:end] if "loss" in frame else np.full(end - begin, math.nan)
        levels, spreads = middle(np.where(np.isfinite(loss), loss, math.nan).reshape(-1, BLOCK))
        steps = frame["step"][begin:end].reshape(-1, BLOCK)[:, -1]
        for held, new in ((self._steps, steps), (self._levels, levels), (self._spreads, spreads)):
            held.frombytes(np.ascontiguousarray(new, dtype=np.float64).tobytes())
        if "learning_rate" in frame:
            rates = frame["learning_rate"][begin:end]
            self.peak = max(self.peak, float(np.max(rates, initial=0.0, where=np.isfinite(rates))))
        known = np.isfinite(levels)
        if not known.any():
            return
        if math.isnan(self.first):
            self.first = float(levels[np.argmax(known)])
        place = int(np.argmin(np.where(known, levels, math.inf)))
        if not levels[place] >= self.best:  # also where there was none
            self.best, self.best_step = float(levels[place]), float(steps[place])

    def _scan(self, end: int) -> None:
        """Looks for evaluations in the rows before the newest, which may still get values. What the console says of
        several datasets may come later than the rows: it is waited for."""
        for name in self.evaluated:
            begin = self._scanned.get(name, 0)
            places = np.flatnonzero(np.isfinite(self._frame[name][begin:end])) + begin
            self._evaluated.setdefault(name, []).extend(self._at(name, int(place)) for place in places)
            found = int(places[-1]) + 1 if len(places) else begin
            self._scanned[name] = max(end, begin) if name == EVAL_LOSS else found

    def _at(self, name: str, place: int) -> Evaluated:
        """The evaluation in a row."""
        begin = max(0, place + 1 - 2 * FEW)
        level = math.nan
        if "loss" in self._frame:
            known = self._frame["loss"][begin : place + 1]
            known = known[np.isfinite(known)][-FEW:]
            level = float(np.median(known)) if len(known) else math.nan
        return Evaluated(float(self._frame["step"][place]), float(self._frame[name][place]), level)

    # -- what the rules ask -----------------------------------------------------------------------------

    @property
    def step(self) -> int | None:
        """The newest step."""
        return int(self._frame["step"][-1]) if len(self._frame) else None

    @property
    def rate(self) -> float:
        """The newest learning rate; NaN when there is none."""
        if "learning_rate" not in self._frame:
            return math.nan
        rates = self._frame["learning_rate"][-TAIL:]
        rates = rates[np.isfinite(rates)]
        return float(rates[-1]) if len(rates) else math.nan

    @property
    def scores(self) -> bool:
        """Whether a loss says little of what is learned: PPO's, whose reward does."""
        return "reward" in self._frame

    @property
    def evaluated(self) -> tuple[str, ...]:
        """The columns of evaluation losses: the one, and those of several datasets."""
        return (*((EVAL_LOSS,) if EVAL_LOSS in self._frame else ()), *self._frame.each_eval)

    def evaluations(self, name: str = EVAL_LOSS) -> Iterator[Evaluated]:
        """All evaluations whose losses are in a column, the newest first."""
        last = len(self._frame) - 1
        if last >= 0 and name in self._frame and math.isfinite(self._frame[name][last]):
            yield self._at(name, last)
        yield from reversed(self._evaluated.get(name, ()))

    def newest(self) -> tuple[Column, Column, Column]:
        """(steps, losses, gradient norms) of the last rows of this launch that are of training, NaN where one is no
        finite number."""
        begin = max(len(self._frame) - TAIL, self._segments[-1].place if self._segments else 0)
        rows = slice(begin, len(self._frame))
        if "loss" not in self._frame:
            return np.empty(0), np.empty(0), np.empty(0)
        trained = (self._frame.marks[rows] & TRAINED) > 0
        steps, losses = self._frame["step"][rows], self._frame["loss"][rows]
        return steps[trained], losses[trained], self._norms(rows)[trained]

    def _norms(self, rows: slice) -> Column:
        known = "grad_norm" in self._frame
        norms = self._frame["grad_norm"][rows] if known else np.full(rows.stop - rows.start, math.nan)
        return np.where((self._frame.marks[rows] & OVERFLOWN) > 0, math.inf, norms)

    def dead_rows(self) -> int:
        """Rows since the loss is no number."""
        if self.dead_since is None:
            return 0
        return len(self._frame) - int(np.searchsorted(self._frame["step"], self.dead_since))

    def window(self, steps: float) -> tuple[Column, Column, Column]:
        """(last steps, levels, spreads) of the blocks of the last `steps` steps; of very many only each second, third
        and so on, so that the newest is among them."""
        begin = self._place((self.step or 0) - steps)
        every = max(1, (len(self._steps) - begin) // MOST)
        return self._blocks(slice(begin + (len(self._steps) - 1 - begin) % every, None, every))

    def before(self, step: float, count: int) -> tuple[Column, Column, Column]:
        """The same of the last `count` blocks that end before a step."""
        end = self._place(step)
        return self._blocks(slice(max(0, end - count), end))

    def _place(self, step: float) -> int:
        """The first block that ends at a step or later."""
        return bisect_left(self._steps, step)

    def _blocks(self, part: slice) -> tuple[Column, Column, Column]:
        return floats(self._steps[part]), floats(self._levels[part]), floats(self._spreads[part])
