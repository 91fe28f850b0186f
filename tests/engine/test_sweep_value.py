"""What a run of a sweep is measured by."""

from __future__ import annotations

import pytest

from lfdash.engine.sweep_value import Measured, measured
from lfdash.jobs.job import JobConfig
from lfdash.jobs.sweep import Sweep, read_sweep


def sweep_of(**options: object) -> Sweep:
    job = JobConfig("train", {"train.eval_strategy": "steps", "train.eval_steps": 1, "train.val_size": 0.1})
    sweep = read_sweep({"settings": {"lora_rank": [8, 16]}, **options}, job)
    assert isinstance(sweep, Sweep), sweep
    return sweep


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.1, 2.0, 1.5, 1.0], Measured(1.5, 4, 3)),  # the first one was before any update
        ([3.0, 0.2, 2.0, 2.1], Measured(2.0, 4, 3)),  # the lowest was one easy batch
        ([4.0], Measured(4.0, 1, 1)),
        ([5.0] * 90 + [1.0, 9.0] * 5, Measured(5.0, 100, 10)),
        ([], None),
    ],
)
def test_of_what_is_logged_while_training_the_median_of_the_last_values(
    values: list[float], expected: Measured | None
) -> None:
    sweep = sweep_of(metric="loss")
    assert measured(sweep, [float(step + 1) for step in range(len(values))], values) == expected


@pytest.mark.parametrize(
    ("direction", "expected"), [("minimize", Measured(1.0, 20, 1)), ("maximize", Measured(3.0, 10, 1))]
)
def test_of_an_evaluation_the_best_value(direction: str, expected: Measured) -> None:
    sweep = sweep_of(metric="eval_loss", direction=direction)
    assert measured(sweep, [10.0, 20.0, 30.0], [3.0, 1.0, 2.0]) == expected
