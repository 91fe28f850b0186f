"""What one forward and backward take: what layers keep for the backward, and logits. Pure.

Files are LLaMA-Factory's (llamafactory/), transformers', peft's, torch's, liger's and DeepSpeed's own. t: the tokens of
a forward.
"""

from __future__ import annotations

from dataclasses import dataclass

from lfdash.memory.subject import Subject
from lfdash.memory.vision import PIXELS
from lfdash.memory.weights import Weights, targets

QUERIES = frozenset({"q_proj", "k_proj", "v_proj", "q_a_proj", "kv_a_proj_with_mqa"})  # of one norm's output
GATES = frozenset({"gate_proj", "up_proj"})


@dataclass(frozen=True)
class Kept:
    """Bytes a token. inside: what one layer keeps for its backward; beside: what that backward takes besides."""

    inside: float
    beside: float


def kept(subject: Subject, each: int) -> Kept:
    """Of one layer (transformers/models/*/modeling_*.py). each: bytes of a trained weight."""
    shape = subject.architecture
    hidden, narrow = block_inputs(subject, each)
    if shape.has_qk_norm:
        wide = 2 if subject.liger else 6 if fully(subject) else 4
        hidden += (shape.queries + shape.keys) * wide
    hidden += 4 * shape.queries + 4 * shape.keys + 4 * shape.heads  # q and the output, k and v, a float a head
    width = mlp_width(subject)
    if subject.padded:  # no GQA with a mask (integrations/sdpa_attention.py), which each layer keeps in 16 bit
        hidden += 4 * (shape.queries - shape.keys) + 2 * subject.length
    beside = gradients_of_mlp(subject, width)
    if subject.eager:  # eager_attention_forward: probabilities in fp32 and 16 bit; keys and values repeated
        scores = shape.heads * subject.length
        hidden += 4 * (shape.queries - shape.keys) + scores * (8 if shape.softcap else 6)
        beside = max(beside, scores * 6.0 - narrow)  # those of the probabilities, when the MLP's are gone
    return Kept(hidden + narrow, beside)


def gradients_of_mlp(subject: Subject, width: int) -> float:
    """Bytes a token of the gradients of an MLP's parts while it is gone back through. Liger writes two of them over
    what the layer has kept. Of layers that are frozen, held against dry runs."""
    hidden = subject.architecture.hidden
    if not subject.adapts:
        return (4.0 - 2 * subject.liger) * width + 8 * hidden
    if "down_proj" in targets(subject) and not shares_input(subject):  # its input has one in fp32, too
        return (8.0 - 2 * subject.liger) * width + (8 * hidden if subject.liger else 0)
    return 2.0 * width if subject.liger else 4.0 * width + 4 * hidden


def shares_input(subject: Subject) -> bool:
    """Whether an adapter takes its layer's own input, not a copy in another type (peft/tuners/lora/bnb.py)."""
    return subject.bits > 0 if subject.mixed else subject.sharding == "z2"


def fully(subject: Subject) -> bool:
    """Whether the layers' own weights are trained."""
    return not subject.adapts and not subject.badam


def mlp_width(subject: Subject) -> int:
    """Width of the MLPs that one token passes in a layer."""
    shape = subject.architecture
    if not shape.experts:
        return shape.intermediate
    return max(shape.active * shape.expert_intermediate + shape.shared_intermediate,
               shape.intermediate if shape.dense_layers else 0)


def block_inputs(subject: Subject, each: int) -> tuple[float, float]:
    """Bytes a token that norms and linear layers keep of their inputs, and those that the MLP keeps."""
    shape, width = subject.architecture, mlp_width(subject)
    norms = shape.norms // shape.hidden
    if subject.badam:  # frozen layers behind the one that is trained
        return norms * (2 if subject.liger else 4) * shape.hidden, 6 * width
    if fully(subject):  # a norm keeps its input in fp32 and its normed one; where hidden states are in fp32, each
        copies = 10 * shape.hidden * (each == 4)  # linear layer keeps a 16-bit copy
        return norms * (4 if subject.liger else 8) * shape.hidden + copies, (6 if subject.liger else 8) * width
    narrow = (4 if subject.liger else 6) * width
    return norms * (2 if subject.liger else 4) * shape.hidden + adapter_copies(subject, width), narrow


def adapter_copies(subject: Subject, width: int) -> float:
    """Bytes a token of the inputs that adapters keep: each its own copy (peft/tuners/lora/layer.py:_cast_input_dtype);
    under 4 bit the layer's own input (lora/bnb.py)."""
    found, hidden = targets(subject), subject.architecture.hidden
    if shares_input(subject):  # that of the output projection is kept by the attention anyway
        of_norms = sum(not names.isdisjoint(found) for names in (QUERIES, GATES))
        copies = 2.0 * hidden * of_norms + 2 * width * ("down_proj" in found)
    else:
        copies = sum(inputs for inputs, _ in found.values()) * (2.0 if subject.mixed else 4.0)
    if subject.number("lora_dropout", 0) > 0:  # native_dropout keeps a byte an input
        copies += sum(inputs for inputs, _ in found.values())
    if subject.sharding == "z3":  # zero/linear.py:LinearFunctionForZeroStage3 keeps every input
        copies += 4 * hidden + 2 * width
    return copies


@dataclass(frozen=True)
class Held:
    """Bytes. checkpoints: what is kept from the forward to the backward; layer: what the backward of one layer takes
    besides (with gradient checkpointing the layer's own forward, too)."""

    checkpoints: float
    layer: float


def held(subject: Subject, trained: Weights) -> Held:
    """Of all layers (llamafactory/model/model_utils/checkpointing.py)."""
    shape, t, found = subject.architecture, subject.tokens, kept(subject, trained.each)
    # Hidden states are of the embedding's type, and 32 bit wide behind a layer of another type of 16 bit.
    wide = 4 if (subject.trains_head and trained.each == 4) or subject.recasts else 2
    # Layers below the first that is trained keep nothing; use_unsloth_gc moves what is kept to the machine's memory.
    layers = 1 if subject.checkpointing and subject.on("use_unsloth_gc") else trained.trained_layers
    size = layers * t * (shape.hidden * wide if subject.checkpointing else found.inside)
    if subject.badam:  # only a layer that is trained is checkpointed: those behind it keep everything
        size = (shape.layers - subject.checkpointing) * t * found.inside
    size += t * shape.hidden * (8 if subject.trains_head else 4)  # the last norm's
    if subject.stage == "rm":
        size += t * shape.hidden * (5 + 2 * hidden_states(subject, layers))
    if subject.padded:
        size += subject.sequences * subject.length**2  # masking_utils.py: a byte for each pair of tokens
    layer = t * found.beside + (t * found.inside if subject.checkpointing else 0)
    if subject.recasts:  # the first layer's input is as it was; each layer keeps copies of its weights
        size -= t * shape.hidden * (4 - subject.stored) * subject.checkpointing
        size += 0 if subject.checkpointing else 2 * layers * shape.layer
        layer += 2 * shape.layer * subject.checkpointing
    of_pictures, block = pictures(subject)
    size, layer = size + of_pictures, max(layer, block)
    if subject.on("use_dora"):  # peft/tuners/lora/dora.py: a unit matrix and the whole weight, of the widest layer
        layer += max((6 * i**2 + 14 * i * o for i, o in targets(subject).values()), default=0)
    return Held(size, layer)


def pictures(subject: Subject) -> tuple[float, float]:
    """Bytes that a vision tower keeps for the backward, and those that its backward takes in one block besides, with
    one picture a row of the largest size.

    A frozen tower keeps all of its blocks where peft has the embeddings' outputs require a gradient, those of patches,
    too (peft/peft_model.py:_prepare_model_for_gradient_checkpointing): not of a quantized model, nor without gradient
    checkpointing. Only blocks that are trained are checkpointed (model/model_utils/checkpointing.py).
    """
    tower = subject.architecture.tower
    if tower is None:
        return 0.0, 0.0
    patches = subject.sequences * tower.patches(subject.number("image_max_pixels", PIXELS))
    block = patches * tower.kept
    if subject.trains_tower and subject.checkpointing:
        return 2.0 * tower.layers * patches * tower.hidden, block
    required = subject.adapts and subject.checkpointing and not subject.bits
    return (tower.layers * block if subject.trains_tower or required else 0.0), 0.0


def hidden_states(subject: Subject, checkpointed: int) -> int:
    """Layers whose input is kept for reward modeling alone: it asks for all of them (train/rm/trainer.py), and those
    that are checkpointed are there already. Beside them trl's value head keeps a dropout's mask and an input in fp32
    (trl/models/modeling_value_head.py)."""
    return subject.architecture.layers - (checkpointed if subject.checkpointing else 0)


@dataclass(frozen=True)
class Logits:
    """Bytes of logits and what is made of them. forward, backward: at the end of the one, at the start of the other;
    gradient: of what their gradient takes while the head's is computed; chunk: whether liger makes no logits."""

    forward: float
    backward: float
    gradient: float
    one: float  # 16-bit logits
    chunked: bool = False


def logits(subject: Subject, found: Weights) -> Logits:
    """By stage (transformers/loss/loss_utils.py:ForCausalLMLoss, accelerate's convert_outputs_to_fp32)."""
    shape = subject.architecture
    size, cap = subject.tokens * shape.vocabulary, 2 * shape.softcap
    if subject.stage in ("dpo", "kto"):
        # Logits and log-softmax of the policy are kept, then those of the reference and a contiguous copy of its slice
        # (train/dpo/trainer.py, train/trainer_utils.py:get_batch_logps, native/cuda/SoftMax.cu).
        # KTO copies the policy's by tag; one sequence has a slice that is contiguous as it is.
        ahead = 20 if subject.reference else 16
        ahead += 4 if subject.stage == "kto" and subject.sequences > 1 else 0
        return Logits(size * (ahead + cap), size * (16 + cap), 2 * size, 2 * size)
    if subject.stage == "rm":  # labels are in the batch: a loss that nobody uses (train/rm/trainer.py)
        return Logits(size * (10 + cap), 0, 2 * size, 2 * size)
    if not subject.fused_loss:  # log-softmax and two gradients in fp32; before, 16 bit and two in fp32
        return Logits(size * (10 + cap), size * (12 + cap), 2 * size, 2 * size)
    return chunked(subject, found)


def chunked(subject: Subject, found: Weights) -> Logits:
    """Liger's: logits of a chunk of tokens, and the gradients that are made of them in the forward
    (ops/fused_linear_cross_entropy.py)."""
    shape, t = subject.architecture, subject.tokens
    wide = 4 if subject.trains_head and found.each == 4 else 2
    part = min(t, 1 << (-(-t // -(-shape.vocabulary // shape.hidden)) - 1).bit_length())
    head = shape.embedding * (found.each + 2 * (found.each == 4)) if subject.trains_head else 0
    size = part * shape.vocabulary * 2 + t * shape.hidden * wide + head
    return Logits(size, size, 0, 2 * t * shape.vocabulary, chunked=True)
