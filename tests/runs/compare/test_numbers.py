"""Numbers beside each other: which way is better, how they stand to a baseline, what a curve says at a place."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfdash.runs.compare.numbers import (
    Change,
    best,
    better,
    change,
    columns_of,
    common_end,
    largest,
    last,
    logged_at,
    ranks,
    ranks_by_stage,
    reached,
)
from lfdash.runs.metrics.frame import MetricFrame

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)


def frame(**columns: list[float]) -> MetricFrame:
    length = len(next(iter(columns.values())))
    steps = columns.pop("step", [float(n + 1) for n in range(length)])
    return MetricFrame({name: np.array(values, float) for name, values in {"step": steps, **columns}.items()})


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("loss", -1), ("eval_loss", -1), ("eval_en_loss", -1), ("rewards/margins", 1), ("eval_rewards/accuracies", 1),
        ("rewards/rejected", 0), ("kl", 0), ("learning_rate", 0), ("grad_norm", 0), ("predict_bleu-4", 1),
        ("predict_rouge-l", 1), ("train_samples_per_second", 0), ("tokens_per_s", 0), ("eval_runtime", 0),
        ("duration", 0), ("perplexity", -1), ("STEM", 1), ("ecosystem", 0), ("total_flos", 0), ("vram_reserved", 0),
        ("train_steps_per_second", 0), ("predict_model_preparation_time", 0), ("memory", 0),
    ],
)
def test_which_way_is_better(name: str, way: int) -> None:
    assert better(name) == way


@given(st.sampled_from(["loss", "accuracy", "kl"]), NUMBERS, NUMBERS)
def test_a_change_is_better_or_worse_by_the_way_of_its_quantity(name: str, value: float, base: float) -> None:
    told = change(name, value, base)
    assert told is not None and told.difference == value - base
    if value == base:
        assert told.way == 0
    elif name == "kl":
        assert told.way is None
    else:
        assert told.way == (1 if (value < base) == (name == "loss") else -1)
    if told.percent is not None:
        assert base != 0 and math.isclose(base + abs(base) * told.percent / 100, value, rel_tol=1e-9, abs_tol=1e-6)


def test_no_percentages_where_they_say_nothing() -> None:
    assert change("loss", 1.0, 2.0) == Change(-1.0, -50.0, 1)
    assert change("loss", 1.0, 0.0) == Change(1.0, None, -1)
    assert change("reward", 1.0, -1.0) == Change(2.0, None, 1)
    assert change("reward", -0.5, -1.0) == Change(0.5, 50.0, 1)
    assert change("loss", 1e308, 1e-308) == Change(1e308, None, -1)
    assert change("loss", math.nan, 1.0) is None and change("loss", 1.0, None) is None


def test_best_and_last() -> None:
    run = frame(loss=[3.0, 1.0, 1.0, math.nan, 2.0], accuracy=[0.1, math.nan, 0.9, 0.2, math.nan], kl=[1.0] * 5)
    assert best(run, "loss") == (1.0, 2.0) and best(run, "accuracy") == (0.9, 3.0)
    assert best(run, "kl") is None and best(run, "eval_loss") is None
    assert last(run, "loss") == 2.0 and last(run, "accuracy") == 0.2 and last(run, "eval_loss") is None
    nothing = last(frame(loss=[math.nan]), "loss")
    assert nothing is not None and math.isnan(nothing)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=20, unique=True), st.floats(-5, 55))
def test_what_counts_at_a_place_was_logged_there_or_last_before(steps: list[int], where: float) -> None:
    steps.sort()
    place = logged_at(np.array(steps, float), where)
    before = [step for step in steps if step <= where]
    assert place == (len(before) - 1 if before else None)


def test_the_common_end_is_that_of_the_shortest() -> None:
    runs = [frame(tokens=[10.0, 20.0, math.nan], loss=[1.0, 1.0, 1.0]), frame(tokens=[5.0, 15.0], loss=[1.0, 1.0])]
    assert [reached(run, "tokens") for run in runs] == [20.0, 15.0]
    assert common_end(reached(run, "tokens") for run in runs) == 15.0
    assert reached(frame(loss=[1.0]), "tokens") is None and common_end([None, 3.0, 0.0]) == 3.0
    assert common_end([None]) is None


def test_the_columns_that_any_has_the_usual_ones_first() -> None:
    runs = [
        frame(loss=[1.0], own=[2.0], eval_x_loss=[1.0], tokens=[3.0]),
        frame(eval_loss=[1.0], kl=[math.nan], **{"rewards/margins": [1.0]}),
    ]
    assert columns_of(runs) == ("loss", "eval_loss", "rewards/margins", "eval_x_loss", "own")


def test_usual_and_largest() -> None:
    run = frame(tokens_per_s=[1.0, math.nan, 3.0, 100.0], vram_allocated=[math.nan] * 4, vram_reserved=[1.0, 5, 2, 3])
    assert largest(run, ("vram_allocated", "vram_reserved")) == 5.0 and largest(run, ("loss",)) is None


def test_who_is_best() -> None:
    values = {"a": 1.0, "b": 1.0, "c": 2.0, "d": None, "e": math.nan}
    assert ranks(values, -1) == {"a", "b"} and ranks(values, 1) == {"c"} and ranks(values, 0) == frozenset()
    assert ranks({"a": 1.0, "b": 1.0}, 1) == frozenset() and ranks({"a": 1.0}, 1) == frozenset()


def test_only_runs_of_one_stage_are_better_than_each_other() -> None:
    values = (3.0, 2.0, 1.0, 0.5, 0.1, None)
    assert ranks_by_stage(values, ["sft", "sft", "dpo", "", "", "sft"], -1) == {1}
    assert ranks_by_stage(values, ["dpo", "sft", "dpo", "sft", "", ""], -1) == {2, 3}
