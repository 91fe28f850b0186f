"""What makes a training fit, setting by setting, and the table of cards."""

from __future__ import annotations

from dataclasses import replace

from lfdash.memory.cards import CARDS, verdict
from lfdash.memory.diff import (
    COUNTS,
    TIGHT_WITH_CHANGES,
    WITH_CHANGES,
    WITH_ZERO3,
    fit_into,
    fit_with_more,
    on_more,
    steps,
    table,
)
from lfdash.memory.estimate import estimate
from lfdash.memory.knobs import ZERO3_OFFLOAD, Fit, least
from tests.support.memory import subject

GB = 1 << 30
BIG = {"per_device_train_batch_size": 8, "cutoff_len": 4096}


def test_the_steps_of_a_fit_add_up_to_it() -> None:
    job = subject(**BIG)
    fit = fit_into(job, 24 * GB)
    assert fit is not None and len(fit.names) > 1
    found = steps(job, fit)
    assert sum(step.saves for step in found) == estimate(job).driver - fit.estimate.driver
    assert {key: value for step in found for key, value in step.changes.items()} == dict(fit.changes)


def test_what_fits_is_surely_within_the_card() -> None:
    for total in (12, 16, 24, 48):
        fit = fit_into(subject(**BIG), total * GB)
        assert fit is not None and verdict(fit.estimate, total * GB) == "fits", total
    assert fit_into(subject(**BIG), GB) is None
    as_it_is = fit_into(subject(), 192 * GB)
    assert as_it_is is not None and as_it_is.names == ()


LACKS = {"liger": "liger-kernel", "optimizer_8bit": "bitsandbytes", "quantize_4bit": "bitsandbytes",
         "zero2": "deepspeed", "zero3": "deepspeed", "offload": "deepspeed"}


def test_a_knob_whose_package_lacks_is_not_turned() -> None:
    plain = subject(per_device_train_batch_size=4)
    fit, free = fit_into(plain, 24 * GB, LACKS), fit_into(plain, 24 * GB)
    assert fit is not None and fit.names == ("batch",) and free is not None and free.names == ("liger",)
    assert fit_into(subject(**BIG), 24 * GB, LACKS) is None and fit_into(subject(**BIG), 24 * GB) is not None
    assert least(subject(**BIG), LACKS).driver > least(subject(**BIG)).driver


def test_what_would_fit_with_a_package_more_is_told_and_no_more_packages_than_it_takes() -> None:
    job, full = subject(**BIG), subject(finetuning_type="full")
    for made, total, names in (
        (job, 24, ("liger", "batch")), (job, 12, ("liger", "batch", "quantize_4bit")), (full, 24, ("offload",)),
    ):
        found = fit_with_more(made, total * GB, LACKS)
        assert found is not None and found.names == names
    assert fit_with_more(job, GB, LACKS) is None and fit_with_more(job, 192 * GB, LACKS) is None
    assert fit_with_more(job, 12 * GB, {}) is None


def test_of_two_knobs_that_set_one_argument_the_last_is_told() -> None:
    job = replace(subject(), world_size=2)
    changed = job.changed(deepspeed=ZERO3_OFFLOAD)
    found = steps(job, Fit(("zero2", "offload"), {"deepspeed": ZERO3_OFFLOAD}, estimate(changed)))
    assert [step.name for step in found] == ["offload"]


def test_the_table_has_each_card_and_grows_with_their_size() -> None:
    rows = table(subject(finetuning_type="full"))
    assert list(rows) == list(CARDS) and all(tuple(cells) == COUNTS for cells in rows.values())
    order = {"does_not": 0, TIGHT_WITH_CHANGES: 0, WITH_CHANGES: 1, WITH_ZERO3: 2, "tight": 3, "unsure": 4, "fits": 4}
    for count in COUNTS:
        column = [order[cells[count]] for cells in rows.values()]
        assert column == sorted(column) and len(set(column)) > 1, count
    assert WITH_ZERO3 in {cells[8] for cells in rows.values()}  # a full training of 7B
    assert WITH_ZERO3 not in {cells[1] for cells in rows.values()}


def test_a_cell_tells_of_cheaper_variants_only_where_they_can_be_had() -> None:
    job = subject(**BIG)
    cells = {card.name: row[1] for card, row in table(job).items()}
    assert cells["12 GB"] == cells["24 GB"] == WITH_CHANGES and cells["192 GB"] == "fits"
    for card, row in table(job).items():
        fit = fit_into(job, card.total)
        assert (row[1] in ("does_not", TIGHT_WITH_CHANGES)) is (fit is None), card.name
    several = subject(per_device_train_batch_size=4)
    assert {card.name: row[2] for card, row in table(several, LACKS).items()}["24 GB"] == TIGHT_WITH_CHANGES
    lacking = {card.name: row for card, row in table(job, LACKS).items()}
    assert lacking["12 GB"][1] == "does_not" and WITH_ZERO3 not in lacking["12 GB"].values()


def test_several_gpus_share_only_what_can_be_shared() -> None:
    full = subject(finetuning_type="full")
    four = on_more(full, 4)
    assert four is not None and four.driver < estimate(full).driver / 2
    assert on_more(full, 1) is None and on_more(subject(quantization_bit=4), 4) is None
