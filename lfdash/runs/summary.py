"""One line about a run's losses, from the rows of its trainer log: best, last, and a small curve."""

from __future__ import annotations

import errno
import math
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from lfdash.runs.log_reader import Cursor, LogRow, read_new
from lfdash.runs.metrics.feed import RunFeed
from lfdash.runs.metrics.launches import Kind, Launches
from lfdash.runs.metrics.line import number, seconds
from lfdash.runs.metrics.whole import UNTOLD, Whole, whole_of
from lfdash.runs.paths import RunPaths

POINTS = 30  # of the small curve, at most
DIGITS = 5  # significant, of a point


@dataclass(frozen=True)
class Summary:
    """best, best_eval: the lowest training and evaluation loss, and the steps they were reached at; None without
    any number. last, last_eval: the newest of each (NaN when the training diverged). spark: at most 30 means of equal
    stretches of the training loss, oldest first. dead_step: since which step the loss is no number (metrics/feed.py,
    dead_since); None while the run may learn. whole: time and speed of the whole training.
    """

    best: float | None = None
    best_step: int | None = None
    best_eval: float | None = None
    best_eval_step: int | None = None
    last: float | None = None
    spark: tuple[float, ...] = ()
    last_eval: float | None = None
    dead_step: int | None = None
    whole: Whole = UNTOLD


NOTHING = Summary()


@dataclass
class Curve:
    """Values over ascending steps, 16 bytes each."""

    steps: array[float] = field(default_factory=lambda: array("d"))
    values: array[float] = field(default_factory=lambda: array("d"))

    def put(self, step: float, value: float) -> None:
        """Adds a value; one of the same step is replaced, one that comes too late is left out."""
        if self.steps and step == self.steps[-1]:
            self.values[-1] = value
        elif not self.steps or step > self.steps[-1]:
            self.steps.append(step)
            self.values.append(value)

    def cut(self, step: float) -> None:
        """Forgets what came at `step` or later: it is trained again."""
        place = bisect_left(self.steps, step)
        del self.steps[place:]
        del self.values[place:]

    def best(self, before: int | None = None) -> tuple[float | None, int | None]:
        """The lowest number and its step. before: what came at this step or later does not count."""
        values = np.frombuffer(self.values, dtype=np.float64) if self.values else np.empty(0)
        if before is not None:
            values = values[: bisect_left(self.steps, before)]
        if not np.isfinite(values).any():
            return None, None
        place = int(np.argmin(np.where(np.isfinite(values), values, np.inf)))
        return float(values[place]), int(self.steps[place])

    def at(self, step: float) -> float:
        """The value of a step; NaN where it has none."""
        place = bisect_left(self.steps, step)
        return self.values[place] if place < len(self.steps) and self.steps[place] == step else math.nan

    def last(self) -> float | None:
        """The value of the last step."""
        return self.values[-1] if self.values else None

    def spark(self, points: int = POINTS) -> tuple[float, ...]:
        """Means of at most `points` stretches of equal length."""
        values = np.array(self.values, dtype=np.float64)
        values = values[np.isfinite(values)]
        if len(values) == 0:
            return ()
        stretches = np.array_split(values, min(points, len(values)))
        return tuple(float(f"{part.mean():.{DIGITS}g}") for part in stretches)


class Digest:
    """Sums up one log, row by row, in the order of the file.

    After a resume only what leads to the run's present weights counts: steps that are trained again replace the
    earlier ones.
    """

    def __init__(self) -> None:
        self._loss, self._eval = Curve(), Curve()
        self._clock, self._tokens = Curve(), Curve()  # seconds over all launches
        self._launches = Launches()
        self._base = 0.0  # seconds of the launches before

    def add(self, rows: Sequence[LogRow]) -> None:
        """Takes rows; those without a step are passed over."""
        for row in rows:
            step = number(row.get("current_steps"))
            if math.isfinite(step):
                self._add(row, step)

    def _add(self, row: LogRow, step: float) -> None:
        when = seconds(row)
        if step > 0:  # the last line of an evaluation goes back to 0 and begins nothing
            trains = "loss" in row
            kind = self._launches.take_row(row, step, when)
            if kind is Kind.AFTER and math.isfinite(when) and self._clock.steps:
                self._clock.put(self._clock.steps[-1], when + self._base)
            if kind in (Kind.BESIDE, Kind.AFTER):
                return
            if kind is Kind.BEGINS:
                for curve in (self._loss, self._eval, self._clock, self._tokens):
                    curve.cut(step if trains else math.nextafter(step, math.inf))
                self._base = self._clock.last() or 0.0
            for value, curve in ((when + self._base, self._clock), (number(row.get("total_tokens")), self._tokens)):
                if math.isfinite(value):
                    curve.put(step, value)
        for key, curve in (("loss", self._loss), ("eval_loss", self._eval)):
            if row.get(key) is not None:
                curve.put(step, number(row[key]))

    def whole(self) -> Whole:
        """Time and speed of the whole training."""
        steps = self._loss.steps
        ends = [*islice(filter(self._is_timed, steps), 2), *islice(filter(self._is_timed, reversed(steps)), 1)]
        if not ends:
            return UNTOLD
        first, *others = ((step, self._clock.at(step), self._tokens.at(step)) for step in ends)
        return whole_of(first, others[0] if len(ends) > 2 else None, others[-1], self._clock.values[-1])

    def _is_timed(self, step: float) -> bool:
        return not math.isnan(self._clock.at(step))

    @property
    def looks_dead(self) -> bool:
        """Whether the newest loss is such as a run has that learns nothing: no number, or 0, as transformers logs it
        (`logging_nan_inf_filter`); then the gradient norms tell. Whether it is the only one, the feed tells."""
        newest = self._loss.last()
        return newest is not None and (newest == 0 or not math.isfinite(newest))

    def summary(self, dead_step: int | None = None) -> Summary:
        """What the rows so far say. dead_step: since when the losses are none, though they may look like numbers."""
        best, best_step = self._loss.best(dead_step)
        best_eval, best_eval_step = self._eval.best(dead_step)
        losses = (self._loss.last(), self._loss.spark(), self._eval.last())
        if dead_step is not None:
            losses = (math.nan, losses[1], losses[2])
        return Summary(best, best_step, best_eval, best_eval_step, *losses, dead_step, self.whole())


class LogDigest:
    """Follows the trainer log of one run."""

    def __init__(self, paths: RunPaths) -> None:
        self._path = paths.trainer_log
        self._cursor = Cursor()
        self._digest = Digest()
        self._summary: Summary | None = None  # of the rows so far; None = to be made
        self._feed = RunFeed(paths)  # read for the few runs only whose losses look dead

    def read(self, limit: int) -> bool:
        """Reads at most `limit` bytes on; whether the end was reached. A replaced file is read anew. OSError
        when reading failed; then nothing is changed."""
        rows, cursor = read_new(self._path, self._cursor, limit)
        start = self._cursor.offset
        if cursor.generation != self._cursor.generation:
            self._digest, self._summary, start = Digest(), None, 0
        self._cursor = cursor
        if rows:
            self._digest.add(rows)
            self._summary = None
        return cursor.offset - start < limit

    @property
    def summary(self) -> Summary:
        """What was read so far; the same object as long as nothing was added. OSError when the console is needed and
        could not be read."""
        if self._summary is None:
            self._summary = self._digest.summary()
        if self._digest.looks_dead and self._summary.dead_step is None:
            self._feed.poll()  # the console may tell more than before
            if self._feed.reading is not None:
                raise OSError(errno.EAGAIN, "not read to its end", str(self._path))
            since = self._feed.dead_since
            if since is not None:
                self._summary = self._digest.summary(int(since))
        return self._summary
