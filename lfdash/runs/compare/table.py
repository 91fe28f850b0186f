"""The table of numbers of runs beside each other: one row a number, one column a run. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from lfdash.machine.history import MachineColumns
from lfdash.runs.compare.numbers import best, better, columns_of, common_end, largest, last, logged_at, reached
from lfdash.runs.metrics.frame import TRAINED, MetricFrame
from lfdash.runs.metrics.smoothing import default_span
from lfdash.runs.metrics.whole import whole_frame

STEP, LOSS = "step", "loss"
EVAL = "eval_"  # begins what is measured now and then
MOST_COLUMNS = 12  # quantities that have rows
MEMORY = ("vram_reserved", "vram_allocated")  # GiB; the first that a run has
# columns that say how a run was trained, not what came of it: no best, no last
ASIDE = frozenset({"learning_rate", "grad_norm", "tokens_per_s", *MEMORY})


class Curve(Protocol):
    """A line of points, ascending in x."""

    @property
    def x(self) -> Any:
        """Where they stand."""

    @property
    def y(self) -> Any:
        """Their values."""

    @property
    def place(self) -> Any:
        """Their places in the run's columns."""


class Feed(Protocol):
    """What is used of a run's feed (lfdash.runs.metrics.feed.RunFeed)."""

    @property
    def frame(self) -> MetricFrame:
        """Its columns."""

    @property
    def dead_since(self) -> float | None:
        """The step since which it has learned nothing; None while it may learn."""

    def draw(
        self, column: str, *, x: Any = STEP, span: float = 0.0, lo: float | None = None, hi: float | None = None,
        points: int = 2000,
    ) -> Curve:
        """One column as a line."""


@dataclass(frozen=True)
class Measured:
    """A run whose numbers are told. recorded: seconds of all its attempts, as far as its record tells; of a run without
    one those of its log's last launch. has_record: whether it has one. device_memory: GiB, the most that was seen used
    on one of its devices, by whomever."""

    feed: Feed | None = None
    recorded: float | None = None
    device_memory: float | None = None
    has_record: bool = True

    @property
    def frame(self) -> MetricFrame | None:
        """Its columns; None where it has logged nothing."""
        return self.feed.frame if self.feed is not None and len(self.feed.frame) else None

    @property
    def duration(self) -> float | None:
        """Seconds of all its launches, as far as known: of a run without a record its log tells them."""
        told = None if self.has_record or self.frame is None else whole_frame(self.frame).seconds
        return self.recorded if told is None else told

    @property
    def dead_since(self) -> float | None:
        """The step since which its losses are none, though they may be logged as 0."""
        return self.feed.dead_since if self.feed is not None else None


@dataclass(frozen=True)
class NumberRow:
    """A number of each run. what: "best", "at" (logged last at the same place or before), "last", "duration", "speed",
    "steps", "memory", "device_memory", "length", "tokens". column: the quantity, of which is known which way is better.
    values: NaN where it is no number, None where there is none. steps: where it was logged. span: half-life in steps
    of the mean over what was logged until then, 0 = the value itself."""

    what: str
    column: str
    values: tuple[float | None, ...]
    steps: tuple[float | None, ...] = ()
    span: float = 0.0

    @property
    def smoothed(self) -> bool:
        """Whether the values are means over what was logged until then."""
        return self.span > 0


@dataclass(frozen=True)
class Numbers:
    """The rows. axis, where: the place to which all runs have come that have this axis, None without one. shortest: the
    numbers of the runs that go no farther. lacking: those that have logged something, but not this axis."""

    rows: tuple[NumberRow, ...]
    axis: str = STEP
    where: float | None = None
    shortest: tuple[int, ...] = ()
    lacking: tuple[int, ...] = ()


def numbers_of(runs: Sequence[Measured], axis: str = STEP) -> Numbers:
    """The table of some runs. axis: on which they are compared at the same place; the steps where no run has it."""
    frames = [run.frame for run in runs]
    known = [frame for frame in frames if frame is not None]
    if not any(reached(frame, axis) for frame in known):
        axis = STEP
    ends = [None if frame is None else trained_to(frame, axis) for frame in frames]
    where = common_end(ends)
    span = 0.0 if where is None else common_span(known, axis, where)
    columns = [name for name in columns_of(known) if name not in ASIDE][:MOST_COLUMNS]
    rows = [row for name in columns for row in rows_of(name, runs, axis, where, span)]
    return Numbers(
        tuple(row for row in (*rows, *side_rows(runs)) if any(value is not None for value in row.values)), axis, where,
        shortest=tuple(place for place, end in enumerate(ends) if where is not None and end == where),
        lacking=tuple(place for place, end in enumerate(ends) if end is None and frames[place] is not None),
    )


def trained_to(frame: MetricFrame, axis: str) -> float | None:
    """How far a run has come with a training loss; its closing line has none, and no curve goes there."""
    trained = frame.marks & TRAINED > 0
    known = frame[axis][trained & np.isfinite(frame[axis])] if axis in frame else np.empty(0)
    return float(known.max()) if len(known) else reached(frame, axis)


def common_span(frames: Sequence[MetricFrame], axis: str, where: float) -> float:
    """The half-life in steps of what is told of all runs at a place of an axis: the usual one of a run that ends there,
    of that with the fewest steps; no shorter than two values of the run that logs most seldom. So it is the same for
    all runs, however far they went on, and whatever is chosen for the curves."""
    lengths, intervals = [], []
    for frame in frames:
        trained = frame.marks & TRAINED > 0 if (frame.marks & TRAINED).any() else np.ones(len(frame), bool)
        steps = frame[STEP][trained & (frame[axis] <= where)] if axis in frame else np.empty(0)
        if len(steps):
            lengths.append(float(steps[-1]))
            intervals.append(float(steps[-1] - steps[0]) / max(len(steps) - 1, 1))
    return default_span(None, min(lengths), max(intervals)) if lengths else 0.0


def rows_of(name: str, runs: Sequence[Measured], axis: str, where: float | None, span: float) -> Iterable[NumberRow]:
    """The rows of one quantity."""
    if better(name):
        found = [None if (frame := run.frame) is None else best(frame, name, run.dead_since) for run in runs]
        values, steps = ([None if pair is None else pair[part] for pair in found] for part in (0, 1))
        yield NumberRow("best", name, tuple(values), tuple(steps))
    if where is not None:
        own = 0.0 if name.startswith(EVAL) else span  # few and far between: as they are
        there = [at(run, name, axis, where, own) for run in runs]
        values, steps = ([None if pair is None else pair[part] for pair in there] for part in (0, 1))
        yield NumberRow("at", name, tuple(values), tuple(steps), own)
    yield NumberRow("last", name, tuple(newest(run, name) for run in runs))


def newest(run: Measured, name: str) -> float | None:
    """The last value of a quantity; the loss of a run whose newest one is no number, or that learns nothing, is NaN, as
    in the list of runs (summary.py)."""
    if run.frame is None:
        return None
    if name == LOSS:
        trained = np.flatnonzero(run.frame.marks & TRAINED)
        if run.dead_since is not None or (len(trained) and not np.isfinite(run.frame[LOSS][trained[-1]])):
            return math.nan
    return last(run.frame, name)


def at(run: Measured, name: str, axis: str, where: float, span: float) -> tuple[float, float | None] | None:
    """(value, step) of what a run has logged last at a place or before, NaN without a step where it learned nothing any
    more; None where it has logged nothing until there. span: half-life in steps of the mean up to it, 0 = as logged."""
    if run.feed is None or run.frame is None or name not in run.frame:
        return None
    if name == LOSS and run.dead_since is not None:
        learned = run.frame[axis][run.frame[STEP] < run.dead_since]
        if not np.any(learned >= where):
            return math.nan, None
    curve = run.feed.draw(name, x=axis, span=span, lo=where, hi=where)
    place = logged_at(np.asarray(curve.x), where)
    return None if place is None else (float(curve.y[place]), float(run.frame[STEP][curve.place[place]]))


def side_rows(runs: Sequence[Measured]) -> Iterable[NumberRow]:
    """The rows of what the runs took."""
    frames = [run.frame for run in runs]

    def each(what: str, column: str, read: Any) -> NumberRow:
        return NumberRow(what, column, tuple(None if frame is None else read(frame) for frame in frames))

    yield NumberRow("duration", "duration", tuple(run.duration for run in runs))
    yield each("length", STEP, lambda frame: reached(frame, STEP))
    yield each("tokens", "tokens", lambda frame: reached(frame, "tokens"))
    yield each("speed", "tokens_per_s", lambda frame: whole_frame(frame).tokens_per_s)
    yield each("steps", "steps_per_s", lambda frame: whole_frame(frame).steps_per_s)
    yield each("memory", "memory", lambda frame: largest(frame, MEMORY))
    yield NumberRow("device_memory", "memory", tuple(run.device_memory for run in runs))


def peak_memory(columns: MachineColumns) -> float | None:
    """GiB, as PyTorch logs its own: the most that was in use on one of a run's devices; None where nothing was seen."""
    used = [device.memory_used for device in columns.devices.values()]
    known = np.concatenate(used) if used else np.empty(0)
    known = known[np.isfinite(known)]
    return float(known.max()) / (1 << 30) if len(known) else None
