"""An estimate that past runs correct."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lfdash.memory.estimate import estimate
from lfdash.memory.learned import DIFFERS, PastRun, corrected
from lfdash.memory.subject import Subject
from tests.support.memory import subject

NOW = subject()
FOUND = estimate(NOW)


def past(name: str, made: Subject, allocated: float | None = 1.0, reserved: float | None = 1.0) -> PastRun:
    """A run that took so much more than was foretold."""
    found = estimate(made)
    sizes = [share and round(size * share) for size, share in
             ((found.allocated, allocated), (found.reserved, reserved))]
    return PastRun(name, made, found, *sizes)


def test_without_runs_it_stays() -> None:
    assert corrected(FOUND, NOW, []).estimate is FOUND
    other = [past("full", subject(finetuning_type="full"), 1.1), past("dpo", subject(stage="dpo"), 1.1),
             past("z3", subject(deepspeed="z3"), 1.1), past("4bit", subject(quantization_bit=4), 1.1)]
    assert corrected(FOUND, NOW, other) == corrected(FOUND, NOW, [])


def test_the_median_of_the_five_nearest_each_figure_by_its_own() -> None:
    near = [past(f"near{n}", NOW, 1.04 + n / 100, 1.02) for n in range(5)]
    far = [past(f"far{n}", subject(per_device_train_batch_size=32), 1.14, 1.14) for n in range(9)]
    found = corrected(FOUND, NOW, [*far, *near])
    assert found.run == "near0" and found.runs == 5
    assert found.estimate.allocated == pytest.approx(FOUND.allocated * 1.06, rel=1e-6)
    assert found.estimate.reserved == pytest.approx(FOUND.reserved * 1.02, rel=0.02)
    assert sum(found.estimate.terms.values()) == found.estimate.driver
    assert found.estimate.driver - found.estimate.reserved == FOUND.driver - FOUND.reserved


def test_another_model_is_further_than_another_batch() -> None:
    other = past("other model", replace(NOW, architecture=replace(NOW.architecture, vocabulary=151936)), 1.10)
    same = past("same model", subject(per_device_train_batch_size=64), 0.95)
    found = corrected(FOUND, NOW, [other, same])
    assert found.run == "same model"


def test_one_figure_may_not_be_logged() -> None:
    found = corrected(FOUND, NOW, [past("a", NOW, None, 1.10)])
    assert found.run == "a" and found.estimate.allocated == FOUND.allocated
    assert found.estimate.reserved == pytest.approx(FOUND.reserved * 1.10, rel=1e-6)
    assert corrected(FOUND, NOW, [past("a", NOW, None, None)]).run == ""


@pytest.mark.parametrize("ratio", [0.84, 1.16])
def test_what_differs_too_much_corrects_nothing_and_is_said(ratio: float) -> None:
    found = corrected(FOUND, NOW, [past("a", NOW, ratio, ratio)])
    assert found.run == "" and found.estimate.driver == FOUND.driver and DIFFERS in found.estimate.unknown


def test_reserved_is_never_less_than_allocated() -> None:
    found = corrected(FOUND, NOW, [past("a", NOW, 1.15, 0.86)]).estimate
    assert found.reserved == found.allocated and found.terms["holes"] == 0
