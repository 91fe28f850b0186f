"""What a dry run is asked, and an estimate of what it answers. Pure.

The dry run (lfdash/llamafactory/scripts/simulation) runs a model of few layers twice; the rest follows on a line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lfdash.memory.estimate import Estimate, scaled
from lfdash.memory.phases import CUBLAS
from lfdash.memory.sharded import share
from lfdash.memory.subject import Subject
from lfdash.memory.weights import weights

FEW = 4  # layers of the first point; the second has twice as many
# What the dry run does not show: other engines, and what has no stand-in there.
NOT_SHOWN = (
    "stage", "method", "multimodal", "fsdp", "unsloth", "other_engine", "quantization", "deepspeed", "optimizer",
)
SHOWN = ("architecture", "lora_target", "additional_target", "reference_free")  # no longer unknown after a dry run


def layers_of(subject: Subject) -> list[int]:
    """The layers of the models that are run: two points of a line, or the whole model where it has few."""
    few = FEW
    if subject.method == "freeze":
        few = max(few, abs(int(subject.number("freeze_trainable_layers", 2))) + 1)
    few = max(few, subject.architecture.dense_layers + 1)
    layers = subject.architecture.layers
    return [few, 2 * few] if 2 * few < layers else [layers]


def payload(subject: Subject) -> dict[str, Any]:
    """The dry run's input."""
    arguments = {"stage": "sft", "finetuning_type": "lora", **subject.arguments, "enable_liger_kernel": subject.liger}
    arguments.pop("deepspeed", None)  # what DeepSpeed keeps is counted here
    return {
        "architecture": dict(subject.architecture.config), "arguments": arguments, "layers": layers_of(subject),
        "sequences": subject.sequences, "length": subject.length, "eager": subject.eager,
        "sharding": subject.sharding,
    }


def from_points(subject: Subject, closed: Estimate, points: Sequence[Mapping[str, Any]]) -> Estimate:
    """The closed form's estimate, moved to what a dry run allocated at its peak.

    What torch reserves lies on no line: it is taken in the closed form's ratio, and an evaluation, which is not run, as
    there.
    """
    phases = on_a_line(points, subject.architecture.layers)
    if subject.sharding:
        phases = shared_phases(subject, points, phases)
    else:
        phases = {name: size + CUBLAS for name, size in phases.items()}
    if "evaluation" in closed.phases:
        phases["evaluation"] = closed.phases["evaluation"]
    ratio = max(phases.values()) / closed.allocated
    unknown = tuple(code for code in closed.unknown if code not in SHOWN)
    whole = {name: int(size) for name, size in phases.items()}
    return replace(scaled(closed, ratio), unknown=unknown, phases=whole)


def on_a_line(points: Sequence[Mapping[str, Any]], layers: int) -> dict[str, float]:
    """Bytes by phase with so many layers."""
    first, last = points[0], points[-1]
    if first["layers"] == last["layers"]:
        return dict(first["phases"])
    more = (layers - first["layers"]) / (last["layers"] - first["layers"])
    return {name: size + (last["phases"][name] - size) * more for name, size in first["phases"].items()}


def shared_phases(
    subject: Subject, points: Sequence[Mapping[str, Any]], phases: Mapping[str, float]
) -> dict[str, float]:
    """The same with what DeepSpeed holds in place of the weights that were counted."""
    counted = on_a_line([{"layers": point["layers"], "phases": {"": point["trained"]}} for point in points],
                        subject.architecture.layers)[""]
    loaded = phases["loaded"]
    own = share(subject, replace(weights(subject), size=loaded, trained=round(counted)))
    base = own.weights + own.states + CUBLAS
    beside = own.gathered if subject.sharding == "z3" else own.gradients
    found = {name: size - loaded + base + beside for name, size in phases.items()}
    return {**found, "optimizer": base + own.step}
