"""Trainings whose memory was measured on an H200, and models to make subjects of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lfdash.memory.architecture import Architecture, from_config
from lfdash.memory.subject import Subject
from tests.support import ROOT

MEASURED = ROOT / "tests" / "fixtures" / "memory" / "measured.jsonl"
HELD = MEASURED.with_name("held.jsonl")  # measured when the terms had been found
QWEN_7B = {
    "model_type": "qwen2", "hidden_size": 3584, "num_hidden_layers": 28, "num_attention_heads": 28,
    "num_key_value_heads": 4, "intermediate_size": 18944, "vocab_size": 152064, "tie_word_embeddings": False,
}
LORA = {
    "stage": "sft", "finetuning_type": "lora", "lora_rank": 8, "cutoff_len": 2048, "per_device_train_batch_size": 1,
    "bf16": True,
}


@dataclass(frozen=True)
class Row:
    """A training that was measured. truth: bytes by figure; driver is what NVML showed when torch reserved most."""

    id: str
    model: str
    subject: Subject
    truth: Mapping[str, int]
    attention: str


def measured(path: Path = MEASURED) -> list[Row]:
    """The rows of trainings that went to their end."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [row_of(row) for row in rows if row.get("ok")]


def row_of(row: Mapping[str, Any]) -> Row:
    """One line of the file."""
    context = row["nvml_process"] - row["steps"][-1]["reserved_after"]
    truth = {
        "allocated": row["max_memory_allocated"], "reserved": row["max_memory_reserved"],
        "driver": row["max_memory_reserved"] + context,
    }
    config = {**row["architecture"], "dtype": "bfloat16"}  # as all of them are published
    subject = Subject(shape(config), row["arguments"], row["world_size"], tuple(row.get("lengths", ())))
    return Row(row["id"], row["model"], subject, truth, row["attention"])


def shape(config: Mapping[str, Any]) -> Architecture:
    """The shape of a config.json that has one."""
    found = from_config(config)
    assert found is not None, config
    return found


def subject(config: Mapping[str, Any] | None = None, /, **arguments: Any) -> Subject:
    """A LoRA of Qwen2.5-7B at 2048 tokens, with other arguments."""
    return Subject(shape({**QWEN_7B, **(config or {})}), LORA).changed(**arguments)
