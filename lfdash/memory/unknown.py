"""What an estimate does not know, or nobody has measured: a table. Pure.

A row's text is `memory.unknown_<code>` of the locales.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lfdash.memory.subject import Subject

STAGES = ("sft", "pt", "rm", "dpo", "kto")
METHODS = ("full", "freeze", "lora", "oft")
OPTIMIZERS = ("adamw", "adam", "adafactor", "sgd", "lion", "rmsprop", "adagrad")
LOSSES = ("use_dft_loss", "use_asft_loss", "use_eaft_loss", "compute_accuracy", "label_smoothing_factor",
          "moe_aux_loss_coef")
UPCASTS = ("upcast_layernorm", "upcast_lmhead_output")
TOKENS = ("resize_vocab", "add_tokens", "add_special_tokens", "new_special_tokens_config")  # the last three resize it
FREEZES = ("use_llama_pro", "freeze_extra_modules")
MEASURED_CARD = "H200"  # on which all rows were measured
ENGINES = ("use_kt", "use_mca", "use_hyper_parallel", "mixture_of_depths")
PAGED = "paged"


@dataclass(frozen=True)
class Unknown:
    """One thing that is not known. holds: whether it is so; band: share that the figures may be off by for it. bounded:
    False where something is not counted, or differs in more than a share: no figure says then that a training fits."""

    code: str
    holds: Callable[[Subject], bool]
    band: float
    bounded: bool = True


def shared(subject: Subject) -> bool:
    """Whether several GPUs share a model or its states; they gather them in buffers that were never measured. Reported
    (hiyouga/LlamaFactory): #5070 out of 24 GB, counted 16; #7409 about 50 GB on each, counted 22."""
    return subject.world_size > 1 and bool(subject.sharding)


def odd_targets(subject: Subject) -> bool:
    """Whether an adapter is wanted where the model's shape has no such layer."""
    named = subject.arguments.get("lora_target") or "all"
    names = named if isinstance(named, list) else [name.strip() for name in str(named).split(",")]
    return subject.adapts and "all" not in names and not set(names) <= set(subject.architecture.linear)


def more_targets(subject: Subject) -> bool:
    """Whether modules are fully trained beside an adapter."""
    return subject.adapts and (subject.on("additional_target") or any(map(subject.on, TOKENS)))


def odd_optimizer(subject: Subject) -> bool:
    """Whether nothing is known of the optimizer's states."""
    special = ("use_adam_mini", "use_muon", "use_galore")
    if subject.sharding in ("z2", "z3") and "adamw_torch" not in subject.optimizer:  # counted as fp32 AdamW
        return True
    return not subject.optimizer.startswith((*OPTIMIZERS, PAGED)) or any(map(subject.on, special))


def odd_quantization(subject: Subject) -> bool:
    """Whether weights are quantized by something else than bitsandbytes."""
    other = str(subject.arguments.get("quantization_method") or "bnb").lower() not in ("bnb", "bitsandbytes")
    return bool(subject.architecture.quantized) or (other and subject.on("quantization_bit"))


def eight_bits(subject: Subject) -> bool:
    """Whether bitsandbytes keeps weights in 8 bit. Its fragments differ: one that was measured, Mistral-7B, had a third
    more in use on its card than any estimate."""
    return subject.bits == 8 and not odd_quantization(subject)


def odd_freeze(subject: Subject) -> bool:
    """Whether other parts of the layers are trained than the last ones, whole."""
    parts = subject.arguments.get("freeze_trainable_modules") or "all"
    return subject.method == "freeze" and (str(parts) not in ("all", "['all']") or any(map(subject.on, FREEZES)))


def in_32_bits(subject: Subject) -> bool:
    """Whether the forward runs in 32 bit: no other precision is asked for, and the weights are not in 16 bit, or
    config.json does not tell."""
    known = subject.architecture.stored in ("bfloat16", "float16") or subject.architecture.source != "config"
    return not known and not any(map(subject.on, ("bf16", "fp16"))) and not (
        subject.on("pure_bf16") and subject.architecture.stored == "")


def odd_types(subject: Subject) -> bool:
    """Whether a forward in fp16, or in another type than the weights', is one that was never measured."""
    odd = bool(subject.sharding or subject.bits or not subject.checkpointing)
    return (subject.on("fp16") or subject.recasts) and odd


def other_reference(subject: Subject) -> bool:
    """Whether the reference model is another one than that which is trained."""
    named = subject.arguments.get("ref_model")
    return bool(subject.second_model and named and named != subject.arguments.get("model_name_or_path"))


def other_card(subject: Subject) -> bool:
    """Whether the card is another kind than the measured one, and no past run on it tells."""
    known = subject.learned is not None and not subject.learned.differs
    return subject.card not in ("", MEASURED_CARD) and not known


ROWS = (
    Unknown("by_name", lambda s: s.architecture.source == "name", 0.40),
    Unknown("architecture", lambda s: not s.architecture.is_known, 0.20),
    Unknown("stage", lambda s: s.stage not in STAGES, 0.50, bounded=False),
    Unknown("method", lambda s: s.method not in METHODS, 0.50, bounded=False),
    Unknown("multimodal", lambda s: s.architecture.multimodal, 0.25, bounded=False),
    Unknown("several_gpus", lambda s: s.world_size > 1 and not shared(s), 0.15, bounded=False),
    Unknown("several_gpus", shared, 0.50, bounded=False),
    Unknown("fsdp", lambda s: s.sharding == "fsdp", 0.30, bounded=False),
    Unknown("deepspeed", lambda s: s.sharding in ("z2", "z3") and s.zero_stage not in (2, 3), 0.30, bounded=False),
    Unknown("fp16", odd_types, 0.10),
    Unknown("optimizer", odd_optimizer, 0.20),
    Unknown("paged", lambda s: s.optimizer.startswith(PAGED), 0.20),
    Unknown("quantization", odd_quantization, 0.20),
    Unknown("eight_bit", eight_bits, 0.35),
    Unknown("precision", in_32_bits, 0.50, bounded=False),
    Unknown("fp8", lambda s: s.on("fp8"), 0.20, bounded=False),
    Unknown("upcast", lambda s: any(map(s.on, UPCASTS)), 0.20, bounded=False),
    Unknown("compile", lambda s: s.on("torch_compile"), 0.20, bounded=False),
    Unknown("liger", lambda s: s.on("enable_liger_kernel") and not s.liger, 0.0),
    Unknown("freeze", odd_freeze, 0.20, bounded=False),
    Unknown("badam", lambda s: s.badam and str(s.arguments.get("badam_mode") or "layer") != "layer", 0.30, False),
    Unknown("pissa", lambda s: s.adapts and s.on("pissa_init"), 0.10, bounded=False),
    Unknown("shift_attn", lambda s: s.on("shift_attn"), 0.10, bounded=False),
    Unknown("reference", other_reference, 0.20, bounded=False),
    Unknown("auto_batch", lambda s: s.on("auto_find_batch_size"), 0.0),
    Unknown("lora_target", odd_targets, 0.10),
    Unknown("additional_target", more_targets, 0.20, bounded=False),
    Unknown("padding", lambda s: s.padded and not s.on("neat_packing"), 0.10),
    Unknown("lengths", lambda s: not s.lengths and not s.packed, 0.0),
    Unknown("evaluation", lambda s: s.evaluates, 0.10),
    Unknown("loss", lambda s: any(map(s.on, LOSSES)), 0.20, bounded=False),
    Unknown("reference_free", lambda s: s.stage == "dpo" and not s.reference, 0.10),
    Unknown("unsloth", lambda s: s.on("use_unsloth") or s.on("use_unsloth_gc"), 0.30, bounded=False),
    Unknown("flash_attention", lambda s: str(s.arguments.get("flash_attn")) in ("fa2", "fa3"), 0.10),
    Unknown("card", other_card, 0.0),
    Unknown("other_engine", lambda s: any(map(s.on, ENGINES)), 0.50, bounded=False),
)


def unknown_of(subject: Subject) -> tuple[list[str], float, bool]:
    """The codes of what is not known of a training, the largest share that its figures may be off by, and whether that
    bounds them."""
    found = [row for row in ROWS if row.holds(subject)]
    band = max((row.band for row in found), default=0.0)
    return [row.code for row in found], band, all(row.bounded for row in found)
