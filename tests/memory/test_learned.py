"""An estimate that past runs correct."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lfdash.memory.estimate import DIFFERS, Estimate, estimate
from lfdash.memory.learned import PastRun, learned_of
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


def corrected(runs: list[PastRun]) -> Estimate:
    """The estimate with what these runs say."""
    return estimate(replace(NOW, learned=learned_of(NOW, runs)))


def nearest(runs: list[PastRun]) -> tuple[str, int]:
    """The run that is named, and how many were used."""
    found = learned_of(NOW, runs)
    assert found is not None
    return found.run, found.runs


def test_without_runs_of_its_kind_it_stays() -> None:
    other = [past("full", subject(finetuning_type="full"), 1.1), past("dpo", subject(stage="dpo"), 1.1),
             past("z3", subject(deepspeed="z3"), 1.1), past("4bit", subject(quantization_bit=4), 1.1)]
    assert learned_of(NOW, []) is None and learned_of(NOW, other) is None
    assert corrected(other) == FOUND


def test_the_median_of_the_five_nearest_each_figure_by_its_own() -> None:
    near = [past(f"near{n}", NOW, 1.04 + n / 100, 1.02) for n in range(5)]
    far = [past(f"far{n}", subject(per_device_train_batch_size=32), 1.14, 1.14) for n in range(9)]
    found = corrected([*far, *near])
    assert nearest([*far, *near]) == ("near0", 5)
    assert found.allocated == pytest.approx(FOUND.allocated * 1.06, rel=1e-6)
    assert found.reserved == pytest.approx(FOUND.reserved * 1.02, rel=0.02)
    assert sum(found.terms.values()) == found.driver
    assert found.driver - found.reserved == FOUND.driver - FOUND.reserved


def test_another_model_is_further_than_another_batch() -> None:
    other = past("other model", replace(NOW, architecture=replace(NOW.architecture, vocabulary=151936)), 1.10)
    same = past("same model", subject(per_device_train_batch_size=64), 0.95)
    assert nearest([other, same]) == ("same model", 2)


def test_one_figure_may_not_be_logged() -> None:
    found = corrected([past("a", NOW, None, 1.10)])
    assert found.allocated == FOUND.allocated
    assert found.reserved == pytest.approx(FOUND.reserved * 1.10, rel=1e-6)
    assert learned_of(NOW, [past("a", NOW, None, None)]) is None


def test_what_the_card_shows_stands_in_for_what_torch_did_not_log() -> None:
    shown = round(FOUND.reserved * 1.10) + FOUND.terms["driver"]
    found = corrected([PastRun("a", NOW, FOUND, driver=shown)])
    assert found.driver == pytest.approx(shown, rel=1e-6) and found.allocated == FOUND.allocated
    both = PastRun("a", NOW, FOUND, reserved=round(FOUND.reserved * 1.02), driver=shown)
    assert corrected([both]).reserved == pytest.approx(FOUND.reserved * 1.02, rel=1e-6)


@pytest.mark.parametrize("ratio", [0.84, 1.16])
def test_what_differs_too_much_corrects_nothing_and_is_said(ratio: float) -> None:
    found = corrected([past("a", NOW, ratio, ratio)])
    assert found.driver == FOUND.driver and DIFFERS in found.unknown


def test_reserved_is_never_less_than_allocated() -> None:
    found = corrected([past("a", NOW, 1.15, 0.86)])
    assert found.reserved == found.allocated and found.terms["holes"] == 0


def test_a_change_of_settings_keeps_what_was_learned_within_its_kind() -> None:
    known = replace(NOW, learned=learned_of(NOW, [past("a", NOW, 1.1, 1.1)]))
    batch, liger = {"per_device_train_batch_size": 4}, {"enable_liger_kernel": True}
    four = estimate(subject(**batch)).reserved
    assert estimate(known.changed(**batch)).reserved == pytest.approx(four * 1.1, rel=1e-6)
    assert estimate(known.changed(**liger)) == estimate(subject(**liger))


@pytest.mark.parametrize("batch", [0, 10**400])
def test_a_past_run_of_any_size_can_be_compared(batch: int) -> None:
    hostile = replace(past("same", NOW), subject=subject(per_device_train_batch_size=batch))
    near = past("near", NOW)
    assert nearest([hostile, near])[0] == "near"
