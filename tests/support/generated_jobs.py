"""Trainings of models that nobody has published, drawn with a seed: any stage with any method, but BAdam, of whose step
a dry run knows nothing."""

from __future__ import annotations

import random
from typing import Any

from lfdash.memory.subject import Subject
from tests.support.memory import shape

KINDS = ("llama", "qwen2", "qwen3", "mistral")


def drawn(seed: int) -> Subject:
    """One of them; at most eight layers, which a dry run takes whole."""
    draw = random.Random(seed)
    arguments = {**method(draw), **batch(draw)}
    if draw.random() < 0.3:
        arguments["enable_liger_kernel"] = True
    if draw.random() < 0.3:
        arguments["disable_gradient_checkpointing"] = True
    if draw.random() < 0.15:
        arguments["flash_attn"] = "disabled"
    return Subject(shape(config(draw)), {name: value for name, value in arguments.items() if value is not None})


def config(draw: random.Random) -> dict[str, Any]:
    """A model's config.json."""
    heads, head_dim = draw.choice([8, 16, 24, 32]), draw.choice([64, 128])
    hidden = draw.choice([heads * head_dim, 1536, 3072])
    return {
        "model_type": draw.choice(KINDS), "hidden_size": hidden, "num_hidden_layers": draw.randint(3, 8),
        "num_attention_heads": heads, "num_key_value_heads": draw.choice([heads, heads // 4, 2]), "head_dim": head_dim,
        "intermediate_size": draw.choice([2, 3, 4]) * hidden + 256, "tie_word_embeddings": draw.random() < 0.5,
        "vocab_size": draw.choice([32000, 64000, 128256, 151936]),
    }


def batch(draw: random.Random) -> dict[str, Any]:
    return {
        "per_device_train_batch_size": draw.choice([1, 2, 4, 8]), "cutoff_len": draw.choice([256, 512, 1024, 2048]),
        "gradient_accumulation_steps": draw.choice([1, 1, 4]), "bf16": True,
    }


def method(draw: random.Random) -> dict[str, Any]:
    """Stage, method, optimizer, quantization, DeepSpeed."""
    name = draw.choice(["lora", "lora", "lora", "full", "full", "freeze"])
    chosen: dict[str, Any] = {
        "stage": draw.choice(["sft", "sft", "sft", "pt", "rm", "dpo", "kto"]), "finetuning_type": name,
        "optim": draw.choice([None, "adamw_torch", "adamw_8bit", "adafactor"]),
    }
    if name == "lora":
        chosen |= {"lora_rank": draw.choice([8, 64]), "lora_target": draw.choice(["all", "all", "q_proj,v_proj"])}
        chosen |= {"quantization_bit": draw.choice([None, None, 4, 8])}
    elif name == "freeze":
        chosen |= {"freeze_trainable_layers": draw.choice([1, 2])}
    else:
        chosen |= draw.choice([{}, {}, {"pure_bf16": True}])
    if not chosen.get("quantization_bit") and draw.random() < 0.2:
        chosen |= {"deepspeed": draw.choice(["z2", "z3"]), "optim": None, "pure_bf16": None}
    return chosen
