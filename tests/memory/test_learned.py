"""An estimate that past runs correct."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lfdash.memory.correction import Learned
from lfdash.memory.estimate import DIFFERS, GIB, Estimate, estimate
from lfdash.memory.knobs import make_it_fit
from lfdash.memory.learned import PastRun, PastRuns
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


def learned_of(made: Subject, runs: list[PastRun]) -> Learned | None:
    """What these runs say of a training."""
    return knowing(made, runs).learned


def knowing(made: Subject, runs: list[PastRun]) -> Subject:
    """A training of which these runs tell."""
    return replace(made, past=PastRuns(runs, made))


def corrected(runs: list[PastRun]) -> Estimate:
    """The estimate with what these runs say."""
    return estimate(knowing(NOW, runs))


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
    shown = round(FOUND.driver * 1.10)
    found = corrected([PastRun("a", NOW, FOUND, driver=shown)])
    assert found.driver == pytest.approx(shown, rel=1e-6) and found.allocated == FOUND.allocated
    assert sum(found.terms.values()) == found.driver and found.terms["driver"] > FOUND.terms["driver"]
    both = PastRun("a", NOW, FOUND, reserved=round(FOUND.reserved * 1.02), driver=shown)
    assert corrected([both]).reserved == pytest.approx(FOUND.reserved * 1.02, rel=1e-6)


def test_rows_of_other_lengths_say_nothing_of_what_is_reserved() -> None:
    """PyTorch keeps room for each length: 59 % more than was foretold where it was measured."""
    ragged = past("ragged", replace(NOW, lengths=(2048, 1000)).changed(per_device_train_batch_size=2), 1.05, 1.6)
    found = corrected([ragged])
    assert found.allocated == pytest.approx(FOUND.allocated * 1.05, rel=1e-6) and DIFFERS not in found.unknown
    assert found.reserved == pytest.approx(FOUND.reserved)
    packed = subject(packing=True, neat_packing=True)
    assert packed.padded, "they have a mask, but one length"
    assert estimate(knowing(packed, [past("packed", packed, 1.05, 1.1)])).reserved > estimate(packed).reserved * 1.05


def test_which_figure_was_compared_is_known() -> None:
    figures = {"allocated": FOUND.allocated, "reserved": FOUND.reserved, "driver": FOUND.driver}
    for name, size in figures.items():
        found = learned_of(NOW, [replace(PastRun("a", NOW, FOUND), **{name: size})])
        assert found is not None and found.compared == name
        assert [one for one, off in found.figures.items() if off] == [name]


TINY = replace(NOW, architecture=replace(NOW.architecture, hidden=64, layers=2, vocabulary=4000, intermediate=128,
                                         heads=4, kv_heads=2, head_dim=16))


@pytest.mark.parametrize("context", [-0.35, 0.35])
def test_the_cuda_context_of_a_small_model_is_no_difference(context: float) -> None:
    """The card's context is most of what a small model takes, and differs by card: what it takes more or less is no
    share of what PyTorch takes."""
    small = estimate(TINY)
    shown = small.driver + round(context * GIB)
    assert abs(shown / small.driver - 1) > 0.15
    run = PastRun("tiny", TINY, small, driver=shown)
    own, large = estimate(knowing(TINY, [run])), corrected([run])
    assert DIFFERS not in own.unknown and DIFFERS not in large.unknown
    assert own.driver == pytest.approx(small.driver * (1.15 if context > 0 else 0.85), rel=1e-3), "15 % at most"
    assert large.driver - FOUND.driver == pytest.approx(context * GIB, rel=1e-6), "so many bytes, not such a share"
    logged = PastRun("tiny", TINY, small, small.allocated, small.reserved, shown)
    assert corrected([logged]) == FOUND, "PyTorch's figures are compared with PyTorch's"


@pytest.mark.parametrize("ratio", [0.84, 1.16])
def test_what_differs_too_much_corrects_nothing_and_is_said(ratio: float) -> None:
    found = corrected([past("a", NOW, ratio, ratio)])
    assert found.driver == FOUND.driver and DIFFERS in found.unknown


def test_reserved_is_never_less_than_allocated() -> None:
    found = corrected([past("a", NOW, 1.15, 0.86)])
    assert found.reserved == found.allocated and found.terms["holes"] == 0


CHANGES = (
    {"per_device_train_batch_size": 4}, {"enable_liger_kernel": True}, {"quantization_bit": 4},
    {"disable_gradient_checkpointing": True}, {"deepspeed": "z3"},
)


@pytest.mark.parametrize("changes", CHANGES)
def test_a_change_of_settings_keeps_what_was_learned(changes: dict[str, object]) -> None:
    known = knowing(NOW, [past("a", NOW, 1.1, 1.1)])
    plain, after = estimate(subject(**changes)), estimate(known.changed(**changes))
    assert after.reserved == pytest.approx(plain.reserved * 1.1, rel=1e-6)
    assert after.allocated == pytest.approx(plain.allocated * 1.1, rel=1e-6)


def test_a_run_with_the_changed_settings_speaks_for_them() -> None:
    liger, four = subject(enable_liger_kernel=True), subject(quantization_bit=4)
    known = knowing(NOW, [past("a", NOW, 1.1, 1.1), past("b", liger, 0.95, 0.95), past("c", four, 1.05, 1.05)])
    for made, ratio in ((liger, 0.95), (four, 1.05), (NOW, 1.1)):
        found = estimate(replace(made, past=known.past))
        assert found.reserved == pytest.approx(estimate(made).reserved * ratio, rel=1e-6)


def test_whether_the_loss_is_fused_makes_no_run_a_stranger() -> None:
    """So what is promised of the Liger kernel still stands once it is turned on."""
    run = past("plain", NOW, 1.1, 1.1)
    liger = subject(enable_liger_kernel=True)
    before = estimate(knowing(NOW, [run]).changed(enable_liger_kernel=True))
    assert estimate(knowing(liger, [run])) == before and before.driver > estimate(liger).driver


def test_no_step_wins_by_losing_the_correction() -> None:
    """With 15 % more at most, 4 bit would seem to take 15 % less than it does."""
    known = knowing(NOW, [past("a", NOW, 1.15, 1.15)])
    plain = estimate(NOW.changed(quantization_bit=4)).driver
    assert make_it_fit(known, plain) is None or "quantize_4bit" not in make_it_fit(known, plain).names[:1]
    fit = make_it_fit(known, round(plain * 1.15))
    assert fit is not None and fit.estimate.driver > estimate(subject(**fit.changes)).driver


@pytest.mark.parametrize("batch", [0, 10**400])
def test_a_past_run_of_any_size_can_be_compared(batch: int) -> None:
    hostile = replace(past("same", NOW), subject=subject(per_device_train_batch_size=batch))
    near = past("near", NOW)
    assert nearest([hostile, near])[0] == "near"
