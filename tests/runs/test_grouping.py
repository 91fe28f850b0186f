"""Rows in groups, each with its best and its mean; and which are the best of all."""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfdash.runs.details import RunDetails
from lfdash.runs.grouping import FEW, RANGES, Group, best_ids, can_group, grouped, marked_id, metric_of
from lfdash.runs.table import TableRow
from tests.runs.test_table import row


def sweep(*values: tuple[float | str | None, float | None]) -> list[TableRow]:
    return [
        row(f"r{n}", best=best, details=RunDetails({} if value is None else {"learning_rate": value}))
        for n, (value, best) in enumerate(values)
    ]


def test_a_sweep_by_its_learning_rate() -> None:
    rows = sweep((1e-4, 2.0), (5e-5, 3.0), (1e-4, 1.0), (None, 9.0), ("auto", None))
    groups = grouped(rows, "arg.learning_rate", "best")
    assert [(one.value, len(one.rows), one.best, one.mean, one.best_id) for one in groups] == [
        (5e-5, 1, 3.0, None, "id-r1"), (1e-4, 2, 1.0, 1.5, "id-r2"), ("auto", 1, None, None, None),
        (None, 1, 9.0, None, "id-r3"),
    ]
    assert groups[1].rows == (rows[0], rows[2])


def test_unknown_is_not_the_same_as_not_given() -> None:
    details = (RunDetails({"seed": 1}), RunDetails({"seed": 1}, partial=True), RunDetails())
    rows = [row(f"r{n}", details=one) for n, one in enumerate(details)]
    groups = grouped(rows, "arg.learning_rate", "best")
    assert [(one.value, one.unknown, one.rows) for one in groups] == [
        (None, False, (rows[0],)), (None, True, (rows[1], rows[2])),
    ]
    assert [(one.value, one.unknown) for one in grouped(rows, "arg.seed", "best")] == [(1, False), (None, True)]
    assert [(one.value, one.unknown) for one in grouped(rows, "tags", "best")] == [(None, False)]


def test_of_a_score_the_largest_is_the_best() -> None:
    rows = [row(f"r{n}", details=RunDetails({}, {"acc": value})) for n, value in enumerate((0.5, 0.75))]
    (group,) = grouped(rows, "model", "score.acc")
    assert (group.value, group.best, group.mean, group.best_id) == ("m", 0.75, 0.625, "id-r1")


@given(st.lists(st.none() | st.floats() | st.sampled_from([1.0, 2.0]), max_size=60))
def test_numbers_are_put_into_ranges_and_nothing_is_lost(losses: list[float | None]) -> None:
    rows = [row(f"r{n}", best=loss) for n, loss in enumerate(losses)]
    groups = grouped(rows, "best", "best")
    assert sorted(one.run_id for group in groups for one in group.rows) == sorted(one.run_id for one in rows)
    known = {loss for loss in losses if loss is not None and math.isfinite(loss)}
    ranges = [group for group in groups if group.value is not None]
    assert len(ranges) == len(known) if len(known) <= FEW else len(ranges) <= RANGES
    for group in ranges:
        inside = [one.best for one in group.rows if one.best is not None]
        assert min(inside) == group.value and max(inside) == (group.value if group.to is None else group.to)
    tops = [(group.value, group.to or group.value) for group in ranges]
    assert all(type(one[1]) is float and one[1] < other[0] for one, other in pairwise(tops))


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 9) | st.none()), max_size=20))
def test_best_and_mean_are_those_of_a_plain_look(pairs: list[tuple[str, float | None]]) -> None:
    rows = [row(f"r{n}", model=model, best=best) for n, (model, best) in enumerate(pairs)]
    for group in grouped(rows, "model", "best"):
        losses = [best for model, best in pairs if model == group.value and best is not None]
        assert group.best == (min(losses) if losses else None)
        assert group.mean == (fmean(losses) if len(losses) > 1 else None)


def test_losses_that_went_up_to_the_largest_number_have_a_mean() -> None:
    (group,) = grouped([row("a", best=1e308), row("b", best=1.5e308)], "model", "best")
    assert group.mean == pytest.approx(1.25e308) and group.best == 1e308


def test_the_metric_is_what_the_rows_have() -> None:
    rows = [row("a"), row("b", best_eval=1.0)]
    assert metric_of(rows, "when") == "best_eval" and metric_of(rows[:1], "name") == "best"
    assert metric_of(rows, "last") == "last" and metric_of(rows, "score.acc") == "score.acc"
    assert can_group("arg.x") and can_group("stage") and not can_group("spark")


def test_the_best_of_each_stage_is_marked_where_there_is_something_to_compare() -> None:
    rows = [
        row("a", best=1.0, best_eval=2.0), row("b", best=0.5), row("c", best=3.0, best_eval=1.5),
        row("d", stage="dpo", best=0.6), row("e", stage="dpo", best=0.4), row("f", stage="rm", best=0.1),
        row("g", kind="eval", best=None),
    ]
    assert best_ids(rows) == {"id-c", "id-e"}
    assert best_ids(rows[:1]) == frozenset() and Group(None, ()).best is None


def test_best_says_nothing_of_what_cannot_be_compared() -> None:
    evaluated, plain = row("a", best=1.0, best_eval=2.0), row("b", best=0.5)
    assert best_ids([evaluated, plain]) == frozenset()  # one was evaluated, the other was not
    assert best_ids([row("a", stage="", best=1.0), row("b", stage="", best=0.5)]) == frozenset()
    stages = [row("a", stage="sft", best=1.0), row("b", stage="dpo", best=0.5)]
    for rows, best in ((stages, ""), (stages[:1], ""), ([plain, row("c", best=0.25)], "id-c")):
        (group,) = grouped(rows, "model", "best")
        assert marked_id(group) == best
