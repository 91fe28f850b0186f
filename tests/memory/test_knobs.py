"""Settings that take less memory, and the smallest change that makes a training fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfdash.jobs.converters import DEEPSPEED
from lfdash.memory.cards import CARDS, MIB, card_of, fits_on, is_same, product_of, smallest, verdict
from lfdash.memory.estimate import GIB, estimate
from lfdash.memory.knobs import KNOBS, OFFERED, ZERO2, ZERO3, ZERO3_OFFLOAD, Fit, least, make_it_fit, turned
from lfdash.memory.subject import Subject
from tests.memory.test_estimate import subjects
from tests.support.memory import QWEN_7B, subject


def effective(made: Subject) -> int:
    return made.batch * made.accumulation


def with_changes(made: Subject, fit: Fit) -> Subject:
    return made.changed(**fit.changes)


@given(subjects(), st.integers(2, 200))
def test_what_is_said_to_fit_fits_and_learns_of_as_many_rows(made: Subject, gigabytes: int) -> None:
    fit = make_it_fit(made, gigabytes * GIB)
    if fit is None:
        return
    after = with_changes(made, fit)
    assert estimate(after) == fit.estimate and fit.estimate.driver <= gigabytes * GIB
    assert effective(after) == effective(made)
    assert set(fit.names) <= set(KNOBS) and bool(fit.names) == bool(fit.changes)
    assert {"cutoff_len", "lora_rank", "finetuning_type", "stage"}.isdisjoint(fit.changes)


@given(subjects(), st.integers(2, 200))
def test_nothing_is_changed_that_need_not_be(made: Subject, gigabytes: int) -> None:
    fit = make_it_fit(made, gigabytes * GIB)
    if estimate(made).driver <= gigabytes * GIB:
        assert fit is not None and fit.names == ()
    if fit is None or "deepspeed" in fit.changes:
        return
    for name in fit.changes:
        if name in ("gradient_accumulation_steps", "quantization_method"):
            continue
        partner = {"per_device_train_batch_size": "gradient_accumulation_steps"}.get(name)
        fewer = {key: value for key, value in fit.changes.items() if key not in (name, partner)}
        assert estimate(made.changed(**fewer)).driver > gigabytes * GIB, name


@given(subjects())
def test_what_a_knob_saves_is_the_difference(made: Subject) -> None:
    found = turned(made)
    assert [knob.saves for knob in found] == sorted((knob.saves for knob in found), reverse=True)
    for knob in found:
        assert estimate(made).driver - estimate(made.changed(**knob.changes)).driver == knob.saves
        if knob.name != "cutoff":
            assert effective(made.changed(**knob.changes)) == effective(made)


BIG = subject(per_device_train_batch_size=8, disable_gradient_checkpointing=True)


@pytest.mark.parametrize(
    ("free", "names"),
    [
        (190, ()), (105, ("liger",)), (30, ("liger", "checkpointing")),
        (18.2, ("liger", "checkpointing", "batch")),
    ],
)
def test_what_keeps_what_is_learned_comes_first(free: float, names: tuple[str, ...]) -> None:
    fit = make_it_fit(BIG, int(free * GIB))
    assert fit is not None and fit.names == names


def test_the_batch_gets_no_smaller_than_it_must() -> None:
    made = subject(per_device_train_batch_size=12, enable_liger_kernel=True)
    free = estimate(made.changed(per_device_train_batch_size=6, gradient_accumulation_steps=2)).driver
    fit = make_it_fit(made, free)
    assert fit is not None and fit.changes == {"per_device_train_batch_size": 6, "gradient_accumulation_steps": 2}


def test_a_model_too_large_for_a_card_is_quantized() -> None:
    fit = make_it_fit(subject(), 12 * GIB)
    assert fit is not None and fit.changes["quantization_bit"] == 4


def test_a_full_training_gets_an_optimizer_of_eight_bits_before_deepspeed() -> None:
    full = subject(finetuning_type="full", enable_liger_kernel=True)
    sizes = [estimate(full.changed(**changes)).driver for changes in ({}, {"optim": "adamw_8bit"})]
    assert make_it_fit(full, sizes[1]).names == ("optimizer_8bit",)
    shared = make_it_fit(replace(full, world_size=8), 60 * GIB)
    assert shared is not None and shared.changes["deepspeed"] in (ZERO2, ZERO3) and "optim" not in shared.changes
    alone = make_it_fit(full, 30 * GIB)
    assert alone is not None and alone.changes["deepspeed"] == ZERO3_OFFLOAD


def test_weights_that_are_quantized_cannot_be_shared_so_they_are_not_quantized() -> None:
    """Of a model of 70 billion, on eight cards of 24 GB."""
    large = replace(subject({"num_hidden_layers": 80, "hidden_size": 8192, "intermediate_size": 29568,
                             "num_attention_heads": 64, "num_key_value_heads": 8}), world_size=8)
    fit = make_it_fit(large, 28 * GIB)
    assert fit is not None and "quantize_4bit" not in fit.names and fit.changes["deepspeed"] in (ZERO3, ZERO3_OFFLOAD)


def test_nothing_is_enough() -> None:
    assert make_it_fit(subject(), 1 * GIB) is None
    enough = least(subject()).driver
    assert make_it_fit(subject(), enough) is not None and make_it_fit(subject(), enough - 1) is None


def test_names_of_deepspeeds_files_are_those_of_the_form() -> None:
    assert all(DEEPSPEED.fullmatch(path) for path in (ZERO2, ZERO3, ZERO3_OFFLOAD))


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [
        ({"enable_liger_kernel": True}, "liger"), ({}, "batch"), ({"finetuning_type": "full"}, "quantize_4bit"),
        ({"quantization_bit": 4}, "quantize_4bit"), ({"quantization_bit": 4}, "offload"), ({}, "checkpointing"),
        ({"optim": "adamw_8bit"}, "optimizer_8bit"), ({"use_badam": True, "finetuning_type": "full"}, "offload"),
        ({}, "zero2"), ({"cutoff_len": 256}, "cutoff"),
    ],
)
def test_a_knob_that_is_turned_or_cannot_be_is_not_offered(arguments: dict[str, Any], missing: str) -> None:
    names = {knob.name for knob in turned(subject(**arguments))}
    assert missing not in names and names <= set(OFFERED)


# -- cards ------------------------------------------------------------------------------------------------


def test_cards_are_in_order_and_go_from_8_to_192() -> None:
    assert [card.total for card in CARDS] == sorted(card.total for card in CARDS)
    assert (CARDS[0].name, CARDS[-1].name) == ("8 GB", "192 GB")


@pytest.mark.parametrize(
    ("name", "mib", "product", "card"),
    [
        ("NVIDIA H100 80GB HBM3", 81559, "H100", "80 GB"), ("NVIDIA A100-SXM4-80GB", 81920, "A100 80GB", "80 GB"),
        ("NVIDIA A100-PCIE-40GB", 40960, "A100 40GB", "40 GB"), ("NVIDIA H200", 143771, "H200", "141 GB"),
        ("NVIDIA H20", 97871, "H20", "96 GB"), ("NVIDIA L4", 23034, "L4", "24 GB"), ("Tesla T4", 15360, "T4", "16 GB"),
        ("NVIDIA L40S", 45000, "L40S", "48 GB"),  # less than nvidia-smi lists: its name tells
        ("NVIDIA GeForce RTX 4090", 24564, "RTX 4090", "24 GB"), ("Tesla V100-SXM2-32GB", 32510, "V100 32GB", "32 GB"),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", 97887, "RTX PRO 6000", "96 GB"),
        ("AMD Instinct MI300X", 196592, "MI300X", "192 GB"),
        # the memory speaks against the name: another size of it, a laptop's, a part of one
        ("NVIDIA GeForce RTX 4060 Ti", 16380, "RTX 4060", "16 GB"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", 16376, "RTX 4090", "16 GB"),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", 9856, "H100", "8 GB"),
        ("NVIDIA A100-SXM-64GB", 65536, "", "64 GB"), ("", 24576, "", "24 GB"), ("Something new", 4096, "", "8 GB"),
    ],
)
def test_a_device_is_known_by_its_name_first_and_its_size_second(name: str, mib: int, product: str, card: str) -> None:
    assert product_of(name) == product and card_of(name, mib * MIB).name == card


@pytest.mark.parametrize(
    ("one", "two", "answer"),
    [
        (("NVIDIA A100-SXM4-80GB", 80), ("NVIDIA A100 80GB PCIe", 80), True),
        (("NVIDIA A100-SXM4-80GB", 80), ("NVIDIA H100 80GB HBM3", 80), False), (("", 80), ("NVIDIA H200", 80), True),
        (("Some card", 80), ("some card ", 80), True), (("Some card", 80), ("Another", 80), False),
        (("NVIDIA GeForce RTX 4060 Ti", 8), ("NVIDIA GeForce RTX 4060 Ti", 16), False), (("", 80), ("", 24), False),
        (("", 0), ("", 80), False),
    ],
)
def test_two_devices_are_the_same_card(one: tuple[str, int], two: tuple[str, int], answer: bool) -> None:
    sizes = [(name, size * GIB) for name, size in (one, two)]
    assert is_same(*sizes) is is_same(*reversed(sizes)) is answer


@pytest.mark.parametrize(("share", "answer"), [(0.91, "fits"), (0.93, "tight"), (1.07, "tight"), (1.09, "does_not")])
def test_within_eight_percent_nobody_can_tell(share: float, answer: str) -> None:
    found = replace(estimate(subject()), driver=int(share * 1e10))
    assert verdict(found, int(1e10)) == answer
    assert verdict(replace(found, band=0.4), int(1e10)) == "tight"


def test_on_which_cards_it_fits() -> None:
    found = estimate(subject())
    answers = list(fits_on(found).values())
    order = ["does_not", "tight", "fits"]
    assert answers == sorted(answers, key=order.index)
    assert smallest(found).name == "24 GB" and smallest(replace(found, driver=10**12)) is None


@pytest.mark.parametrize(
    ("processes", "arguments"),
    [
        (2, {"deepspeed": ZERO3}), (8, {"deepspeed": ZERO2, "finetuning_type": "full"}), (2, {"fsdp": "full_shard"}),
        (2, {}), (8, {"finetuning_type": "full"}), (1, {"stage": "ppo"}), (1, {"use_unsloth": True}),
        (1, {"additional_target": "embed_tokens"}),
    ],
)
def test_what_was_never_measured_or_is_not_counted_never_fits(processes: int, arguments: dict[str, Any]) -> None:
    found = estimate(replace(subject(**arguments), world_size=processes))
    assert verdict(found, 10**13) == "unsure" and verdict(found, found.driver) == "tight"
    assert verdict(found, found.driver // 4) == "does_not" and smallest(found) is None


def test_pictures_are_not_counted_so_nothing_fits() -> None:
    config = {"text_config": QWEN_7B, "vision_config": {"depth": 2, "embed_dim": 64}}
    assert "fits" not in fits_on(estimate(subject(config))).values()


def test_a_measured_kind_fits() -> None:
    for job in (subject(), subject(deepspeed=ZERO3)):
        assert fits_on(estimate(job))["192 GB"] == "fits"
