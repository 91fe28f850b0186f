"""The moments of a training at which most is taken, each as bytes by term. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lfdash.memory.activations import Held, Logits, held, kept, logits
from lfdash.memory.sharded import share
from lfdash.memory.subject import Subject
from lfdash.memory.weights import Optimizer, Weights, frozen_size, idle_head, optimizer, weights

MIB = 2**20
CUBLAS = 2 * 32 * MIB  # of two threads, on Hopper (aten/cuda/CublasHandlePool.cpp); 2 x 8 MiB on older cards
NEW_TOKENS = 1024  # LLaMA-Factory's max_new_tokens (hparams/generating_args.py)

Terms = Mapping[str, float]


@dataclass(frozen=True)
class Parts:
    """All that a training takes, in bytes, before it is put together by phases."""

    found: Weights
    optimizer: Optimizer
    held: Held
    logits: Logits
    base: Terms  # what is there from the first step on
    gradients: float  # of one backward
    earlier: float  # those that are there at the next forward already: with accumulation
    casts: float  # 16-bit copies of fp32 weights that autocast makes for a forward (aten/autocast_mode.cpp)
    head_casts: float  # those of them that are there when the loss is computed
    gathered: float  # weights that are fetched for a forward and backward
    twice: float  # a tied embedding's second gradient
    step: float  # what the optimizer takes besides


def parts(subject: Subject) -> Parts:
    """What a training takes."""
    shape, found = subject.architecture, weights(subject)
    states, each, head = optimizer(subject, found), found.each, subject.trains_head
    autocast = each == 4 and (subject.on("bf16") or subject.on("fp16"))
    own_head = shape.embedding - idle_head(subject) if head and not shape.tied else 0
    recast = 2.0 * shape.embedding * subject.recasts  # the head's copy, which its backward wants
    casts = 2.0 * (found.trained - own_head) * autocast + recast
    graph_keeps = not subject.checkpointing and not subject.adapts  # then the graph holds all of them
    gradients = float(found.trained * each)
    base = {"weights": found.size + reference_size(subject), "optimizer": states.states, "layer": float(CUBLAS)}
    gathered, step, earlier = 0.0, states.step, gradients if subject.accumulation > 1 else 0.0
    if subject.sharding:
        own = share(subject, found)
        base = {"weights": own.weights + reference_size(subject) / subject.world_size, "optimizer": own.states,
                "layer": float(CUBLAS)}
        gradients, gathered, step, earlier = own.gradients, own.gathered, own.step, 0.0
    elif subject.world_size > 1:  # torch/csrc/distributed/c10d/reducer.cpp keeps its buckets beside the gradients
        base["gradients"] = gradients
    return Parts(
        found, states, held(subject, found), logits(subject, found), base, gradients, earlier, casts,
        casts if graph_keeps else recast + 2.0 * shape.embedding * (autocast and head), gathered,
        float(shape.embedding * each) if head and shape.tied and not subject.sharding else 0.0, step,
    )


def reference_size(subject: Subject) -> float:
    """A second model, loaded like the first, where the trained one has no LoRA to switch off (create_ref_model)."""
    return frozen_size(subject) if subject.second_model else 0.0


def phases(subject: Subject, has: Parts) -> dict[str, Terms]:
    """Phase -> bytes by term; the largest sum is torch's peak."""
    shape, each, found = subject.architecture, has.found.each, has.logits
    sharded, head = bool(subject.sharding), subject.trains_head
    ahead = has.head_casts if subject.stage in ("dpo", "kto") else has.casts
    before = {"gradients": has.earlier, "checkpoints": has.held.checkpoints, "weights": live(subject, has)}
    head_gradient = shape.embedding * (8 if each == 4 else 2) if head else 0
    fewer = shape.embedding * each * (head and shape.tied and not sharded)  # the embedding's gradient comes last
    taken = {
        "forward": plus(before, {"weights": ahead, "logits": found.forward}),
        "loss": plus(before, {"weights": has.head_casts, "logits": found.backward}),
        "head": plus(before, {"logits": found.gradient, "gradients": head_gradient}),
        "last layer": plus(before, {"layer": has.held.layer}),
        "first layer": {"gradients": max(has.earlier, has.gradients - fewer - own_gradients(subject, has)),
                        "layer": has.held.layer},
        "end": {"gradients": has.gradients + has.twice + (has.twice if has.earlier else 0)},
        "optimizer": {"gradients": 0.0 if sharded else has.gradients, "optimizer": has.step},
    }
    if subject.stage == "kto":  # the answers that belong to other questions, before those that are learned are copied
        again = has.casts + (has.casts if not subject.checkpointing and not subject.adapts else 0)
        logits_of_others = found.forward - 2 * found.one
        taken["unrelated"] = plus(before, {"weights": again, "logits": logits_of_others})
    if subject.evaluates:
        taken["evaluation"] = evaluation(subject, has)
    return {name: plus(has.base, terms) for name, terms in taken.items()}


def own_gradients(subject: Subject, has: Parts) -> float:
    """Gradients of the first trained layer that are not there yet when most is taken for it: all but the last matrix's.
    """
    shape = subject.architecture
    if subject.adapts or subject.badam or subject.sharding:
        return 0.0
    return max(0.0, float(shape.layer - shape.hidden * shape.intermediate)) * has.found.each


def live(subject: Subject, has: Parts) -> float:
    """Weights that others keep and that are here for a while."""
    return has.gathered if subject.sharding in ("z3", "fsdp") else 0.0


def evaluation(subject: Subject, has: Parts) -> Terms:
    """An evaluation between two steps: nothing is kept for a backward, but the batch is per_device_eval_batch_size.

    With predict_with_generate keys and values of all layers, and logits of one token
    (transformers/generation/utils.py); else logits, of which a loss is computed (llamafactory/train/sft/trainer.py:
    prediction_step).
    """
    shape = subject.architecture
    sequences = subject.eval_sequences
    t = sequences * subject.length
    own = kept(subject, has.found.each)
    layer = t * min(own.inside, 8 * shape.hidden + 6 * shape.intermediate)
    if subject.on("predict_with_generate"):
        tokens = t + sequences * int(subject.number("max_new_tokens", NEW_TOKENS))
        beams = max(1.0, *(subject.number(name, 1) for name in ("num_beams", "eval_num_beams")))
        cache = 4.0 * shape.layers * shape.keys * tokens * beams
        return {"weights": has.casts + live(subject, has), "checkpoints": cache, "layer": layer,
                "logits": sequences * beams * shape.vocabulary * 6.0}
    size = t * shape.vocabulary * (20.0 if subject.reference else 10.0)
    larger = {"logits": size} if size > layer else {"layer": layer}  # what a layer took is gone when there are logits
    return plus({"weights": has.casts + live(subject, has)}, larger)


def plus(one: Terms, two: Terms) -> Terms:
    """Two sums by term, added."""
    return {name: one.get(name, 0) + two.get(name, 0) for name in dict.fromkeys((*one, *two))}
