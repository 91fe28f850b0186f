"""What a run of a sweep is measured by: one number for all that it has logged of the sweep's metric. Pure.

An evaluation is over the same rows each time, so its best value counts. What is logged while it trains is of one batch
each: the lowest of many is the one with the easiest rows, and the first ones tell nothing of what was learned. So there
the median of the last values counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from lfdash.jobs.sweep import Sweep

PART, FEWEST = 10, 3  # of the values the last tenth, but not fewer than three


@dataclass(frozen=True)
class Measured:
    """A run's value. at: the step of it, or of the last of those it is made of. of: how many it is the median of; 1 for
    the best one."""

    value: float
    at: int
    of: int


def measured(sweep: Sweep, steps: Sequence[float], values: Sequence[float]) -> Measured | None:
    """The value of a run; None without any. steps, values: what it has logged of the metric, in order, finite."""
    if not values:
        return None
    if sweep.metric.startswith("eval_"):
        sign = 1 if sweep.direction == "minimize" else -1
        value, step = min(zip(values, steps, strict=True), key=lambda pair: sign * pair[0])
        return Measured(value, int(step), 1)
    last = values[-max(FEWEST, math.ceil(len(values) / PART)) :]
    return Measured(median(last), int(steps[-1]), len(last))
