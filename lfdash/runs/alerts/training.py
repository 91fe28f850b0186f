"""Rules over what a run has logged. Each is true only where noise does not explain what it sees."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise, takewhile

import numpy as np

from lfdash.runs.alerts.alert import Facts, Found, Value
from lfdash.runs.alerts.levels import EVAL_LOSS, Evaluated, LossLevels
from lfdash.runs.metrics.frame import Column
from lfdash.runs.record import TERMINAL

Limits = Mapping[str, float]

ZEROS = 10  # losses of 0 in a row
NO_LOSS = 0.05  # what a loss falls to 0 from in small steps, as one that was learned to the end does
RECENT = 20  # blocks before the last rows, which tell how much the losses scatter
LEAST_RISE = 0.05  # losses have four digits
SCATTERS = 6.0  # spreads that are no accident
HALF = 12  # blocks of a half of a window, at least
DECAYED = 0.1  # of the highest learning rate: below it a loss that stands still is what a schedule is for
SLACK = 0.01  # share by which an evaluation may be better than the one before, and the row of worse ones goes on
LEARNED = 0.02  # share by which a training loss must have fallen
UNSURE = 3.0  # standard errors: the question is asked again and again
MIDDLE = 1.2533  # standard error of a median by that of a mean


def short(value: float) -> str:
    """A measured value for a sentence."""
    return f"{value:.4g}"


def nan_loss(facts: Facts, limits: Limits) -> Found | None:
    """Nothing is learned any more: the loss is no number, or 0 as transformers logs such a loss, or there is a loss but
    no gradient."""
    levels = facts.levels
    if levels is None:
        return None
    over = facts.view is not None and facts.view.state in TERMINAL  # its weights are what the last step has left
    if levels.dead_since is not None and (over or levels.dead_rows() >= limits["rows"]):
        return Found(int(levels.dead_since))
    steps, losses, norms = levels.newest()
    if len(losses) < ZEROS or np.any(norms[-ZEROS:] > 0):
        return None
    if np.all(norms[-ZEROS:] == 0) and np.all(losses[-ZEROS:] > NO_LOSS):
        flat = len(list(takewhile(lambda norm: norm == 0, norms[::-1])))
        return Found(int(steps[-flat]), {"loss": short(float(losses[-1]))}, "gradient")
    if np.any(losses[-ZEROS:] != 0):
        return None
    before = losses[losses != 0]
    if math.isnan(levels.first) or levels.first == 0 or (len(before) and before[-1] > NO_LOSS):
        zeros = len(list(takewhile(lambda loss: loss == 0, losses[::-1])))
        return Found(int(steps[-zeros]))
    return None


def diverged(facts: Facts, limits: Limits) -> Found | None:
    """The newest losses lie far above the best level, and above what scatter explains."""
    levels = facts.levels
    if levels is None or levels.scores or not levels.best > 0:  # a policy's loss is around 0, and tells nothing
        return None
    count = int(limits["rows"])
    steps, losses, _ = levels.newest()
    known = np.isfinite(losses)
    steps, losses = steps[known][-count:], losses[known][-count:]
    if len(losses) < count or steps[0] <= levels.best_step:
        return None
    now = float(np.sort(losses)[count // 5])  # four of five lie above
    rise = max(limits["rise"] / 100 * levels.first, LEAST_RISE)
    if now > levels.best + rise and now > levels.best + SCATTERS * scatter(levels, float(steps[0])):
        return Found(
            int(steps[0]),
            {"loss": short(float(np.median(losses))), "best": short(levels.best), "at": int(levels.best_step)},
        )
    return None


def scatter(levels: LossLevels, before: float) -> float:
    """How much the losses scatter within a block before a step."""
    _, _, spreads = levels.before(before, RECENT)
    known = spreads[np.isfinite(spreads)]
    return float(np.median(known)) if len(known) else 0.0


def plateau(facts: Facts, limits: Limits) -> Found | None:
    """The loss stands still for a good part of the run while the learning rate is high: it has never fallen, or the
    evaluations stand still as well."""
    levels = facts.levels
    if levels is None or levels.scores or levels.step is None or not levels.planned:
        return None
    if levels.peak > 0 and levels.rate < DECAYED * levels.peak:
        return None
    length = max(limits["steps"], limits["share"] / 100 * levels.planned)
    steps, medians, _ = levels.window(length)
    known = np.isfinite(medians)
    steps, medians = steps[known], medians[known]
    if len(medians) < 2 * HALF or levels.step - length < 0:
        return None
    gain = limits["gain"] / 100
    begin = levels.step - length
    if not stands_still(medians, gain):
        return None
    never = float(np.median(medians[len(medians) // 2 :])) > levels.first * (1 - 10 * gain)
    if not never and not evaluations_stand_still(levels, begin, gain):
        return None
    return Found(max(0, int(begin)), {"loss": short(float(np.median(medians))), "steps": int(length)})


def stands_still(medians: Column, gain: float) -> bool:
    """Whether the second half of some levels is surely not lower than the first by more than a share `gain`."""
    half = len(medians) // 2
    first, second = medians[:half], medians[-half:]
    before, after = float(np.median(first)), float(np.median(second))
    error = math.hypot(middle_error(first), middle_error(second))
    return before - after + UNSURE * error < gain * abs(before)


def middle_error(values: Column) -> float:
    """The standard error of the median of values."""
    return MIDDLE * float(np.std(values, ddof=1)) / math.sqrt(len(values))


def evaluations_stand_still(levels: LossLevels, begin: float, gain: float) -> bool:
    """Whether there were evaluations after `begin`, and none of them was better than the best before; of several
    datasets, on none."""
    names = levels.evaluated
    return bool(names) and all(stand_still_on(name, levels, begin, gain) for name in names)


def stand_still_on(name: str, levels: LossLevels, begin: float, gain: float) -> bool:
    """The same of the losses in one column."""
    losses = {True: math.inf, False: math.inf}
    count = 0
    for one in levels.evaluations(name):
        later = one.step > begin
        count += later
        losses[later] = min(losses[later], one.loss)
    return count >= 3 and losses[True] > losses[False] * (1 - gain) and math.isfinite(losses[False])


def overfit(facts: Facts, limits: Limits) -> Found | None:
    """The evaluations get worse one after the other while the training loss goes on falling; of several datasets, on
    any of them."""
    levels = facts.levels
    if levels is None or levels.scores:
        return None
    found = (overfit_on(name, levels, limits) for name in levels.evaluated)
    return next((one for one in found if one is not None), None)


def overfit_on(name: str, levels: LossLevels, limits: Limits) -> Found | None:
    """The same of the losses in one column; those of one of several datasets say which."""
    best: Evaluated | None = None
    later: list[Evaluated] = []  # the newest first
    so_far: list[Evaluated] = []
    for one in levels.evaluations(name):
        if best is None or one.loss <= best.loss:
            best, later = one, list(so_far)
        so_far.append(one)
    count = int(limits["evaluations"])
    if best is None or len(later) < count:
        return None
    newest, rise = later[0], limits["rise"] / 100 * abs(best.loss)
    worse = any(
        newest.loss > best.loss + rise / times and rises([one.loss for one in later[: times * count]], times * count)
        for times in (1, 2)  # after twice as many evaluations half of it will do
    )
    if worse and newest.level < best.level - LEARNED * abs(best.level):
        told: dict[str, Value] = {"eval_loss": short(newest.loss), "best": short(best.loss), "at": int(best.step)}
        if name != EVAL_LOSS:
            told["dataset"] = name.removeprefix("eval_").removesuffix("_loss")
        return Found(int(best.step), told)
    return None


def rises(losses: list[float], count: int) -> bool:
    """Whether there are so many losses, the newest first, and each is hardly below the one before it in time."""
    return len(losses) == count and all(after > before * (1 - SLACK) for after, before in pairwise(losses))
