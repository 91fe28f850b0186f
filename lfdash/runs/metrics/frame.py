"""What a run has logged, as columns by step, to be looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from lfdash.runs.metrics.line import NAN

Column = npt.NDArray[np.float64]
Marks = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]

# key in trainer_log.jsonl (train/callbacks.py, LogCallback) -> column
COLUMNS = {
    "loss": "loss",
    "eval_loss": "eval_loss",
    "lr": "learning_rate",
    "learning_rate": "learning_rate",  # until LLaMA-Factory 0.9
    "epoch": "epoch",
    "accuracy": "accuracy",
    "reward": "reward",
    "total_tokens": "tokens",
    "vram_allocated": "vram_allocated",
    "vram_reserved": "vram_reserved",
}
DERIVED = ("seconds", "tokens_per_s", "grad_norm")
KNOWN = frozenset({"step", *COLUMNS.values(), *DERIVED})

# bits of the marks of a place, which tell what a NaN cannot
TRAINED = 1  # a training loss was logged, if only as NaN
EVALUATED = 2  # an evaluation was logged, or another line without a loss
OVERFLOWN = 4  # a gradient norm was printed that is no finite number
TOLD = 8  # the trainer's state has told of it, with all digits
EVAL_NAN = 32  # the loss of an evaluation was logged that is no number
AGAIN = 16  # a training loss was logged more than once at this step, as a launch began with it


@dataclass(frozen=True)
class Segment:
    """Where a launch after the first begins. place: of its first row; step: of that."""

    place: int
    step: int


@dataclass(frozen=True)
class MetricFrame:
    """Columns of equal length, ascending by step, one row a step; NaN where a step has no such value. Nothing is
    copied: the arrays are views of what grows behind them, and read-only.

    `columns`: what was logged, by name, in the order in which it came. `frame[name]` is there for every known column,
    too; `name in frame` says whether it holds any value. `segments`: where launches after the first begin. `marks`: the
    bits TRAINED, EVALUATED, OVERFLOWN of each row. `origin`: the same object in frames of which the later one has only
    gained rows at its end, and values.
    """

    columns: Mapping[str, Column]
    segments: tuple[Segment, ...] = ()
    marks: Marks = field(default_factory=lambda: np.empty(0, np.uint8))
    origin: object = field(default_factory=object, compare=False, repr=False)

    def __getitem__(self, name: str) -> Column:
        """KeyError for a name that is neither known nor logged."""
        if name in self.columns:
            return self.columns[name]
        if name not in KNOWN:
            raise KeyError(name)
        return np.full(len(self), NAN)

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def __len__(self) -> int:
        return len(self.columns["step"])

    @property
    def each_eval(self) -> tuple[str, ...]:
        """The columns of the losses on each of several evaluation datasets."""
        return tuple(sorted(filter(is_each_eval, self.columns)))

    @property
    def eval_nan(self) -> float | None:
        """The step of the newest evaluation, where its loss is no number."""
        places = np.flatnonzero(self.marks & EVAL_NAN)
        if not len(places) or np.isfinite(self["eval_loss"][places[-1] + 1 :]).any():
            return None
        return float(self["step"][places[-1]])

    def series(self, name: str) -> tuple[Column, Column]:
        """(steps, values) of one column, without its gaps."""
        known = np.isfinite(self[name])
        return self["step"][known], self[name][known]


def is_each_eval(name: str) -> bool:
    """Whether this is the column of the losses on one of several evaluation datasets: eval_<dataset>_loss."""
    return name.startswith("eval_") and name.endswith("_loss") and name != "eval_loss"
