"""What lies on the disk of what a job names, and the real inputs that were tried, by `lfdash.open`."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import lfdash
from lfdash.demo.__main__ import make_data
from lfdash.engine import on_disk
from lfdash.engine.facade import open_workspace
from lfdash.jobs.environment import Missing, ModelFacts, Reached
from lfdash.outcomes import Problem
from lfdash.workspace.devices import Gpu
from tests.support import FIXTURES
from tests.support.jobs import GOOD

INPUTS = FIXTURES / "foretold"
NO_GPU: tuple[Gpu, ...] = ()
TWO_GPUS = (Gpu(0, "A", True), Gpu(1, "A", True))


def opened(
    folder: Path, monkeypatch: pytest.MonkeyPatch, gpus: tuple[Gpu, ...], packages: str = ""
) -> lfdash.Workspace:
    """A workspace with the demo's data, on a machine with these GPUs; packages: what is installed, known names."""
    monkeypatch.setattr("lfdash.workspace.devices.read_gpus", lambda: (gpus, None))
    make_data(folder / "data")
    for name in ("config.json", "model.safetensors"):
        write(folder / "models" / "demo-llama" / name, "{}")
    workspace = lfdash.open(folder)
    versions = dict.fromkeys(["torch", *packages.split()], "99")
    workspace.services.upstream = replace(workspace.services.upstream, packages=versions, source="installed")
    return workspace


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> lfdash.Workspace:
    return opened(tmp_path, monkeypatch, NO_GPU)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def told(workspace: lfdash.Workspace, config: Path | dict[str, Any]) -> dict[str, Problem]:
    problems = workspace.check(config)
    assert isinstance(problems, tuple), problems
    return {problem.code: problem for problem in problems if not problem.code.startswith("few_steps")}


def test_a_deepspeed_file_of_another_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = opened(tmp_path, monkeypatch, NO_GPU, "deepspeed")
    problem = told(workspace, INPUTS / "deepspeed_path.yaml")["named_absent"]
    assert problem.fix == {"extra.deepspeed": None, "train.ds_stage": "3"}
    cured = workspace.preview(INPUTS / "deepspeed_path.yaml", {"deepspeed": "deepspeed/ds_z3_config.json"})
    assert "deepspeed: deepspeed/ds_z3_config.json" in str(cured)
    assert told(workspace, {**GOOD, "dataset": "demo_sft", "deepspeed": "deepspeed/ds_z3_config.json"}) == {}


@pytest.mark.parametrize(("name", "package"), [("tracker", "wandb"), ("optim_8bit", "bitsandbytes")])
def test_a_package_that_is_not_there(name: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = told(opened(tmp_path, monkeypatch, NO_GPU), INPUTS / f"{name}.yaml")["package_missing"]
    assert problem.params["package"] == package
    assert told(opened(tmp_path, monkeypatch, NO_GPU, package), INPUTS / f"{name}.yaml") == {}


def test_gpus_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = INPUTS / "gpus_absent.yaml"
    assert told(opened(tmp_path, monkeypatch, NO_GPU), file)["gpus_none"].params["value"] == "0, 1"
    assert told(opened(tmp_path, monkeypatch, TWO_GPUS[:1]), file)["gpus_absent"].params["value"] == "1"
    assert told(opened(tmp_path, monkeypatch, TWO_GPUS), file) == {}


def test_galore_by_layers_on_two_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = told(opened(tmp_path, monkeypatch, TWO_GPUS, "galore-torch"), INPUTS / "galore_layerwise.yaml")
    assert {"layerwise_gpus", "optim_unknown"} <= set(found)


def test_a_template_of_the_same_family(workspace: lfdash.Workspace) -> None:
    assert told(workspace, INPUTS / "nothink.yaml") == {}
    base = {**GOOD, "dataset": "demo_sft", "model_name_or_path": "Qwen/Qwen3-4B"}
    problem = told(workspace, {**base, "template": "llama3"})["template_unfit"]
    assert problem.fix == {"top.template": "qwen3"}


def test_a_checkpoint_that_is_complete(tmp_path: Path, workspace: lfdash.Workspace) -> None:
    folder = tmp_path / "saves/m/lora/r/checkpoint-9"
    write(folder / "trainer_state.json", '{"global_step": 9, "epoch": 3.0, "log_history": []}')
    args = {
        **GOOD, "dataset": "demo_sft", "output_dir": "saves/m/lora/s", "logging_steps": 1, "save_steps": 1,
        "resume_from_checkpoint": "saves/m/lora/r/checkpoint-9",
    }
    assert set(told(workspace, {**args, "max_steps": 9})) == {"nothing_left"}
    assert told(workspace, {**args, "max_steps": 18}) == {}
    moved = told(workspace, {**args, "max_steps": 18, "resume_from_checkpoint": "/old/saves/r/checkpoint-9"})
    assert moved["named_absent"].fix == {"train.resume_from_checkpoint": "saves/m/lora/r/checkpoint-9"}
    write(folder / "trainer_state.json", "[" * 100_000)
    assert on_disk.reached(workspace.services, args["resume_from_checkpoint"]) is None


def test_a_dataset_whose_file_was_removed(tmp_path: Path, workspace: lfdash.Workspace) -> None:
    args = {**GOOD, "dataset": "demo_sft", "eval_dataset": "demo_chat"}
    assert told(workspace, args) == {}
    (tmp_path / "data" / "demo_chat.json").unlink()
    problem = told(workspace, args)["data_missing"]
    assert problem.field == "train.eval_dataset" and "demo_chat.json" in problem.params["file"]


@pytest.mark.parametrize(
    ("argument", "value", "gone"),
    [
        ("model_name_or_path", "models/demo-llama", None),
        ("model_name_or_path", "Qwen/Qwen2.5-7B", None),
        ("model_name_or_path", "models/demo-lama", Missing("models/demo-lama")),
        ("model_name_or_path", "/root/models/demo-llama", Missing("/root/models/demo-llama", near="models/demo-llama")),
        ("model_name_or_path", "~/demo-llama", Missing("~/demo-llama", near="models/demo-llama")),
        ("model_name_or_path", "saves/m/lora/a", Missing("saves/m/lora/a", lacks="config.json")),
        ("adapter_name_or_path", "saves/m/lora/a", None),
        ("adapter_name_or_path", "../other/saves/m/lora/a", Missing("../other/saves/m/lora/a", near="saves/m/lora/a")),
        ("adapter_name_or_path", "models/demo-llama", Missing("models/demo-llama", lacks="adapter_config.json")),
        ("reward_model", "saves/m/lora/b", Missing("saves/m/lora/b")),
        ("deepspeed", "x/nothing.json", Missing("x/nothing.json")),
        ("media_dir", "data", None),
        ("tokenized_path", "data/tokens", Missing("data/tokens")),
        ("fsdp_config", "x/../*", Missing("x/../*")),
    ],
)
def test_what_is_there(
    argument: str, value: str, gone: Missing | None, tmp_path: Path, workspace: lfdash.Workspace
) -> None:
    write(tmp_path / "saves/m/lora/a/adapter_config.json", "{}")
    found = on_disk.missing(workspace.services, {argument: value})
    assert found == ({argument: (gone,)} if gone else {})


def test_two_that_are_alike_are_no_cure(tmp_path: Path, workspace: lfdash.Workspace) -> None:
    for method in ("lora", "oft"):
        write(tmp_path / "saves/m" / method / "a/adapter_config.json", "{}")
    found = on_disk.missing(workspace.services, {"adapter_name_or_path": "/old/a"})
    assert found == {"adapter_name_or_path": (Missing("/old/a"),)}


def test_what_cannot_be_looked_at_is_not_called_missing(
    tmp_path: Path, workspace: lfdash.Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.stat

    def failing(path: Any, *args: Any, **options: Any) -> os.stat_result:
        if str(path).startswith("/mount/"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *args, **options)

    monkeypatch.setattr(os, "stat", failing)
    assert on_disk.missing(workspace.services, {"model_name_or_path": "/mount/m", "deepspeed": "/mount/z.json"}) == {}


def test_nobody_elses_disk_is_looked_at_where_others_use_the_page(tmp_path: Path) -> None:
    workspace = open_workspace(tmp_path)
    workspace.services.roots = replace(workspace.services.roots, shared=True)
    assert on_disk.missing(workspace.services, {"deepspeed": "/etc/nothing.json"}) == {}


@pytest.mark.parametrize(
    ("config", "facts"),
    [
        ({"num_experts": 128, "model_type": "qwen3_moe"}, ModelFacts(experts=128)),
        ({"text_config": {"n_routed_experts": 64}, "vision_config": {}}, ModelFacts(experts=64, pictures=True)),
        ({"num_local_experts": "8", "quantization_config": {"quant_method": "gptq"}}, ModelFacts(quantized="gptq")),
        ({"quantization_config": [1], "text_config": 3}, ModelFacts()),
        ([1], None), (None, None),
    ],
)
def test_what_a_models_config_says(
    config: Any, facts: ModelFacts | None, tmp_path: Path, workspace: lfdash.Workspace
) -> None:
    (tmp_path / "models/x").mkdir()
    if config is not None:  # a hub's cache is made of links
        write(tmp_path / "blobs/1", json.dumps(config))
        (tmp_path / "models/x/config.json").symlink_to(tmp_path / "blobs/1")
    assert on_disk.model_facts(workspace.services, "models/x") == facts


def test_a_state_is_read_again_when_it_changed(tmp_path: Path, workspace: lfdash.Workspace) -> None:
    file = tmp_path / "saves/r/checkpoint-1/trainer_state.json"
    for step in (1, 22):
        write(file, json.dumps({"global_step": step, "epoch": 0.5}))
        assert on_disk.reached(workspace.services, "saves/r/checkpoint-1") == Reached(step, 0.5)
    assert on_disk.reached(workspace.services, "saves/none") is None
