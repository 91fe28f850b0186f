"""What memory is told of: a model's shape, LLaMA-Factory's arguments, processes, and how long the rows are. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from lfdash.memory.architecture import Architecture
from lfdash.memory.correction import Learned, Past

Sharding = Literal["", "z2", "z3", "fsdp"]
PAIRED = ("dpo", "rm")  # a row is two sequences in one batch (llamafactory/data/collator.py)
LANGUAGE = ("sft", "pt")  # stages whose loss is the model's own, which liger can fuse
ADAPTERS = ("lora", "oft")
CUTOFF, BATCH, EVAL_BATCH = 2048, 8, 8  # defaults: data_args.py; transformers/training_args.py
PAD_TO = 8  # tokens: the collators' pad_to_multiple_of (llamafactory/train/*/workflow.py)
REFERENCE_FREE = ("orpo", "simpo")  # finetuning_args.py: use_ref_model
# Kinds whose layers LLaMA-Factory has Liger replace (model_utils/liger_kernel.py:apply_liger_kernel); others it leaves.
LIGER = frozenset({
    "gemma", "gemma2", "gemma3", "glm", "glm4", "glm4v", "granite", "llama", "llava", "mistral", "mixtral", "mllama",
    "olmo2", "paligemma", "phi3", "qwen2", "qwen2vl", "qwen25vl", "qwen3", "qwen3moe", "qwen3next", "qwen35", "gptoss",
})
WHAT, LOSS = 2, 5  # of `Subject.kind`: how many parts say what is trained, and which one how the loss is computed


@dataclass(frozen=True)
class Subject:
    """A training whose memory is wanted.

    arguments: LLaMA-Factory's, by their own names; `deepspeed` and `fsdp_config` may be what the file that they name
    holds. world_size: processes, each with a GPU of its own. lengths: tokens of each row, uncut; () when they are not
    known: then each is taken to be as long as cutoff_len. past: past runs on the same card, if any. card: product of
    the card (`cards.product_of`) or its driver's name, "" where it is not known.
    """

    architecture: Architecture
    arguments: Mapping[str, Any] = field(default_factory=dict)
    world_size: int = 1
    lengths: tuple[int, ...] = ()
    past: Past | None = field(default=None, compare=False, repr=False)
    card: str = ""

    def changed(self, **arguments: Any) -> Subject:
        """The same with other arguments; None takes one out."""
        merged = {**self.arguments, **arguments}
        return replace(self, arguments={name: value for name, value in merged.items() if value is not None})

    @property
    def learned(self) -> Learned | None:
        """What past runs on the same card say of it."""
        return self.past.of(self.kind) if self.past else None

    # -- how it is trained ------------------------------------------------------------------------------

    @property
    def kind(self) -> tuple[object, ...]:
        """What must be the same of two trainings for one to tell something of the other's memory."""
        return self.method, self.stage, self.sharding, self.bits, self.eager, self.fused_loss

    def on(self, name: str) -> bool:
        """Whether a switch is on."""
        return bool(self.arguments.get(name))

    def number(self, name: str, default: float) -> float:
        """A number; the default where there is none, or no finite one."""
        value = self.arguments.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return default
        return value if abs(value) < math.inf else default

    @property
    def stage(self) -> str:
        return str(self.arguments.get("stage") or "sft")

    @property
    def method(self) -> str:
        return str(self.arguments.get("finetuning_type") or "lora")

    @property
    def adapts(self) -> bool:
        """Whether only adapters are trained."""
        return self.method in ADAPTERS

    @property
    def badam(self) -> bool:
        """Whether one layer is trained at a time."""
        return self.method == "full" and self.on("use_badam")

    @property
    def trains_head(self) -> bool:
        """Whether embedding and head are trained."""
        return self.method == "full" and not self.badam

    @property
    def bits(self) -> float:
        """Bits that the frozen weights are quantized to; 0 for none."""
        return self.number("quantization_bit", 0) or self.architecture.quantized

    @property
    def optimizer(self) -> str:
        return str(self.arguments.get("optim") or "adamw_torch_fused")  # transformers 5; before, adamw_torch

    @property
    def half(self) -> bool:
        """Whether trained weights stay in 16 bit (model/adapter.py:init_adapter; DeepSpeed keeps its own copy)."""
        return self.on("pure_bf16") or self.badam or self.sharding in ("z2", "z3")

    @property
    def mixed(self) -> bool:
        """Whether the forward runs under autocast."""
        return (self.on("bf16") or self.on("fp16")) and self.sharding not in ("z2", "z3")

    @property
    def stored(self) -> int:
        """Bytes of a frozen weight that is not quantized: as config.json says, whatever the forward runs in; DeepSpeed
        has all in 16 bit."""
        return 4 if self.architecture.stored == "float32" and self.sharding not in ("z2", "z3") else 2

    @property
    def recasts(self) -> bool:
        """Whether the forward runs in another type than the frozen weights are stored in: then each operator makes a
        copy of its weights, and hidden states become 32 bit wide (two types of 16 bit add up to 32)."""
        wanted = "float16" if self.on("fp16") else "bfloat16"
        frozen = self.adapts or self.method == "freeze"
        return self.mixed and frozen and not self.bits and self.architecture.stored not in ("", wanted)

    @property
    def trains_tower(self) -> bool:
        """Whether a vision tower is trained; it is frozen unless one says otherwise (hparams/finetuning_args.py)."""
        frozen = self.arguments.get("freeze_vision_tower", True)
        return bool(self.architecture.tower) and not frozen and not self.badam and self.method != "freeze"

    @property
    def checkpointing(self) -> bool:
        return not self.on("disable_gradient_checkpointing")

    @property
    def liger(self) -> bool:
        return self.on("enable_liger_kernel") and self.architecture.kind in LIGER

    @property
    def fused_loss(self) -> bool:
        """Whether liger computes the loss without logits: other stages ask for them (model_utils/liger_kernel.py)."""
        return self.liger and self.stage in LANGUAGE

    @property
    def eager(self) -> bool:
        """Whether attention keeps its probabilities (model_utils/attention.py:configure_attn_implementation; without
        flash-attn, which lfdash takes not to be there unless it is asked for)."""
        chosen = str(self.arguments.get("flash_attn") or "auto")
        return chosen == "disabled" or (self.architecture.kind == "gemma2" and chosen == "auto")

    @property
    def reference(self) -> bool:
        """Whether a reference model's answer is computed, too (train/trainer_utils.py:create_ref_model)."""
        return self.stage == "kto" or (self.stage == "dpo" and self.loss not in REFERENCE_FREE)

    @property
    def second_model(self) -> bool:
        """Whether the reference model is one of its own: adapters other than LoRA's are not switched off for it."""
        return self.reference and (self.on("ref_model") or self.method != "lora")

    @property
    def loss(self) -> str:
        return str(self.arguments.get("pref_loss") or "sigmoid")

    @property
    def evaluates(self) -> bool:
        """Whether there are evaluations, between two steps or at the end (train/*/workflow.py)."""
        between = str(self.arguments.get("eval_strategy") or "no").lower().rpartition(".")[2] in ("steps", "epoch")
        return between or any(map(self.on, ("do_eval", "do_predict", "eval_on_start")))

    # -- shares -----------------------------------------------------------------------------------------

    @property
    def sharding(self) -> Sharding:
        """Who shares a model among the processes: DeepSpeed's ZeRO-2 or ZeRO-3 (a config by content or by LlamaBoard's
        names of them), PyTorch's FSDP, nobody."""
        if self.arguments.get("deepspeed"):
            return "z3" if self.zero_stage == 3 else "z2"
        return "fsdp" if self.arguments.get("fsdp") else ""

    @property
    def zero_stage(self) -> int | None:
        """DeepSpeed's stage; None when the config does not tell."""
        config = self.arguments.get("deepspeed")
        if isinstance(config, Mapping):
            zero = config.get("zero_optimization")
            stage = zero.get("stage") if isinstance(zero, Mapping) else 0
            return stage if isinstance(stage, int) else None
        return next((stage for stage in (0, 2, 3) if f"z{stage}" in str(config)), None)

    @property
    def offload(self) -> bool:
        """Whether DeepSpeed keeps the optimizer's states (and with ZeRO-3 the weights) in the machine's memory."""
        config = self.arguments.get("deepspeed")
        if not isinstance(config, Mapping):
            return "offload" in str(config or "")
        zero = config.get("zero_optimization")
        found = zero.get("offload_optimizer") if isinstance(zero, Mapping) else None
        return isinstance(found, Mapping) and found.get("device") in ("cpu", "nvme")

    # -- a batch ----------------------------------------------------------------------------------------

    @property
    def cutoff(self) -> int:
        return int(self.number("cutoff_len", CUTOFF))

    @property
    def packed(self) -> bool:
        """Whether rows are joined up to cutoff_len (hparams/parser.py: pre-training packs unless told not to)."""
        packing = self.arguments.get("packing")
        return self.on("neat_packing") or bool(self.stage == "pt" if packing is None else packing)

    @property
    def length(self) -> int:
        """Tokens of the longest sequence of a batch."""
        longest = self.cutoff if self.packed or not self.lengths else min(self.cutoff, max(self.lengths))
        return -(-longest // PAD_TO) * PAD_TO

    @property
    def batch(self) -> int:
        return int(self.number("per_device_train_batch_size", BATCH))

    @property
    def sequences(self) -> int:
        """Sequences of one forward."""
        return self.batch * (2 if self.stage in PAIRED else 1)

    @property
    def eval_sequences(self) -> int:
        """Sequences of one forward of an evaluation."""
        each = self.sequences // self.batch
        return int(self.number("per_device_eval_batch_size", EVAL_BATCH)) * each

    @property
    def tokens(self) -> int:
        """Tokens of one forward, padding included."""
        return self.length * self.sequences

    @property
    def padded(self) -> bool:
        """Whether attention gets a mask: the batch with the longest row has padding, or packed rows must not see each
        other (neat_packing: data/collator.py:prepare_4d_attention_mask). Without lengths there is no padding."""
        if self.on("neat_packing"):
            return self.stage == "sft" and str(self.arguments.get("flash_attn")) != "fa2"
        if self.packed or not self.lengths:
            return False
        longest = min(self.cutoff, max(self.lengths))
        return longest % PAD_TO > 0 or (self.sequences > 1 and min(self.lengths) < longest)

    @property
    def accumulation(self) -> int:
        """Forwards of one step."""
        return int(self.number("gradient_accumulation_steps", 1))
