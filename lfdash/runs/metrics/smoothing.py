"""The de-biased exponential mean of a series that grows."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from lfdash.runs.metrics.frame import Column

EVERY = 4096  # values between two states that are kept, and that are summed at once
STEEPEST = 600.0  # exponent of e up to which a stretch is summed in one go
NOTHING = 1e-18  # a weight that adds nothing any more
SHORTEST = 1e-3  # steps; a shorter half-life is none
SHARE = 50  # of a run's steps, one part of which is the usual half-life


def default_span(planned: float | None, last: float, logged: float = 1.0) -> float:
    """The half-life in steps where nobody chose one. planned: the run's last step, if known; last: the newest; logged:
    steps between two values."""
    return ladder_at(max((planned or last) / SHARE, 2 * logged))


def ladder_at(span: float) -> float:
    """The nearest value of 1, 2, 5, 10, 20 ... to a half-life; at least 1."""
    if not span > 1:
        return 1.0
    ten = 10.0 ** math.floor(math.log10(span))
    return min((ten * step for step in (1, 2, 5, 10)), key=lambda value: abs(math.log(value / span)))


class Mean:
    """After each value: the sum of all so far, each halved for every `span` steps that have passed since, over the same
    sum of ones. So it neither lags at the start, nor does a value change what was drawn before it.

    Memory: 4 bytes a value, for the last is drawn only.
    """

    def __init__(self, span: float) -> None:
        self._rate = -np.log(2.0) / max(span, SHORTEST)  # of the decay, a step
        self._values: npt.NDArray[np.float32] = np.empty(EVERY, np.float32)
        self._size = 0
        self._kept = np.empty((4, 3))  # before values 0, EVERY, 2 * EVERY ...: sum, weights, step of the value before
        self._state = (0.0, 0.0, 0.0)

    @property
    def values(self) -> npt.NDArray[np.float32]:
        """The mean at each value so far."""
        return self._values[: self._size]

    @property
    def nbytes(self) -> int:
        """Bytes in use."""
        return 4 * self._size

    def cut(self, size: int) -> None:
        """Values from rank `size` on have changed, or are no more."""
        if size >= self._size:
            return
        number = size // EVERY
        self._size = number * EVERY
        self._state = (float(self._kept[number, 0]), float(self._kept[number, 1]), float(self._kept[number, 2]))

    def build(self, steps: Column, values: Column) -> None:
        """Takes the values that came since; all are given, with their steps (ascending)."""
        if len(values) > len(self._values):
            room = max(len(values), 2 * len(self._values))
            self._values = np.concatenate((self.values, np.empty(room - self._size, np.float32)))
        while self._size < len(values):
            begin = self._size
            if begin % EVERY == 0:
                self._keep(begin // EVERY)
            end = min(len(values), begin - begin % EVERY + EVERY)
            self._values[begin:end] = self._sum(steps[begin:end], values[begin:end])
            self._size = end

    def _keep(self, number: int) -> None:
        if number >= len(self._kept):
            self._kept = np.concatenate((self._kept, np.empty_like(self._kept)))
        self._kept[number] = self._state

    def _sum(self, steps: Column, values: Column) -> Column:
        total, weight, before = self._state
        if not weight:
            before = float(steps[0])
        if len(values) == 1:
            decay = float(np.exp(self._rate * (steps[0] - before)))
            total, weight = total * decay + float(values[0]), weight * decay + 1.0
            self._state = (total, weight, float(steps[0]))
            return np.array([total / weight])
        totals, weights = decayed(np.concatenate(([before], steps)), values, self._rate, total, weight)
        self._state = (float(totals[-1]), float(weights[-1]), float(steps[-1]))
        return totals / weights


def decayed(steps: Column, values: Column, rate: float, total: float, weight: float) -> tuple[Column, Column]:
    """The decayed sums of values and of ones at each of them. steps: one more than values, the first is of the state.

    Where it fits into a float, all is weighed by its age against the first value and summed in one go. Where the decay
    is faster, by doubling: each round adds to every sum the one that ends where it begins.
    """
    sums = np.stack((values, np.ones_like(values)))
    sums[:, 0] += np.array((total, weight)) * np.exp(rate * (steps[1] - steps[0]))
    at = steps[1:]
    age = rate * (at - at[0])
    if age[-1] > -STEEPEST:
        growth = np.exp(-age)
        sums = np.cumsum(sums * growth, axis=1) / growth
        return sums[0], sums[1]
    width = 1
    while width < len(values):
        fade = np.exp(rate * (at[width:] - at[:-width]))
        if fade.max() < NOTHING:
            break
        sums[:, width:] = sums[:, width:] + sums[:, :-width] * fade
        width *= 2
    return sums[0], sums[1]
