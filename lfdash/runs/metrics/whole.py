"""How fast a run was, as a whole: what is told of one that is over, by all that show it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lfdash.runs.metrics.frame import TRAINED, MetricFrame

ELSEWHERE = 1.5  # pauses between two lines; a run whose first line is farther from 0 went on from another one

Point = tuple[float, float, float]  # step, seconds since the training began, tokens (NaN: not counted)


@dataclass(frozen=True)
class Whole:
    """The whole training of a run; steps that were trained again count once. seconds: what it took, over all launches,
    with evaluations and saving. steps_per_s, tokens_per_s: until its last training step, what was evaluated there
    included; as LLaMA-Factory's own `throughput` of the last line, where that run was not resumed. None: its log does
    not say."""

    seconds: float | None = None
    steps_per_s: float | None = None
    tokens_per_s: float | None = None


UNTOLD = Whole()


def whole_of(first: Point, second: Point | None, last: Point, seconds: float) -> Whole:
    """The whole, by the first, the second (None = there is one only) and the last line with a loss. seconds: of the
    last line of all; NaN where it has none."""
    begin = (0.0, 0.0, 0.0)
    if second is not None and first[0] > ELSEWHERE * (second[0] - first[0]):
        begin = first  # its time and tokens are not those of its steps
    made, took, tokens = (end - start for end, start in zip(last, begin, strict=True))
    return Whole(rate(seconds, 1.0), rate(made, took), rate(tokens, took))


def rate(amount: float, seconds: float) -> float | None:
    """An amount a second; None where that is none."""
    found = amount / seconds if seconds > 0 else math.nan
    return found if math.isfinite(found) and found > 0 else None


def whole_frame(frame: MetricFrame) -> Whole:
    """The whole of a run, by its columns."""
    seconds = frame["seconds"]
    known = np.isfinite(seconds)
    trained = np.flatnonzero((frame.marks & TRAINED > 0) & known)
    if not len(trained):
        return UNTOLD
    def at(number: int) -> Point:
        place = trained[number]
        return float(frame["step"][place]), float(seconds[place]), float(frame["tokens"][place])

    return whole_of(at(0), at(1) if len(trained) > 1 else None, at(-1), float(seconds[known][-1]))
