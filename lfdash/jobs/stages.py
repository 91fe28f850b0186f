"""The training stages and fine-tuning methods of LLaMA-Factory, with what sets them apart."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """A stage: its code, LlamaBoard's name of it, and whether its data are ranked pairs.

    Source: llamafactory/extras/constants.py, TRAINING_STAGES and STAGES_USE_PAIR_DATA.
    """

    code: str
    board: str
    ranked: bool = False


STAGES = (
    Stage("sft", "Supervised Fine-Tuning"),
    Stage("pt", "Pre-Training"),
    Stage("rm", "Reward Modeling", ranked=True),
    Stage("dpo", "DPO", ranked=True),
    Stage("kto", "KTO"),
    Stage("ppo", "PPO"),
)
BY_CODE = {stage.code: stage for stage in STAGES}
BY_BOARD = {stage.board: stage for stage in STAGES}

METHODS = ("lora", "full", "freeze", "oft")
ADAPTER_METHODS = ("lora", "oft")  # PEFT_METHODS: what they save is an adapter
