"""How much memory a training takes on each GPU, in closed form: some microseconds, no GPU, no torch. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lfdash.memory.correction import Learned
from lfdash.memory.phases import Parts, Terms, parts, phases
from lfdash.memory.subject import Subject
from lfdash.memory.unknown import unknown_of

GIB = 2**30
NAMES = ("weights", "optimizer", "gradients", "checkpoints", "layer", "logits", "holes", "driver")
# Of the driver and the CUDA context, beside what torch reserves; measured on an H200 (docs/benchmarks.md), other cards
# differ.
CONTEXT = {"": 0.74, "z2": 1.67, "z3": 1.29, "fsdp": 0.74}
# Fitted on the measured rows: what torch reserves against the sum of what can share no room; under DeepSpeed, whose
# segments can grow, against the peak.
SLACK, SLACK_ZERO = 1.02, 1.10
DIFFERS = "runs_differ"  # code: past runs on this card are too far off to correct by
ODD_ROOM = 0.10  # the same where what is reserved is not as well known (`has_odd_room`)
BAND = 0.06  # share of the driver's figure that 19 of 20 measured trainings lay within


@dataclass(frozen=True)
class Estimate:
    """Memory of one GPU, in bytes.

    allocated, reserved: torch's peaks. driver: what must be free on the card. terms: what the driver's figure is made
    of at the peak, by NAMES (weights with their copies; layer: what the backward of one layer takes, and cuBLAS; holes:
    what torch reserves and cannot use; driver: the CUDA context). unknown: codes of what nothing is known of, or was
    never measured. band: share that the driver's figure may be off by; bounded: False where it may be further off
    (`unknown.Unknown`). phases: bytes allocated by moment of a step. trained: parameters that are trained.
    """

    allocated: int
    reserved: int
    driver: int
    terms: Mapping[str, int]
    unknown: tuple[str, ...] = ()
    band: float = BAND
    phases: Mapping[str, int] = field(default_factory=dict)
    trained: int = 0
    bounded: bool = True


def estimate(subject: Subject) -> Estimate:
    """What a training takes on each of its GPUs, corrected by past runs where these tell something of it."""
    plain, learned = closed_form(subject), subject.learned
    if learned is None:
        return plain
    if learned.differs:
        return replace(plain, unknown=(*plain.unknown, DIFFERS))
    return corrected(plain, learned)


def closed_form(subject: Subject) -> Estimate:
    """The same without a look at past runs."""
    has = parts(subject)
    found = phases(subject, has)
    sums = {name: sum(terms.values()) for name, terms in found.items()}
    peak = max(sums, key=lambda name: sums[name])
    reserved = reserved_size(subject, has, sums)
    codes, band, bounded = unknown_of(subject)
    whole = made(found[peak], sums[peak], reserved, CONTEXT[subject.sharding] * GIB, tuple(codes),
                 max((ODD_ROOM if has_odd_room(subject) else BAND) + more_if_ragged(subject, sums[peak]), band),
                 {name: int(size) for name, size in sums.items()}, has.found.trained)
    return replace(whole, bounded=bounded)


def has_odd_room(subject: Subject) -> bool:
    """Whether whole weights are trained with an optimizer of which what is reserved was up to 10 % off where it was
    measured."""
    few = "8bit" in subject.optimizer or subject.optimizer.startswith("adafactor") or subject.on("use_apollo")
    return few and not subject.adapts and not subject.sharding


def more_if_ragged(subject: Subject, peak: float) -> float:
    """The share by which the peak is higher with rows of other lengths, which are padded, where these are not known."""
    if subject.lengths or subject.packed:
        return 0.0
    ragged = replace(subject, lengths=(subject.cutoff - 1,))
    sums = (sum(terms.values()) for terms in phases(ragged, parts(ragged)).values())
    return max(0.0, max(sums) / peak - 1)


def made(
    terms: Terms, allocated: float, reserved: float, context: float, unknown: tuple[str, ...], band: float,
    by_phase: Mapping[str, int], trained: int,
) -> Estimate:
    """Whole bytes, of which the terms add up to the driver's figure."""
    whole = {name: int(terms.get(name, 0)) for name in NAMES}
    whole["weights"] += int(allocated) - sum(whole.values())  # what rounding left
    whole["holes"], whole["driver"] = int(reserved) - int(allocated), int(context)
    return Estimate(
        int(allocated), int(reserved), sum(whole.values()), whole, unknown, band, by_phase, trained
    )


def reserved_size(subject: Subject, has: Parts, sums: Mapping[str, float]) -> float:
    """What torch's allocator has taken from the driver at its peak (c10/cuda/CUDACachingAllocator.cpp): the room of
    16-bit logits fits none in fp32, that of gradients no logits, and that of a training's logits not those of an
    evaluation's larger batch. sums: bytes allocated by phase."""
    peak = max(sums.values())
    if subject.sharding:
        return peak * SLACK_ZERO
    found, base = has.logits, sum(has.base.values())
    small = max(has.gradients + has.twice, has.casts + has.held.checkpoints)
    large = found.forward if found.chunked else max(found.forward, found.backward) + found.one
    large = max(large, has.step) + (has.held.layer if subject.eager else 0)  # nor do probabilities
    beside = sums["evaluation"] + large if has_larger_evaluation(subject) else 0.0
    return max(peak, base + small + large, beside) * SLACK


def has_larger_evaluation(subject: Subject) -> bool:
    """Whether evaluations between two steps have more logits than a step."""
    return subject.evaluates and not subject.on("predict_with_generate") and subject.eval_sequences > subject.sequences


def corrected(estimate: Estimate, learned: Learned) -> Estimate:
    """An estimate with each figure moved by what was learned of that figure."""
    allocated = learned.allocated.of(estimate.allocated) if learned.allocated else estimate.allocated
    if learned.reserved is None and learned.driver is not None:  # PyTorch's share and the context as one
        driver = learned.driver.of(estimate.driver)
        reserved = round(estimate.reserved * driver / estimate.driver)
        return sized(estimate, min(allocated, reserved), reserved, driver - reserved)
    reserved = learned.reserved.of(estimate.reserved) if learned.reserved else estimate.reserved
    return sized(estimate, allocated, reserved, estimate.terms["driver"])


def scaled(estimate: Estimate, ratio: float) -> Estimate:
    """An estimate whose two figures of PyTorch are multiplied."""
    sizes = round(estimate.allocated * ratio), round(estimate.reserved * ratio)
    return sized(estimate, *sizes, estimate.terms["driver"])


def sized(estimate: Estimate, allocated: int, reserved: int, context: int) -> Estimate:
    """An estimate with other figures, in bytes, its terms in the same shares; what torch reserves is never less than
    what it allocates."""
    share, reserved = allocated / estimate.allocated, max(allocated, reserved)
    terms = {name: round(size * share) for name, size in estimate.terms.items()}
    terms["driver"], terms["holes"] = context, reserved - allocated
    terms["weights"] += reserved + context - sum(terms.values())
    return replace(
        estimate, allocated=allocated, reserved=reserved, driver=reserved + context, terms=terms,
        phases={name: round(size * share) for name, size in estimate.phases.items()},
    )
