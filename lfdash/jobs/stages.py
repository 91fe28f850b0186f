"""The training stages and fine-tuning methods of LLaMA-Factory, with what sets them apart.

A stage is a row here, its texts in the locales (a word under [choices], those of its preset under [presets]) and a
preset in configs/presets. LLaMA-Factory must have it: configs/upstream.json (`make upstream`) says so.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """A stage of training.

    code: LLaMA-Factory's name. board: LlamaBoard's name; "" = LlamaBoard has no such stage. ranked: its data are
    ranked pairs. preference: it has the settings of preference training. plain: it learns from plain text, without a
    chat template, in samples that are packed.
    Source: llamafactory/extras/constants.py, TRAINING_STAGES and STAGES_USE_PAIR_DATA.
    """

    code: str
    board: str = ""
    ranked: bool = False
    preference: bool = False
    plain: bool = False


STAGES = (
    Stage("sft", "Supervised Fine-Tuning"),
    Stage("pt", "Pre-Training", plain=True),
    Stage("rm", "Reward Modeling", ranked=True),
    Stage("dpo", "DPO", ranked=True, preference=True),
    Stage("kto", "KTO", preference=True),
    Stage("ppo", "PPO"),
)
BY_CODE = {stage.code: stage for stage in STAGES}
BY_BOARD = {stage.board: stage for stage in STAGES if stage.board}
RANKED = tuple(stage.code for stage in STAGES if stage.ranked)
PREFERENCE = tuple(stage.code for stage in STAGES if stage.preference)
PLAIN = tuple(stage.code for stage in STAGES if stage.plain)

METHODS = ("lora", "full", "freeze", "oft")
ADAPTER_METHODS = ("lora", "oft")  # PEFT_METHODS: what they save is an adapter
