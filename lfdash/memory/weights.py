"""What lies on a GPU from the first step to the last: weights, what is trained of them, the optimizer's states. Pure.

Files are LLaMA-Factory's (llamafactory/), peft's, transformers', torch's and bitsandbytes' own.
"""

from __future__ import annotations

from dataclasses import dataclass

from lfdash.memory.architecture import Architecture
from lfdash.memory.subject import Subject

RANK = 8  # LLaMA-Factory's lora_rank
# A scale for 64 weights, itself in a byte with a scale for 256; without double quantization in fp32
# (bitsandbytes/functional.py:quantize_4bit).
NF4_DOUBLE, NF4 = 0.5 + 1 / 64 * (1 + 4 / 256), 0.5 + 4 / 64
EIGHT_BIT_STATES = 2.03  # two codes and a scale in 256 of each (bitsandbytes/optim/optimizer.py)
ONE_STATE = ("lion", "rmsprop", "adagrad")  # optimizers that keep one number a weight
NO_STATE = ("adafactor", "sgd")


@dataclass(frozen=True)
class Weights:
    """Bytes of the model with its adapters; trained: parameters that are trained; each: bytes of one of those;
    trained_layers: how many layers have some."""

    size: float
    trained: int
    trained_layers: int
    each: int


def targets(subject: Subject) -> dict[str, tuple[int, int]]:
    """The linear layers of one decoder layer that get an adapter."""
    named = subject.arguments.get("lora_target") or "all"
    names = named if isinstance(named, list) else [name.strip() for name in str(named).split(",")]
    linear = subject.architecture.linear
    return linear if "all" in names else {name: sizes for name, sizes in linear.items() if name in names}


def adapters(subject: Subject) -> int:
    """Trained parameters of all adapters; with `lora_target: all` a vision tower that is trained has some, too."""
    shape, count = subject.architecture, adapter(subject, targets(subject)) * subject.architecture.layers
    if shape.tower and subject.trains_tower and str(subject.arguments.get("lora_target") or "all") == "all":
        count += adapter(subject, shape.tower.linear) * shape.tower.layers
    return count


def adapter(subject: Subject, linear: dict[str, tuple[int, int]]) -> int:
    """Trained parameters of one layer's adapters (peft/tuners/lora/layer.py:update_layer, oft/layer.py)."""
    sizes = linear.values()
    if subject.method == "oft":
        block = int(subject.number("oft_block_size", 32)) or 32
        return sum(inputs // block * block * (block - 1) // 2 for inputs, _ in sizes)
    rank = int(subject.number("lora_rank", RANK))
    return sum(rank * (inputs + outputs) + outputs * subject.on("use_dora") for inputs, outputs in sizes)


def frozen_size(subject: Subject) -> float:
    """Bytes of the model as it is loaded, as it is stored but what is quantized: not the head, the embedding and the
    norms, nor experts, which are no nn.Linear (transformers/integrations/bitsandbytes.py)."""
    shape, bits, width = subject.architecture, subject.bits, subject.stored
    size = shape.total * float(width)
    if not bits or bits >= 16:
        return size
    if shape.quantized and not subject.number("quantization_bit", 0):  # so in the files: experts, too
        many = shape.layers * shape.layer
        return size - many * (width - bits / 8 * 1.04)  # a scale and a zero for 128 weights
    packed = (NF4_DOUBLE if subject.arguments.get("double_quantization", True) else NF4) if bits == 4 else bits / 8
    tower = shape.tower.quantizable if shape.tower else 0
    return size - (shape.layers * shape.quantizable + tower) * (width - packed)


def weights(subject: Subject) -> Weights:
    """Model and adapters (llamafactory/model/adapter.py:init_adapter turns what is trained into fp32)."""
    shape, each = subject.architecture, 2 if subject.half else 4
    if subject.method == "full":
        frozen = 0 if subject.trains_tower else shape.tower_size
        count = shape.layer if subject.badam else shape.total - idle_head(subject) - frozen
        return Weights((shape.total - frozen) * each + frozen * subject.stored, count, shape.layers, each)
    if subject.method == "freeze":
        layers = min(shape.layers, abs(int(subject.number("freeze_trainable_layers", 2))))
        count = layers * shape.layer
        return Weights(frozen_size(subject) + count * (each - subject.stored), count, layers, each)
    count, each = adapters(subject), 2 if subject.sharding == "z2" else 4
    return Weights(frozen_size(subject) + count * each, count, shape.layers, each)  # pure_bf16 leaves adapters in fp32


def idle_head(subject: Subject) -> int:
    """Parameters of a head of its own that a reward model leaves idle: no loss reaches it, so it has no gradient and
    the optimizer no states of it. DeepSpeed has some for all."""
    shape = subject.architecture
    return 0 if subject.stage != "rm" or shape.tied or subject.sharding else shape.embedding


@dataclass(frozen=True)
class Optimizer:
    """Bytes of the optimizer. states: that stay; step: besides, while it makes a step."""

    states: float
    step: float


def optimizer(subject: Subject, found: Weights) -> Optimizer:
    """States by optimizer (torch/optim/adam.py, transformers/trainer.py, bitsandbytes/optim)."""
    shape, name, count, each = subject.architecture, subject.optimizer, found.trained, found.each
    tables = shape.embedding if count > shape.embedding else 0
    if subject.badam:  # badam/block_optim.py: fp32 copy, its moments, and its gradient
        return Optimizer(12 * count, 4 * count)
    if subject.on("use_apollo") or subject.on("use_galore"):
        return Optimizer(low_rank(subject, shape, each), 0)
    if "8bit" in name:  # transformers/trainer.py keeps those of embeddings in 32 bit
        one = 0.5 if name.startswith(ONE_STATE) else 1
        return Optimizer(one * (EIGHT_BIT_STATES * count + 6 * tables), 0)
    if name.startswith("adafactor"):  # of the largest weight: its square and the update (and both in fp32 if bf16)
        return Optimizer(0, (16 if each == 2 else 8) * max(tables, 1))
    if name.startswith(NO_STATE):
        return Optimizer(0, 0)
    if name.startswith(ONE_STATE):
        return Optimizer(each * count, each * count)
    # foreach takes the root of all second moments at once (torch/optim/adam.py:_multi_tensor_adam)
    return Optimizer(2 * each * count, 0 if "fused" in name else each * count)


def low_rank(subject: Subject, shape: Architecture, each: int) -> float:
    """States of APOLLO and GaLore: two of a rank for each matrix, full ones for embeddings."""
    rank = subject.number("apollo_rank" if subject.on("use_apollo") else "galore_rank", 16)
    matrices = shape.layers * sum(2 * each * rank * max(sizes) for sizes in shape.linear.values())
    return matrices + 2 * each * shape.embedding * (1 if shape.tied else 2)
