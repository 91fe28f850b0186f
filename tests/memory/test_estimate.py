"""What must hold of every estimate, whatever is trained: more work is never less memory, savings never cost some."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lfdash.memory.architecture import Architecture
from lfdash.memory.estimate import BAND, GIB, estimate
from lfdash.memory.knobs import turned
from lfdash.memory.learned import PastRun, PastRuns
from lfdash.memory.subject import Subject
from tests.support.memory import QWEN_7B, measured, shape, subject

SHAPES = list({row.subject.architecture for row in measured()})
STAGES = ("sft", "pt", "rm", "dpo", "kto")
SWITCHES = (
    "bf16", "fp16", "pure_bf16", "enable_liger_kernel", "disable_gradient_checkpointing", "use_dora", "packing",
    "use_badam",
)


@st.composite
def subjects(draw: Any) -> Subject:
    """Any training of any measured shape."""
    method = draw(st.sampled_from(["lora", "full", "freeze", "oft"]))
    arguments: dict[str, Any] = {
        "stage": draw(st.sampled_from(STAGES)), "finetuning_type": method,
        "cutoff_len": draw(st.integers(16, 16384)), "per_device_train_batch_size": draw(st.integers(1, 16)),
        "gradient_accumulation_steps": draw(st.integers(1, 16)), "lora_rank": draw(st.integers(1, 256)),
        "optim": draw(st.sampled_from(["adamw_torch", "adamw_torch_fused", "adamw_8bit", "adafactor", "sgd"])),
        "lora_target": draw(st.sampled_from(["all", "q_proj,v_proj"])),
        **{name: True for name in SWITCHES if draw(st.booleans())},
    }
    if method in ("lora", "oft"):
        arguments["quantization_bit"] = draw(st.sampled_from([None, 4, 8]))
    if not arguments.get("quantization_bit"):
        arguments["deepspeed"] = draw(st.sampled_from([None, "z2", "z3", "z2_offload", "z3_offload"]))
    if not arguments.get("deepspeed") and draw(st.booleans()):
        arguments["fsdp"] = "full_shard"
    lengths = tuple(draw(st.lists(st.integers(1, 20000), max_size=6)))
    made = Subject(draw(st.sampled_from(SHAPES)), {}, draw(st.integers(1, 16)), lengths)
    return made.changed(**arguments)


def grows(less: Subject, more: Subject) -> bool:
    """Whether no figure of the second is smaller."""
    one, two = estimate(less), estimate(more)
    return all(getattr(one, name) <= getattr(two, name) + 1 for name in ("allocated", "reserved", "driver"))


@given(subjects(), st.integers(1, 16))
def test_a_larger_batch_never_takes_less(made: Subject, more: int) -> None:
    assert grows(made, made.changed(per_device_train_batch_size=made.batch + more))


@given(subjects(), st.integers(1, 8192))
def test_longer_rows_never_take_less(made: Subject, more: int) -> None:
    assert grows(replace(made, lengths=()), replace(made, lengths=()).changed(cutoff_len=made.cutoff + more))


@given(subjects(), st.integers(1, 128))
def test_a_higher_rank_never_takes_less(made: Subject, more: int) -> None:
    assert grows(made, made.changed(lora_rank=made.number("lora_rank", 8) + more))


@given(subjects(), st.integers(1, 32))
def test_a_deeper_model_never_takes_less(made: Subject, more: int) -> None:
    deeper = replace(made.architecture, layers=made.architecture.layers + more)
    assert grows(made, replace(made, architecture=deeper))


@given(subjects())
def test_more_processes_never_take_more_where_they_share(made: Subject) -> None:
    if made.sharding and made.world_size > 1:  # a single one gathers nothing
        assert grows(replace(made, world_size=2 * made.world_size), made)


@given(subjects())
def test_quantizing_never_takes_more(made: Subject) -> None:
    if made.adapts and not made.sharding:
        plain, eight, four = (estimate(made.changed(quantization_bit=bits)) for bits in (None, 8, 4))
        assert four.phases["optimizer"] <= eight.phases["optimizer"] <= plain.phases["optimizer"]


@given(subjects())
@settings(max_examples=300)
def test_figures_are_whole_and_in_order(made: Subject) -> None:
    found = estimate(made)
    assert 0 < found.allocated <= found.reserved < found.driver == sum(found.terms.values())
    assert min(found.terms.values()) >= 0, found.terms
    assert 0 < found.band < 1


@given(subjects(), st.integers(1, 20000))
def test_rows_shorter_than_the_cutoff_take_less(made: Subject, longest: int) -> None:
    """All of one length, which needs no padding."""
    made = made.changed(cutoff_len=made.cutoff // 8 * 8)
    assert grows(replace(made, lengths=(longest // 8 * 8 + 8,)), replace(made, lengths=()))


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"stage": "ppo"}, "stage"), ({"fsdp": "full_shard auto_wrap"}, "fsdp"),
        ({"fp16": True, "bf16": None, "quantization_bit": 4}, "fp16"),
        ({"optim": "paged_adamw_8bit"}, "paged"), ({"optim": "muon"}, "optimizer"), ({"use_galore": True}, "optimizer"),
        ({"quantization_bit": 4, "quantization_method": "hqq"}, "quantization"),
        ({"lora_target": "c_attn"}, "lora_target"),
        ({"additional_target": "embed_tokens"}, "additional_target"), ({"eval_strategy": "steps"}, "evaluation"),
        ({"use_dft_loss": True}, "loss"), ({"stage": "dpo", "pref_loss": "simpo"}, "reference_free"),
        ({"use_unsloth": True}, "unsloth"), ({"flash_attn": "fa2"}, "flash_attention"),
        ({"deepspeed": "mine.json"}, "deepspeed"), ({"deepspeed": {"zero_optimization": {"stage": 1}}}, "deepspeed"),
        ({"use_mca": True}, "other_engine"), ({"finetuning_type": "soft"}, "method"),
    ],
)
def test_what_is_not_known_is_said(arguments: dict[str, Any], code: str) -> None:
    assert code not in estimate(subject()).unknown
    found = estimate(subject(**arguments))
    assert code in found.unknown and found.band > estimate(subject()).band


def test_several_gpus_padding_and_lengths_are_said() -> None:
    assert "several_gpus" in estimate(replace(subject(), world_size=2)).unknown
    short, longer = replace(subject(), lengths=(800,)), replace(subject(), lengths=(801,))
    assert "lengths" in estimate(subject()).unknown
    assert {"lengths", "padding"}.isdisjoint(estimate(short).unknown)
    assert "padding" in estimate(longer).unknown, "801 tokens are padded to 808"


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "deepseek_v3", "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_nope_head_dim": 128,
         "qk_rope_head_dim": 64, "v_head_dim": 128},
        {"model_type": "phi"}, {"vision_config": {"depth": 32, "embed_dim": 1280}},
    ],
)
def test_a_shape_that_was_never_measured_is_said(config: dict[str, Any]) -> None:
    assert {"architecture", "multimodal"} & set(estimate(subject(config)).unknown)


def test_what_evaluates_with_a_large_batch_takes_its_logits() -> None:
    """Its batch is 8 rows unless somebody says otherwise; the training's is one."""
    plain, checked = estimate(subject()), estimate(subject(eval_strategy="steps"))
    assert checked.allocated > plain.allocated and checked.terms["logits"] > plain.terms["logits"]
    assert estimate(subject(eval_strategy="steps", per_device_eval_batch_size=1)).allocated == plain.allocated
    generated = estimate(subject(eval_strategy="steps", predict_with_generate=True, stage="sft"))
    assert generated.phases["evaluation"] < checked.phases["evaluation"]


def test_padding_repeats_the_keys() -> None:
    whole, ragged = replace(subject(), lengths=(2048,)), replace(subject(), lengths=(2048, 100))
    two = [made.changed(per_device_train_batch_size=2, disable_gradient_checkpointing=True) for made in (whole, ragged)]
    assert estimate(two[0]).allocated < estimate(two[1]).allocated


def test_experts_stay_as_they_are_under_four_bits() -> None:
    experts = {"model_type": "qwen3_moe", "num_experts": 64, "num_experts_per_tok": 8, "moe_intermediate_size": 768}
    made: Architecture = shape({**QWEN_7B, **experts})
    plain, four = subject(experts), subject(experts, quantization_bit=4)
    saved = estimate(plain).phases["optimizer"] - estimate(four).phases["optimizer"]
    assert saved < 2 * made.layers * made.quantizable < 0.2 * 2 * made.total


@pytest.mark.parametrize("stage", ["dpo", "kto"])
def test_a_full_preference_training_has_a_reference_model_besides(stage: str) -> None:
    full = subject(finetuning_type="full", stage=stage)
    more = estimate(full).phases["optimizer"] - estimate(subject(finetuning_type="full")).phases["optimizer"]
    assert more == 2 * full.architecture.total


@pytest.mark.parametrize("checkpointing", [True, False])
def test_where_lengths_are_not_known_the_band_holds_what_padding_would_take(checkpointing: bool) -> None:
    unknown = subject(cutoff_len=8192, per_device_train_batch_size=4, disable_gradient_checkpointing=not checkpointing)
    ragged = replace(unknown, lengths=(8192, 10))
    assert estimate(ragged).driver <= estimate(unknown).driver * (1 + estimate(unknown).band)
    assert estimate(unknown.changed(packing=True)).band == BAND


# -- what is not counted is said --------------------------------------------------------------------------

SAID = {
    "torch_compile": ("compile", True), "fp8": ("fp8", True), "upcast_layernorm": ("upcast", True),
    "upcast_lmhead_output": ("upcast", True), "shift_attn": ("shift_attn", True), "pissa_init": ("pissa", True),
    "auto_find_batch_size": ("auto_batch", True), "label_smoothing_factor": ("loss", 0.1),
    "moe_aux_loss_coef": ("loss", 0.01), "add_tokens": ("additional_target", "<a>"),
    "add_special_tokens": ("additional_target", "<a>"), "new_special_tokens_config": ("additional_target", "a.yaml"),
    "do_eval": ("evaluation", True), "eval_on_start": ("evaluation", True), "quantization_bit": ("eight_bit", 8),
    "fsdp": ("fsdp", "full_shard auto_wrap"), "use_unsloth": ("unsloth", True),
}


@pytest.mark.parametrize("argument", SAID)
def test_a_setting_that_is_not_counted_or_was_not_measured_is_said(argument: str) -> None:
    code, value = SAID[argument]
    assert code not in estimate(subject()).unknown
    assert code in estimate(subject(**{argument: value})).unknown


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"finetuning_type": "freeze", "freeze_trainable_modules": "mlp"}, "freeze"),
        ({"finetuning_type": "freeze", "use_llama_pro": True}, "freeze"),
        ({"finetuning_type": "freeze", "freeze_trainable_modules": "all"}, ""),
        ({"finetuning_type": "full", "use_badam": True, "badam_mode": "ratio"}, "badam"),
        ({"finetuning_type": "full", "use_badam": True}, ""),
        ({"stage": "dpo", "ref_model": "other/model", "model_name_or_path": "a/b"}, "reference"),
        ({"stage": "dpo", "ref_model": "a/b", "model_name_or_path": "a/b"}, ""),
        ({"stage": "sft", "ref_model": "other/model"}, ""), ({"stage": "ppo"}, "stage"),
        ({"neat_packing": True, "packing": True}, ""),
    ],
)
def test_a_way_of_training_that_is_not_counted_is_said(changes: dict[str, Any], said: str) -> None:
    codes = {"freeze", "badam", "reference", "stage", "padding"}
    assert codes & set(estimate(subject(**changes)).unknown) == ({said} if said else set())


def test_a_model_that_is_loaded_in_32_bits_is_said_to_be_more() -> None:
    plain = {"bf16": None}
    for config, answer in (({}, True), ({"torch_dtype": "float32"}, True), ({"dtype": "bfloat16"}, False),
                           ({"torch_dtype": "float16"}, False)):
        found = estimate(subject(config).changed(**plain))
        assert ("precision" in found.unknown) is answer and found.bounded is not answer
    assert "precision" not in estimate(subject({"torch_dtype": "float32"})).unknown, "bf16 is asked for"


def test_the_liger_kernel_changes_only_what_llamafactory_replaces() -> None:
    other = {"model_type": "ministral"}
    on, off = subject(other, enable_liger_kernel=True), subject(other)
    assert estimate(on).driver == estimate(off).driver and "liger" in estimate(on).unknown
    assert "liger" not in [knob.name for knob in turned(off)] and "liger" in [knob.name for knob in turned(subject())]
    assert "liger" not in estimate(subject(enable_liger_kernel=True)).unknown


def test_a_reference_model_of_its_own_is_counted() -> None:
    """LoRA is switched off for it; another adapter is not, nor is a model that is named (create_ref_model)."""
    lora = estimate(subject(stage="dpo")).allocated
    size = 2 * subject().architecture.total
    named = estimate(subject(stage="dpo", ref_model="a/b", model_name_or_path="a/b")).allocated
    assert named - lora == size
    sft, dpo = (estimate(subject(stage=stage, finetuning_type="oft")).allocated for stage in ("sft", "dpo"))
    assert dpo - sft > size


def test_rows_that_are_packed_neatly_have_a_mask() -> None:
    neat, plain = (estimate(subject(packing=True, neat_packing=on)).allocated for on in (True, False))
    assert neat > plain
    flash = subject(packing=True, neat_packing=True, flash_attn="fa2")
    assert estimate(flash).allocated == plain


def test_beams_of_an_evaluation_each_have_their_keys() -> None:
    generating = {"do_eval": True, "predict_with_generate": True, "per_device_eval_batch_size": 64}
    one, four = (estimate(subject(**generating, eval_num_beams=beams)).phases["evaluation"] for beams in (1, 4))
    assert four > 1.5 * one


@pytest.mark.parametrize(("card", "answer"), [("", False), ("H200", False), ("H100", True), ("Some card", True)])
def test_another_card_than_the_measured_one_is_said(card: str, answer: bool) -> None:
    found = replace(subject(), card=card)
    assert ("card" in estimate(found).unknown) is answer
    run = PastRun("a", found, estimate(found), driver=estimate(found).driver)
    assert "card" not in estimate(replace(found, past=PastRuns([run], found))).unknown, "a past run on it tells"


# -- pictures -----------------------------------------------------------------------------------------------

TOWER = {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "patch_size": 14, "spatial_merge_size": 2}
SEES = {"model_type": "qwen2_5_vl", "vision_config": TOWER}


def test_a_tower_is_trained_only_when_that_is_asked_for() -> None:
    frozen = subject(SEES, finetuning_type="full")
    tower = frozen.architecture.tower_size
    assert tower == pytest.approx(676e6, rel=0.02)
    assert estimate(frozen).trained + tower == estimate(frozen.changed(freeze_vision_tower=False)).trained
    lora = subject(SEES)
    assert estimate(lora.changed(freeze_vision_tower=False)).trained > estimate(lora).trained


def test_a_frozen_tower_keeps_what_it_computes_where_peft_asks_for_its_gradient() -> None:
    """With LoRA alone: not of a quantized model, nor of one that is trained whole, nor without checkpointing."""
    def more(**arguments: object) -> int:
        seeing, blind = subject(SEES, **arguments), subject(**arguments)
        return estimate(seeing).phases["loss"] - estimate(blind).phases["loss"]

    assert more() > 3 * GIB + more(disable_gradient_checkpointing=True)
    assert more(image_max_pixels=768 * 384) < more() - GIB
    for other in ({"quantization_bit": 4}, {"finetuning_type": "full"}):
        assert more(**other) < 1.5 * GIB, other


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
@pytest.mark.parametrize("name", ["image_max_pixels", "cutoff_len", "lora_rank", "per_device_train_batch_size"])
def test_a_number_that_is_not_finite_is_none(name: str, value: float) -> None:
    assert estimate(subject(SEES, **{name: value})) == estimate(subject(SEES).changed(**{name: None}))


def test_fewer_than_no_pixels_are_none() -> None:
    assert estimate(subject(SEES, image_max_pixels=-1e6)).driver == estimate(subject(SEES, image_max_pixels=0)).driver
