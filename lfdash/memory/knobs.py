"""Which settings take less memory, and the smallest change that makes a training fit. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lfdash.memory.estimate import Estimate, estimate
from lfdash.memory.subject import LIGER, Subject

Changes = Mapping[str, Any]  # argument -> value
# As LlamaBoard and lfdash name them in a workspace (lfdash/jobs/converters.py: deepspeed_to).
ZERO2, ZERO3 = "deepspeed/ds_z2_config.json", "deepspeed/ds_z3_config.json"
ZERO3_OFFLOAD = "deepspeed/ds_z3_offload_config.json"
SHORTEST = 256  # tokens below which no cutoff is offered
# What a knob sets that asks for a package beside LLaMA-Factory's own; which one: lfdash/jobs/packages.py.
WITH_PACKAGE: Mapping[str, Changes] = {
    "liger": {"enable_liger_kernel": True}, "optimizer_8bit": {"optim": "adamw_8bit"},
    "quantize_4bit": {"quantization_bit": 4, "quantization_method": "bnb"}, "zero2": {"deepspeed": ZERO2},
    "zero3": {"deepspeed": ZERO3}, "offload": {"deepspeed": ZERO3_OFFLOAD},
}


@dataclass(frozen=True)
class Knob:
    """One setting. name: its text is `memory.knob_<name>`; changes: arguments that are set; estimate: with them alone;
    saves: bytes of the driver's figure (0 or less: it saves nothing)."""

    name: str
    changes: Changes
    estimate: Estimate
    saves: int


@dataclass(frozen=True)
class Fit:
    """What makes a training fit. names: of the knobs that are turned, in order; changes: all arguments that are set;
    estimate: with them."""

    names: tuple[str, ...]
    changes: Changes
    estimate: Estimate


# -- what each knob sets; None: it is turned already, or cannot be ----------------------------------------


def liger(subject: Subject) -> Changes | None:
    """Logits are made a chunk at a time, where the loss is the model's own; norms and MLPs keep less."""
    shape = subject.architecture
    if subject.liger or shape.kind not in LIGER or not shape.is_known or shape.tower:
        return None
    return WITH_PACKAGE["liger"]


def checkpointing(subject: Subject) -> Changes | None:
    return None if subject.checkpointing else {"disable_gradient_checkpointing": False}


def batch(subject: Subject) -> Changes | None:
    """The next smaller batch that divides this one, and as many more forwards: a step learns of the same rows."""
    parts = next((n for n in range(2, subject.batch + 1) if subject.batch % n == 0), 0)
    if not parts:
        return None
    return {"per_device_train_batch_size": subject.batch // parts,
            "gradient_accumulation_steps": subject.accumulation * parts}


def smallest_batch(subject: Subject) -> Changes | None:
    """One row at a time."""
    if subject.batch < 2:
        return None
    return {"per_device_train_batch_size": 1, "gradient_accumulation_steps": subject.accumulation * subject.batch}


def optimizer_8bit(subject: Subject) -> Changes | None:
    special = ("use_badam", "use_apollo", "use_galore", "use_adam_mini", "use_muon")
    if subject.sharding in ("z2", "z3") or any(map(subject.on, special)) or not subject.optimizer.startswith("adam"):
        return None
    return None if "8bit" in subject.optimizer else WITH_PACKAGE["optimizer_8bit"]


def quantize_4bit(subject: Subject) -> Changes | None:
    """For adapters, whose model is frozen; LLaMA-Factory refuses it under ZeRO-3 (model_utils/quantization.py)."""
    if not subject.adapts or subject.sharding or subject.architecture.quantized or 0 < subject.bits <= 4:
        return None
    return WITH_PACKAGE["quantize_4bit"]


def can_share(subject: Subject) -> bool:
    """Whether DeepSpeed can take over."""
    special = ("use_badam", "use_apollo", "use_galore", "use_adam_mini", "use_muon", "pure_bf16", "use_unsloth")
    return not (subject.sharding == "fsdp" or subject.bits or any(map(subject.on, special)))


def zero2(subject: Subject) -> Changes | None:
    if subject.world_size < 2 or subject.sharding or not can_share(subject):
        return None
    return WITH_PACKAGE["zero2"]


def zero3(subject: Subject) -> Changes | None:
    if subject.world_size < 2 or subject.sharding == "z3" or not can_share(subject):
        return None
    return WITH_PACKAGE["zero3"]


def offload(subject: Subject) -> Changes | None:
    """Weights and states wait in the machine's memory; a step takes several times as long."""
    if not can_share(subject) or (subject.sharding == "z3" and subject.offload):
        return None
    return WITH_PACKAGE["offload"]


def cutoff(subject: Subject) -> Changes | None:
    """Half of the longest row: what is cut off is not learned, so it is only offered."""
    half = subject.length // 2 // 8 * 8
    return {"cutoff_len": half} if half >= SHORTEST else None


Turn = Callable[[Subject], Changes | None]
# From what changes nothing of what is learned to what costs most of it, or of time.
KNOBS: Mapping[str, Turn] = {
    "liger": liger, "checkpointing": checkpointing, "batch": batch, "optimizer_8bit": optimizer_8bit,
    "quantize_4bit": quantize_4bit, "zero2": zero2, "zero3": zero3, "offload": offload,
}
ORDERS = ((), ("quantize_4bit",))  # what is skipped: DeepSpeed cannot share weights that are quantized
OFFERED: Mapping[str, Turn] = {**KNOBS, "batch": smallest_batch, "cutoff": cutoff}


def turned(subject: Subject) -> tuple[Knob, ...]:
    """Each knob that can be turned, alone, with what it saves; the one that saves most first."""
    before = estimate(subject).driver
    found = []
    for name, turn in OFFERED.items():
        changes = turn(subject)
        if changes is not None:
            after = estimate(subject.changed(**changes))
            found.append(Knob(name, changes, after, before - after.driver))
    return tuple(sorted(found, key=lambda knob: -knob.saves))


def make_it_fit(subject: Subject, free: int, without: Collection[str] = ()) -> Fit | None:
    """The smallest change with which a training needs at most `free` bytes of each GPU, in the order of KNOBS; the
    batch gets smaller only as far as it must. without: knobs that cannot be turned here. No change where it fits
    already; None where nothing is enough."""
    for skipped in ORDERS:
        names: list[str] = []
        for name, made in tried(subject, {*skipped, *without}):
            names += [name] if name else []
            if estimate(made).driver <= free:
                return without_needless(subject, made, list(dict.fromkeys(names)), free)
    return None


def least(subject: Subject, without: Collection[str] = ()) -> Estimate:
    """What a training takes with every knob turned that saves something: less is not to be had this way. without: as
    `make_it_fit`."""
    ways = [made for skipped in ORDERS for _, made in tried(subject, {*skipped, *without})]
    return min(map(estimate, ways), key=lambda found: found.driver)


def tried(subject: Subject, skipped: Collection[str] = ()) -> Iterator[tuple[str, Subject]]:
    """The training, and with one knob after the other turned as well, where that saves something."""
    current = subject
    yield "", current
    for name, turn in KNOBS.items():
        while name not in skipped and (changes := turn(current)) is not None:
            after = current.changed(**changes)
            if estimate(after).driver >= estimate(current).driver:
                break
            current = after
            yield name, current
            if name != "batch":
                break


def without_needless(subject: Subject, made: Subject, names: list[str], free: int) -> Fit:
    """The same without the knobs that a later one made needless, those that change most first, and with the largest
    batch that is small enough."""
    best = made
    for name in reversed(names[:-1]):
        fewer = [other for other in names if other != name]
        candidate = replayed(subject, best, fewer)
        if estimate(candidate).driver <= free:
            names, best = fewer, candidate
    if "batch" in names:
        smaller = (n for n in range(2, subject.batch + 1) if subject.batch % n == 0)
        batches = (best.changed(per_device_train_batch_size=subject.batch // n,
                                gradient_accumulation_steps=subject.accumulation * n) for n in smaller)
        best = next(candidate for candidate in batches if estimate(candidate).driver <= free)
    changes = {name: value for name, value in best.arguments.items() if subject.arguments.get(name) != value}
    return Fit(tuple(names), changes, estimate(best))


def replayed(subject: Subject, made: Subject, names: list[str]) -> Subject:
    """A training with some of the knobs that `made` has turned, each as far as there."""
    current = subject
    for name in names:
        keys = ARGUMENTS[name]
        current = current.changed(**{key: made.arguments[key] for key in keys if key in made.arguments})
    return current


ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "liger": ("enable_liger_kernel",), "checkpointing": ("disable_gradient_checkpointing",),
    "batch": ("per_device_train_batch_size", "gradient_accumulation_steps"), "optimizer_8bit": ("optim",),
    "quantize_4bit": ("quantization_bit", "quantization_method"), "zero2": ("deepspeed",), "zero3": ("deepspeed",),
    "offload": ("deepspeed",),
}
