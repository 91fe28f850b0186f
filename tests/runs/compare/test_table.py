"""The table of numbers: of real feeds, and against a plain look at their logs."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lfdash.machine.history import columns_of
from lfdash.runs.compare.table import Measured, NumberRow, Numbers, numbers_of, peak_memory
from lfdash.runs.metrics.feed import RunFeed
from lfdash.runs.paths import RunPaths
from tests.support.feeds import fed

Log = list[tuple[int, float]]  # step, loss
LOGS = st.lists(
    st.dictionaries(st.integers(1, 60), st.floats(0.01, 9), min_size=1, max_size=12).map(
        lambda log: sorted(log.items())
    ),
    min_size=1, max_size=4,
)


def measured(folder: Path, rows: list[dict[str, Any]], duration: float | None = None) -> Measured:
    folder.mkdir(parents=True)
    paths = RunPaths(folder)
    paths.trainer_log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    feed = RunFeed(paths)
    feed.poll()
    return Measured(feed, duration)


def plain_rows(log: Log) -> list[dict[str, Any]]:
    return [{"current_steps": step, "total_steps": 60, "loss": loss, "epoch": step / 20} for step, loss in log]


def row(found: Numbers, what: str, column: str = "loss") -> tuple[float | None, ...]:
    (values,) = [one.values for one in found.rows if (one.what, one.column) == (what, column)]
    return values


def mean_until(log: Log, where: float, span: float) -> tuple[float | None, float | None]:
    """The slow way: each value halved for every `span` steps that it is older than the last one until there."""
    before = [point for point in log if point[0] <= where]
    if not before:
        return None, None
    end = before[-1][0]
    weights = [0.5 ** ((end - step) / span) for step, _ in before]
    return sum(w * loss for w, (_, loss) in zip(weights, before, strict=True)) / sum(weights), end


@settings(max_examples=30)  # each writes and reads files
@given(LOGS)
def test_numbers_are_those_of_a_plain_look(logs: list[Log]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        runs = [measured(Path(folder) / str(place), plain_rows(log)) for place, log in enumerate(logs)]
        found = numbers_of(runs)
    where = min(log[-1][0] for log in logs)
    assert found.where == where and found.shortest == tuple(
        place for place, log in enumerate(logs) if log[-1][0] == where
    )
    assert row(found, "best") == tuple(min(loss for _, loss in log) for log in logs)
    assert row(found, "last") == tuple(log[-1][1] for log in logs)
    assert row(found, "length", "step") == tuple(log[-1][0] for log in logs)
    there = next((one for one in found.rows if one.what == "at"), None)
    wanted = [mean_until(log, where, there.span if there else 1.0) for log in logs]
    assert there is not None and there.steps == tuple(step for _, step in wanted)
    for value, (mean, _) in zip(there.values, wanted, strict=True):
        assert value == (None if mean is None else pytest.approx(mean, rel=1e-5))


def test_equal_tokens_and_who_has_logged_none(tmp_path: Path) -> None:
    def tokens(each: int, steps: int) -> list[dict[str, Any]]:
        return [{"current_steps": n, "loss": 10.0 - n, "total_tokens": n * each} for n in range(1, steps + 1)]

    runs = [
        measured(tmp_path / "a", tokens(100, 8)), measured(tmp_path / "b", tokens(200, 3)),
        measured(tmp_path / "c", plain_rows([(1, 1.0)])), Measured(None, 5.0),
    ]
    found = numbers_of(runs, "tokens")
    assert (found.axis, found.where, found.shortest, found.lacking) == ("tokens", 600.0, (1,), (2,))
    assert at_row(found).steps == (6.0, 3.0, None, None) and at_row(found).span == 2.0
    means = [mean_until([(n, 10.0 - n) for n in range(1, last + 1)], last, 2.0)[0] for last in (6, 3)]
    assert row(found, "at") == (*(pytest.approx(mean) for mean in means), None, None)
    assert row(found, "tokens", "tokens") == (800.0, 600.0, None, None)
    assert row(found, "duration", "duration") == (None, None, None, 5.0)
    assert numbers_of(runs[2:], "tokens").axis == "step"


def at_row(found: Numbers, column: str = "loss") -> NumberRow:
    (one,) = [one for one in found.rows if (one.what, one.column) == ("at", column)]
    return one


def test_the_training_loss_is_told_smoothed_and_an_evaluation_as_it_was_logged(tmp_path: Path) -> None:
    rows = [{"current_steps": n, "loss": float(n % 2)} for n in range(1, 101)]
    rows += [{"current_steps": n, "eval_loss": float(n)} for n in (20, 90)]
    found = numbers_of([measured(tmp_path / "a", sorted(rows, key=lambda one: one["current_steps"]))])
    loss, evaluation = at_row(found), at_row(found, "eval_loss")
    assert loss.values == (pytest.approx(0.5, abs=0.2),) and (loss.steps, loss.span) == ((100.0,), 2.0)
    assert (evaluation.values, evaluation.steps, evaluation.span) == ((90.0,), (90.0,), 0.0)
    assert {(one.what, one.column) for one in found.rows if one.smoothed} == {("at", "loss")}


def test_between_two_evaluations_it_is_the_one_before(tmp_path: Path) -> None:
    """Nothing was measured at step 50: a value between those of 40 and 80 is nobody's."""
    def evaluated(steps: int) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for n in range(10, steps + 1, 10):
            rows.append({"current_steps": n, "loss": 1.0})
            rows += [{"current_steps": n, "eval_loss": 9.0 - n / 10}] if n % 40 == 0 else []
        return rows

    found = numbers_of([measured(tmp_path / "a", evaluated(50)), measured(tmp_path / "b", evaluated(80))])
    assert found.where == 50.0
    assert (at_row(found, "eval_loss").values, at_row(found, "eval_loss").steps) == ((5.0, 5.0), (40.0, 40.0))


def test_one_half_life_for_all_by_the_shortest(tmp_path: Path) -> None:
    """That of the longest would make a mean over all of the shortest."""
    def trained(steps: int, every: int) -> list[dict[str, Any]]:
        return [{"current_steps": n, "loss": 1.0} for n in range(every, steps + 1, every)]

    short, long = measured(tmp_path / "a", trained(500, 1)), measured(tmp_path / "b", trained(10_000, 10))
    assert at_row(numbers_of([short])).span == 10.0 and at_row(numbers_of([long])).span == 200.0
    assert at_row(numbers_of([short, long])).span == at_row(numbers_of([long, short])).span == 20.0  # 2 values of it


def test_what_runs_took(tmp_path: Path) -> None:
    rows = [
        {"current_steps": n, "loss": 1.0, "total_tokens": 100 * n, "throughput": 50.0, "vram_reserved": 2.0 + n % 3}
        for n in range(1, 11)
    ]
    found = numbers_of([measured(tmp_path / "a", rows)])
    assert row(found, "speed", "tokens_per_s") == (pytest.approx(50.0),)
    assert row(found, "steps", "steps_per_s") == (pytest.approx(0.5),)
    assert row(found, "memory", "memory") == (4.0,)


def test_nothing_logged_and_no_number(tmp_path: Path) -> None:
    assert numbers_of([Measured(), measured(tmp_path / "a", [])]).rows == ()
    dead = measured(tmp_path / "b", [{"current_steps": n, "loss": math.nan} for n in (1, 2)])
    assert [one.what for one in numbers_of([dead]).rows] == ["length"]


def test_the_most_memory_of_a_device() -> None:
    rows = [
        {"time": 1.0, "devices": {"nvidia:0": {"memory_used": 3 << 30}, "nvidia:1": {"memory_used": 5 << 30}}},
        {"time": 2.0, "devices": {"nvidia:0": {"memory_used": 4 << 30}, "nvidia:1": {}}},
    ]
    assert peak_memory(columns_of(rows)) == 5.0 and peak_memory(columns_of([{"time": 1.0}])) is None
    assert peak_memory(columns_of([])) is None
    found = numbers_of([Measured(device_memory=5.0), Measured()])
    assert row(found, "device_memory", "memory") == (5.0, None)


def test_a_last_loss_that_is_no_number_is_not_replaced_by_the_one_before(tmp_path: Path) -> None:
    """Of a run that has ended, and of one that goes on, whose next step may have one again."""
    for name, total in (("over", 2), ("goes on", 99)):
        rows = [{"current_steps": n, "total_steps": total, "loss": loss} for n, loss in ((1, 0.5), (2, math.nan))]
        run, good = measured(tmp_path / name, rows), measured(tmp_path / f"{name} 2", plain_rows([(1, 2.0), (2, 1.0)]))
        found = numbers_of([run, good])
        first, second = row(found, "last")
        assert first is not None and math.isnan(first) and second == 1.0
        there = row(found, "at")[0]
        assert total == 99 or (there is not None and math.isnan(there))


def test_a_run_that_learns_nothing_does_not_win(tmp_path: Path) -> None:
    """transformers logs a loss that is no number as 0."""
    losses = [6.5, 6.25, 0.0, 0.0, 0.0, 0.0]
    rows = [{"current_steps": n, "total_steps": 6, "loss": loss} for n, loss in enumerate(losses, 1)]
    history = [{"step": n, "loss": loss, "grad_norm": 1.0 if loss else math.nan} for n, loss in enumerate(losses, 1)]
    dead = Measured(fed(tmp_path / "dead", rows, history=history))
    good = measured(tmp_path / "good", [{"current_steps": n, "loss": 3.0 - n / 10} for n in range(1, 7)])
    assert dead.dead_since == 3
    found = numbers_of([dead, good])
    assert row(found, "best") == (6.25, pytest.approx(2.4))
    for what, wanted in (("at", 2.556), ("last", 2.4)):
        assert math.isnan(row(found, what)[0] or 0) and row(found, what)[1] == pytest.approx(wanted, abs=1e-3)
    shorter = measured(tmp_path / "shorter", [{"current_steps": n, "loss": 3.0} for n in range(1, 3)])
    there = at_row(numbers_of([dead, shorter]))
    assert there.values == (pytest.approx(6.35, abs=0.05), 3.0) and there.steps == (2.0, 2.0)


def test_the_run_that_sets_the_length_has_a_value_there(tmp_path: Path) -> None:
    """Its last line, of the end of the training, has no loss."""
    closing = {"current_steps": 12, "total_steps": 12, "epoch": 1.0}
    trained = [{"current_steps": n, "total_steps": 12, "loss": 2.0} for n in (5, 10)]
    short = measured(tmp_path / "a", [*trained, closing])
    long = measured(tmp_path / "b", [{"current_steps": n, "total_steps": 40, "loss": n / 10} for n in range(5, 45, 5)])
    found = numbers_of([short, long])
    assert (found.where, found.shortest, at_row(found).steps) == (10.0, (0,), (10.0, 10.0))
    assert row(found, "at") == (2.0, pytest.approx(0.793, abs=1e-3))
    assert row(found, "length", "step") == (12.0, 40.0)
