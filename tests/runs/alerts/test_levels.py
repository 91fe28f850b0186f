"""What is taken of the columns bit by bit is what the whole columns say, whatever comes between."""

from __future__ import annotations

import math
import time
from statistics import median
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lfdash.runs.alerts.levels import BLOCK, MOST, LossLevels
from lfdash.runs.metrics.frame import TRAINED, MetricFrame
from tests.support.columns import columns, grown_columns, until

VALUES = st.fixed_dictionaries({}, optional={
    "loss": st.one_of(st.floats(-5, 30), st.just(math.nan), st.just(math.inf), st.just(0.0)),
    "eval_loss": st.floats(0, 5), "learning_rate": st.floats(0, 1), "grad_norm": st.just(math.nan),
})
ADVANCE = st.sampled_from([0, 1, 1, 1, 1, 1, 1, 2, 7, -3, -30])  # steps to the next row; a resume goes back


def stepped(parts: list[tuple[int, dict[str, float]]]) -> list[dict[str, float]]:
    """Rows that mostly go forward."""
    rows, step = [], 0
    for advance, values in parts:
        step = max(1, step + advance)
        rows.append({"step": step, **values})
    return rows


ROWS = st.lists(st.tuples(ADVANCE, VALUES), max_size=80).map(stepped)


def told(levels: LossLevels) -> dict[str, Any]:
    """All that the rules can ask."""
    steps, medians, spreads = levels.window(math.inf)
    return {
        "blocks": [list(map(repr, column.tolist())) for column in (steps, medians, spreads)],
        "best": (repr(levels.best), repr(levels.best_step), repr(levels.first)), "peak": levels.peak,
        "rate": repr(levels.rate), "evaluations": list(map(repr, levels.evaluations())), "step": levels.step,
        "newest": [list(map(repr, column.tolist())) for column in levels.newest()],
    }


def plain_blocks(frame: MetricFrame) -> list[tuple[float, float, float]]:
    """(step, median, median distance) of each whole block of rows but the last row, one value after the other."""
    found = []
    losses = frame["loss"].tolist()
    for end in range(BLOCK, len(frame), BLOCK):
        known = [loss for loss in losses[end - BLOCK : end] if math.isfinite(loss)]
        level = median(known) if known else math.nan
        spread = median(abs(loss - level) for loss in known) if known else math.nan
        found.append((float(frame["step"][end - 1]), level, spread))
    return found


@settings(deadline=None, max_examples=200)
@given(ROWS, st.lists(st.integers(1, 80), max_size=12))
def test_bit_by_bit_is_as_at_once(rows: list[dict[str, float]], cuts: list[int]) -> None:
    """The rows of resumes too: a launch replaces what was there from its step on."""
    grown, once = LossLevels(), LossLevels()
    frames = grown_columns(rows)
    for count in sorted(cuts):
        grown.take(frames[min(count, len(rows))])
    grown.take(frames[-1])
    once.take(frames[-1])
    assert told(grown) == told(once)


@settings(deadline=None)
@given(ROWS)
def test_blocks_are_what_the_plain_way_says(rows: list[dict[str, float]]) -> None:
    frame = columns(rows)
    levels = LossLevels()
    levels.take(frame)
    expected = plain_blocks(frame)
    taken = np.array(levels.window(math.inf)).T
    assert taken == pytest.approx(np.array(expected).reshape(-1, 3), nan_ok=True)
    finite = [level for _, level, _ in expected if math.isfinite(level)]
    assert levels.best == pytest.approx(min(finite, default=math.nan), nan_ok=True)
    assert levels.first == pytest.approx(finite[0] if finite else math.nan, nan_ok=True)


@settings(deadline=None)
@given(ROWS)
def test_evaluations_are_all_rows_with_one_newest_first(rows: list[dict[str, float]]) -> None:
    frame = columns(rows)
    levels = LossLevels()
    levels.take(frame)
    values = zip(frame["step"].tolist(), frame["eval_loss"].tolist(), strict=True)
    expected = [(step, loss) for step, loss in values if math.isfinite(loss)]
    assert [(one.step, one.loss) for one in levels.evaluations()] == expected[::-1]


def test_the_newest_row_is_taken_once_another_has_come() -> None:
    """A line of an evaluation comes first, then that of the same step with the loss."""
    rows = [{"step": step, "loss": 1.0} for step in range(1, 5)] + [{"step": 5, "eval_loss": 2.0}]
    frames = grown_columns([*rows, {"step": 5, "loss": 9.0}, {"step": 6, "loss": 1.0}])
    levels = LossLevels()
    levels.take(frames[5])
    assert levels.window(math.inf)[0].tolist() == []
    levels.take(frames[7])
    steps, medians, spreads = levels.window(math.inf)
    assert (steps.tolist(), medians.tolist(), spreads.tolist()) == ([5.0], [1.0], [0.0])
    assert [(one.step, one.loss) for one in levels.evaluations()] == [(5.0, 2.0)]


def test_a_window_has_the_blocks_of_the_last_steps() -> None:
    levels = LossLevels()
    levels.take(columns({"step": step, "loss": step} for step in range(1, 102)))
    steps, medians, _ = levels.window(20)
    assert (steps.tolist(), medians.tolist()) == ([85.0, 90.0, 95.0, 100.0], [83.0, 88.0, 93.0, 98.0])


def test_of_very_many_blocks_some_are_looked_at_evenly_and_the_newest() -> None:
    steps = np.arange(1, 100_002, dtype=np.float64)
    levels = LossLevels()
    levels.take(MetricFrame({"step": steps, "loss": steps}, marks=np.full(len(steps), TRAINED, np.uint8)))
    seen, medians, _ = levels.window(math.inf)
    assert MOST <= len(seen) <= 2 * MOST and seen[-1] == 100_000 and set(np.diff(seen)) == {50.0}
    assert np.all(medians == seen - 2)
    assert levels.before(101, 3)[0].tolist() == [90.0, 95.0, 100.0]


def test_a_look_costs_the_same_however_long_the_run_is() -> None:
    """A million rows: first they are taken once, then a look sees what is new."""
    count = 1_000_000
    steps = np.arange(1, count + 1, dtype=np.float64)
    frame = MetricFrame(
        {"step": steps, "loss": 2 + np.sin(steps) / 10, "learning_rate": np.full(count, 1e-4)},
        marks=np.full(count, TRAINED, np.uint8),
    )
    levels = LossLevels()
    levels.take(until(frame, count - 1000))
    spent = []
    for rows in range(count - 999, count + 1, 10):
        part = until(frame, rows)
        begun = time.perf_counter()
        levels.take(part)
        spent.append(time.perf_counter() - begun)
    assert median(spent) < 0.001
