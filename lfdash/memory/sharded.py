"""What DeepSpeed and FSDP keep on one GPU in place of the weights, gradients and optimizer's states. Pure.

n: processes. Files are DeepSpeed's (deepspeed/runtime/zero/) and PyTorch's own.
"""

from __future__ import annotations

from dataclasses import dataclass

from lfdash.memory.subject import Subject
from lfdash.memory.weights import Weights

MOST_GATHERED = 1e9  # parameters: stage3_max_live_parameters; also sub_group_size of the optimizer's step


@dataclass(frozen=True)
class Share:
    """Bytes on one GPU. weights and states: always; gathered: weights that are fetched for a forward and backward;
    gradients: after a backward; step: besides, while the optimizer makes its step."""

    weights: float
    states: float
    gathered: float
    gradients: float
    step: float


def share(subject: Subject, found: Weights) -> Share:
    """One process's share, whoever shares."""
    if subject.sharding == "fsdp":
        return fsdp(subject, found)
    return zero3(subject, found) if subject.sharding == "z3" else zero2(subject, found)


def zero2(subject: Subject, found: Weights) -> Share:
    """zero/stage_1_and_2.py:step. Flat 16-bit gradients, flattened anew and turned into fp32; with offload two buffers
    of the largest weight."""
    if subject.offload:
        return Share(found.size, 2 * subject.architecture.embedding, 0, 0, 0)
    own = found.trained / subject.world_size
    return Share(found.size, 12 * own, 0, 2 * own, 8 * own)


def zero3(subject: Subject, found: Weights) -> Share:
    """zero/stage3.py: weights in 16 bit, gradients, fp32 copy and moments are shared; the step goes by sub-groups."""
    n, total = subject.world_size, subject.architecture.total
    gathered = 2 * min(total, MOST_GATHERED) if n > 1 or subject.offload else 0
    if subject.offload:
        return Share(0, 0, gathered, 0, 0)
    own = found.trained / n
    return Share(found.size / n, 14 * own, gathered, 0, 6 * min(own, MOST_GATHERED))


def fsdp(subject: Subject, found: Weights) -> Share:
    """torch/distributed/fsdp, a full shard by decoder layer: weights, gradients and states of an optimizer are shared,
    two layers are gathered in 16 bit, the one that is computed and the one that is fetched. Not held against a run."""
    n, shape = subject.world_size, subject.architecture
    own = found.trained / n
    if "offload" in str(subject.arguments.get("fsdp")):
        return Share(0, 0, 4 * shape.layer, 0, 0)
    return Share(found.size / n, 2 * found.each * own, 4 * shape.layer, found.each * own, found.each * own)
