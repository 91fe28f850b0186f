"""What authors have reported of their trainings: nothing that ran out of memory is said to fit.

Issues of hiyouga/LLaMA-Factory by number; versions and cards are theirs, so figures are held to no share. Models by the
public numbers of their config.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from lfdash.memory.cards import verdict
from lfdash.memory.estimate import GIB, estimate
from lfdash.memory.subject import Subject
from tests.support.memory import QWEN_7B, shape

QWEN2_7B = {**QWEN_7B, "rope_theta": 1000000.0}
QWEN_32B = {
    **QWEN_7B, "hidden_size": 5120, "num_hidden_layers": 64, "num_attention_heads": 40, "num_key_value_heads": 8,
    "intermediate_size": 27648,
}
QWEN2_72B = {
    **QWEN_7B, "hidden_size": 8192, "num_hidden_layers": 80, "num_attention_heads": 64, "num_key_value_heads": 8,
    "intermediate_size": 29568,
}
QWEN_VL_7B = {**QWEN_7B, "model_type": "qwen2_5_vl", "vision_config": {"depth": 32, "hidden_size": 1280}}
LLAMA_8B = {
    "model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256, "tie_word_embeddings": False,
}
ZERO3, ZERO3_OFFLOAD = "examples/deepspeed/ds_z3_config.json", "examples/deepspeed/ds_z3_offload_config.json"


@dataclass(frozen=True)
class Report:
    """issue: its number; gpus: how many, of `card` GiB; model: config.json; arguments: beside LoRA of rank 8 in bf16,
    one row of 2048 tokens. took: GiB of each that its author saw, 0 where it ran out of memory."""

    issue: int
    gpus: int
    card: float
    model: Mapping[str, Any]
    took: float = 0
    arguments: Mapping[str, Any] = field(default_factory=dict)


OUT_OF_MEMORY = [
    Report(5070, 2, 24, QWEN_7B, arguments={"deepspeed": ZERO3}),
    Report(4572, 8, 64, QWEN2_7B, arguments={
        "finetuning_type": "full", "cutoff_len": 8192, "deepspeed": ZERO3_OFFLOAD}),
    Report(4805, 128, 80, QWEN2_72B, arguments={
        "finetuning_type": "full", "cutoff_len": 8192, "deepspeed": ZERO3_OFFLOAD}),
    Report(9331, 1, 32, QWEN_VL_7B),
    Report(5273, 8, 80, LLAMA_8B, arguments={"stage": "ppo"}),
    Report(3914, 2, 40, LLAMA_8B),
]
MEASURED = [Report(7409, 8, 64, QWEN_32B, 50, {"deepspeed": ZERO3})]
RIGHT = [Report(7409, 1, 64, QWEN2_7B, 17.9, {"cutoff_len": 1024})]


def subject_of(report: Report) -> Subject:
    arguments = {
        "stage": "sft", "finetuning_type": "lora", "lora_rank": 8, "cutoff_len": 2048, "bf16": True,
        "per_device_train_batch_size": 1, **report.arguments,
    }
    return Subject(shape(report.model), arguments, report.gpus)


@pytest.mark.parametrize("report", OUT_OF_MEMORY, ids=lambda report: str(report.issue))
def test_what_ran_out_of_memory_is_not_said_to_fit(report: Report) -> None:
    found = estimate(subject_of(report))
    assert verdict(found, int(report.card * GIB)) != "fits"
    assert found.unknown != ("lengths",), "what is not counted is named"


@pytest.mark.parametrize("report", MEASURED, ids=lambda report: str(report.issue))
def test_what_took_more_than_the_figure_was_said_to_be_unsure(report: Report) -> None:
    found = estimate(subject_of(report))
    assert found.driver < report.took * GIB and not found.bounded
    assert verdict(found, int(report.card * GIB)) == "unsure"


@pytest.mark.parametrize("report", RIGHT, ids=lambda report: str(report.issue))
def test_what_its_author_measured_is_the_figure(report: Report) -> None:
    assert estimate(subject_of(report)).driver / GIB == pytest.approx(report.took, rel=0.02)
