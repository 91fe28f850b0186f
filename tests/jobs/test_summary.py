"""A job in one line."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lfdash.jobs.environment import Facts
from lfdash.jobs.kinds import BY_NAME
from lfdash.jobs.summary import Summary, summary

GOOD: dict[str, Any] = {"stage": "sft", "dataset": "a", "num_train_epochs": 2.0, "per_device_train_batch_size": 4}
ROWS = Facts(rows={"a": 100}, gpus=2)


@pytest.mark.parametrize(
    ("args", "facts", "expected"),
    [
        ({}, ROWS, Summary("lora", 8, 26, 8, 100, 100)),
        ({"lora_rank": 32, "gradient_accumulation_steps": 4}, ROWS, Summary("lora", 32, 8, 32, 100, 100)),
        ({"finetuning_type": "full", "lora_rank": 32}, ROWS, Summary("full", None, 26, 8, 100, 100)),
        ({}, replace(ROWS, usable={"a": 60}), Summary("lora", 8, 16, 8, 60, 100)),
        ({"max_samples": 30}, ROWS, Summary("lora", 8, 8, 8, 30, 100)),
        ({"dataset": "a,b"}, ROWS, Summary("lora", 8, None, 8)),
        ({}, Facts(gpus=0), Summary("lora", 8, None, 4)),
        ({"max_steps": 7, "per_device_train_batch_size": "no number"}, Facts(), Summary("lora", 8, 7, 8)),
    ],
)
def test_a_training(args: dict[str, Any], facts: Facts, expected: Summary) -> None:
    assert summary(BY_NAME["train"], {**GOOD, **args}, facts) == expected


@pytest.mark.parametrize("kind", ["eval", "export"])
def test_what_trains_nothing_has_no_steps(kind: str) -> None:
    assert summary(BY_NAME[kind], GOOD, ROWS) == Summary("lora")
