"""Numbers of runs beside each other: best, last, at the same x, and how they stand to a baseline. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lfdash.runs.metrics.frame import MetricFrame

Column = npt.NDArray[np.float64]

# the end of a name -> which way is better; the first that fits (names of transformers, trl and LLaMA-Factory)
ENDS: tuple[tuple[str, int], ...] = (
    ("loss", -1), ("perplexity", -1), ("accuracy", 1), ("accuracies", 1), ("margins", 1), ("reward", 1),
    ("rewards/chosen", 1), ("bleu-4", 1), ("rouge-1", 1), ("rouge-2", 1), ("rouge-l", 1),
)
# of the benchmarks of `llamafactory-cli eval`
NAMES = {"average": 1, "stem": 1, "humanities": 1, "social sciences": 1, "other": 1}


def better(name: str) -> int:
    """Which way a quantity is better: 1 = the higher, -1 = the lower, 0 = neither, as far as is known. Time, speed and
    memory are neither: they say what a run took, on that machine and for that many steps, not what came of it."""
    folded = name.casefold()
    return NAMES.get(folded) or next((way for end, way in ENDS if folded.endswith(end)), 0)


@dataclass(frozen=True)
class Change:
    """How a value stands to that of the baseline. percent: of the baseline; None where that says nothing (a baseline
    of 0, another sign). way: 1 = better, -1 = worse, 0 = the same, None = neither."""

    difference: float
    percent: float | None
    way: int | None


def change(name: str, value: float | None, base: float | None) -> Change | None:
    """The change of a quantity from a baseline; None where one of the two is no number."""
    if value is None or base is None or not (math.isfinite(value) and math.isfinite(base)):
        return None
    difference = value - base
    meaningful = base != 0 and (value == 0 or (value > 0) == (base > 0))
    percent = 100.0 * difference / abs(base) if meaningful else None
    if percent is not None and not math.isfinite(percent):
        percent = None
    sense = better(name)
    if difference == 0:
        return Change(0.0, percent, 0)
    return Change(difference, percent, None if sense == 0 else (1 if difference * sense > 0 else -1))


def best(frame: MetricFrame, name: str, before: float | None = None) -> tuple[float, float] | None:
    """(value, step) of the best of a column, the first of equals; None without a number, or where no way is better.
    before: what came at this step or later does not count."""
    way = better(name)
    if way == 0 or name not in frame:
        return None
    steps, values = frame.series(name)
    if before is not None:
        steps, values = steps[steps < before], values[steps < before]
    if len(values) == 0:
        return None
    place = int(np.argmax(values) if way > 0 else np.argmin(values))
    return float(values[place]), float(steps[place])


def last(frame: MetricFrame, name: str) -> float | None:
    """The newest value of a column, NaN where it is no number; None where there is none at all."""
    if name not in frame:
        return None
    steps, values = frame.series(name)
    if len(values) == 0:
        return math.nan
    return float(values[int(np.argmax(steps))])


def logged_at(x: Column, where: float) -> int | None:
    """The place of the last value that was logged at a place of x (ascending), or before; None where none was."""
    place = int(np.searchsorted(x, where, side="right")) - 1
    return place if place >= 0 else None


def reached(frame: MetricFrame, axis: str) -> float | None:
    """How far a run is on an axis; None where it does not have that."""
    values = frame[axis] if axis in frame else np.empty(0)
    known = values[np.isfinite(values)]
    return float(known.max()) if len(known) else None


def common_end(ends: Iterable[float | None]) -> float | None:
    """The farthest place that all runs have reached which have the axis at all; None without any."""
    known = [end for end in ends if end is not None and end > 0]
    return min(known, default=None)


def columns_of(frames: Sequence[MetricFrame]) -> tuple[str, ...]:
    """The quantities that any of the runs has, the usual ones first."""
    aside = {"step", "epoch", "tokens", "seconds"}
    names = {name for frame in frames for name in frame.columns if name not in aside and holds(frame, name)}
    usual = [name for name in USUAL if name in names]
    return (*usual, *sorted(names - set(usual), key=lambda name: (not name.startswith("eval"), name)))


USUAL = (
    "loss", "eval_loss", "rewards/margins", "rewards/accuracies", "rewards/chosen", "rewards/rejected", "kl", "reward",
    "accuracy", "learning_rate", "grad_norm", "tokens_per_s", "vram_allocated", "vram_reserved",
)


def holds(frame: MetricFrame, name: str) -> bool:
    """Whether a column has any number."""
    return name in frame and bool(np.isfinite(frame[name]).any())


def largest(frame: MetricFrame, names: Sequence[str]) -> float | None:
    """The largest value of the first of some columns that has one."""
    for name in names:
        if holds(frame, name):
            return float(np.nanmax(frame[name][np.isfinite(frame[name])]))
    return None


def ranks(values: Mapping[str, float | None], way: int) -> frozenset[str]:
    """Whose value is the best of several; nobody where no way is better, or all are the same."""
    known = {name: value for name, value in values.items() if value is not None and math.isfinite(value)}
    if way == 0 or len(set(known.values())) < 2:
        return frozenset()
    top = (max if way > 0 else min)(known.values())
    return frozenset(name for name, value in known.items() if value == top)


def ranks_by_stage(values: Sequence[float | None], stages: Sequence[str], way: int) -> frozenset[int]:
    """The places of the best of each stage; runs of an unknown one ("") are compared with nobody."""
    found: set[int] = set()
    for stage in {stage for stage in stages if stage}:
        part = {str(place): values[place] for place, one in enumerate(stages) if one == stage}
        found |= {int(place) for place in ranks(part, way)}
    return frozenset(found)
