"""What people really give LLaMA-Factory, and what is said to it before Start on a machine that has not all of that.

Each row was made after a file that lies in public (its settings, with other names): what it asks for and what is told.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import lfdash
from lfdash.workspace.devices import Gpu
from tests.engine.test_on_disk import opened, told, write

TRAINED: dict[str, Any] = {
    "stage": "sft", "do_train": True, "finetuning_type": "lora", "dataset": "demo_sft", "template": "qwen",
    "model_name_or_path": "Qwen/Qwen2.5-7B-Instruct", "output_dir": "saves/m/lora/r", "logging_steps": 1,
    "save_steps": 1, "bf16": True,
}
FULL = {**TRAINED, "finetuning_type": "full"}
GALORE = {**FULL, "use_galore": True, "galore_layerwise": True, "gradient_accumulation_steps": 8, "pure_bf16": True}
EIGHT = tuple(Gpu(index, "A", True) for index in range(8))
Z3 = {"deepspeed": "deepspeed/ds_z3_config.json"}
INPUTS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "a model on another machine's disk": (
        {**FULL, "model_name_or_path": "/data/hf-models/Qwen3-8B", "template": "qwen3"}, {"named_absent"},
    ),
    "a checkout's own DeepSpeed file": (
        {**FULL, "deepspeed": "examples/deepspeed/ds_z3_offload_config.json", "flash_attn": "fa2"},
        {"named_absent", "flash_attn_missing", "package_missing"},
    ),
    "a variable of a shell that was never filled in": (
        {**FULL, "deepspeed": "$PROJECT/LLaMA-Factory/examples/deepspeed/ds_z3_config.json"},
        {"named_absent", "package_missing"},
    ),
    "a model in models/ that is not here, and an 8-bit optimizer": (
        {**TRAINED, "model_name_or_path": "models/Qwen2.5-VL-7B-Instruct", "optim": "paged_adamw_8bit"},
        {"named_absent", "package_missing"},
    ),
    "losses on a TensorBoard": ({**TRAINED, "report_to": "tensorboard"}, {"package_missing"}),
    "losses in MLflow, with FlashAttention": (
        {**TRAINED, "report_to": "mlflow", "flash_attn": "fa2"}, {"package_missing", "flash_attn_missing"},
    ),
    "BAdam by layers, without DeepSpeed, on eight GPUs": (
        {**FULL, "use_badam": True, "badam_mode": "layer", "pure_bf16": True}, {"badam_gpus", "package_missing"},
    ),
    "BAdam by layers with ZeRO-3": ({**FULL, "use_badam": True, **Z3}, {"package_missing"}),
    "GaLore by layers, with accumulation, on eight GPUs": (
        GALORE, {"package_missing", "optim_unknown", "layerwise_gpus", "galore_slow"},
    ),
    "a reasoning model without its thoughts": (
        {**TRAINED, "model_name_or_path": "Qwen/Qwen3-VL-8B-Thinking", "template": "qwen3_vl_nothink"}, set(),
    ),
    "the same family's newer template": (
        {**TRAINED, "model_name_or_path": "Qwen/Qwen3-4B-Instruct-2507", "template": "qwen3"}, set(),
    ),
    "QLoRA on a mixture of experts": (
        {
            **TRAINED, "model_name_or_path": "Qwen/Qwen3-30B-A3B-Instruct-2507", "template": "qwen3",
            "quantization_bit": 4, "optim": "paged_adamw_32bit",
        },
        {"package_missing"},
    ),
    "two adapters of another machine": (
        {**TRAINED, "adapter_name_or_path": "/root/saves/sft,/root/saves/dapt"}, {"named_absent"},
    ),
    "steps and epochs": ({**TRAINED, "max_steps": 500, "num_train_epochs": 3}, {"max_steps_epochs"}),
}


@pytest.mark.parametrize("name", INPUTS)
def test_what_is_told(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    args, codes = INPUTS[name]
    workspace: lfdash.Workspace = opened(tmp_path, monkeypatch, EIGHT, "transformers torch")
    assert set(told(workspace, args)) == codes


def test_the_fix_is_what_the_workspace_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = opened(tmp_path, monkeypatch, EIGHT, "deepspeed")
    for given in ("examples/deepspeed/ds_z3_offload_config.json", "$PROJECT/deepspeed/ds_z3_offload_config.json"):
        problem = told(workspace, {**FULL, "deepspeed": given})["named_absent"]
        assert problem.fix == {"extra.deepspeed": "deepspeed/ds_z3_offload_config.json"}
        assert told(workspace, {**FULL, "deepspeed": "deepspeed/ds_z3_offload_config.json"}) == {}
    write(tmp_path / "saves/m/lora/sft/adapter_config.json", "{}")
    problem = told(workspace, {**TRAINED, "adapter_name_or_path": "/root/saves/sft"})["named_absent"]
    assert problem.fix == {"top.checkpoint_path": ["sft"]}


def test_an_environment_with_everything_has_nothing_to_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But what no package cures: four bits on a mixture of experts."""
    packages = "transformers bitsandbytes wandb deepspeed flash-attn"
    workspace = opened(tmp_path, monkeypatch, EIGHT, packages)
    args = {**TRAINED, "optim": "paged_adamw_8bit", "report_to": "wandb", "flash_attn": "fa2", **Z3}
    assert told(workspace, args) == {}
    mixed = {**args, "model_name_or_path": "Qwen/Qwen3-30B-A3B", "template": "qwen3", "quantization_bit": 4}
    assert set(told(workspace, mixed)) == {"bad_experts"}
