"""A job's memory: where the model's numbers come from, how many processes it has, the dry run and its bounds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lfdash.engine import memory
from lfdash.engine.memory import Foretold, as_json, find_model, measure, of_job, world_of
from lfdash.engine.services import Services, find_project
from lfdash.jobs.args import job_from_args
from lfdash.llamafactory.ask import ask_json
from lfdash.llamafactory.locate import Cli, described, find_cli
from lfdash.machine.sample import Device, Sample
from lfdash.memory.estimate import estimate
from lfdash.memory.simulated import payload
from lfdash.outcomes import Refused
from lfdash.workspace.devices import Devices, Gpu
from tests.support.memory import LORA, QWEN_7B, shape

TRAINING = {**LORA, "do_train": True, "model_name_or_path": "models/own", "dataset": "any", "template": "qwen"}


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Services:
    """Of a workspace with a model of two layers."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "scope"))
    made = Services(find_project(), tmp_path / "ws")
    folder = tmp_path / "ws/models/own"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({**QWEN_7B, "num_hidden_layers": 2, "vocab_size": 4000}))
    return made


def told(services: Services, world: int | None = None, lengths: tuple[int, ...] = (), **arguments: Any) -> Foretold:
    job = job_from_args({**TRAINING, **arguments})
    found = of_job(services, job, world=world, lengths=lengths)
    assert isinstance(found, Foretold), found
    return found


def test_a_job_has_the_estimate_of_its_subject(services: Services) -> None:
    found = told(services, lengths=(100, 200))
    assert found.estimate == estimate(found.subject) and found.subject.lengths == (100, 200)
    assert found.model.found.endswith("models/own/config.json") and not found.measured
    assert json.loads(json.dumps(as_json(found)))["parameters"] == found.subject.architecture.total


def test_a_modelscope_cache_is_looked_into(services: Services, tmp_path: Path) -> None:
    folder = tmp_path / "scope/models/Any/Model-1___5"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(QWEN_7B))
    found = find_model(services, {"model_name_or_path": "Any/Model-1.5"})
    assert not isinstance(found, Refused) and found.architecture.source == "config"


@pytest.mark.parametrize("path", ["../../etc", "a/../b", "", "who/knows"])
def test_a_path_that_leads_nowhere_has_no_numbers(services: Services, path: str) -> None:
    assert find_model(services, {"model_name_or_path": path}) == Refused("memory_model", {"model": path or "–"})


@pytest.mark.parametrize(
    ("path", "billions"),
    [("/models/my-own", 0), ("Qwen/Qwen1.5-7B", 7), ("/data/qwen2.5-7b-merged", 7), ("", 0), ("Qwen/Qwen2-7B", 7.6)],
)
def test_the_folder_it_writes_to_does_not_name_the_model(services: Services, path: str, billions: float) -> None:
    """A copied YAML still has the folder of another model."""
    given = {**TRAINING, "model_name_or_path": path, "output_dir": "saves/Llama-3-70B-Instruct/lora/x"}
    found = of_job(services, job_from_args(given))
    if billions:
        assert isinstance(found, Foretold) and "70B" not in found.model.found
        assert found.model.architecture.total == pytest.approx(billions * 1e9, rel=0.1)
    else:
        assert found == Refused("memory_model", {"model": path or "–"})


def test_a_folder_that_may_not_be_read_is_not_read(services: Services, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "config.json").write_text(json.dumps(QWEN_7B))
    args = {"model_name_or_path": str(outside)}
    assert not isinstance(find_model(services, args), Refused)
    services.roots = replace(services.roots, shared=True)
    assert isinstance(find_model(services, args), Refused)


@pytest.mark.parametrize(
    ("arguments", "env", "count"),
    [({}, {}, 3), ({"use_cpu": True}, {}, 1), ({}, {"CUDA_VISIBLE_DEVICES": "0,2"}, 2), ({}, {"LFDASH_GPUS": "2"}, 2)],
)
def test_processes_are_the_gpus_of_the_job(
    services: Services, arguments: dict[str, Any], env: dict[str, str], count: int
) -> None:
    services.devices = Devices(tuple(Gpu(n, "any", True) for n in range(3)), 8)
    assert world_of(services, job_from_args({**TRAINING, **arguments}, env)) == count


def test_without_a_gpu_there_is_one_process(services: Services) -> None:
    services.devices = Devices((), 8)
    assert world_of(services, job_from_args(TRAINING)) == 1


def test_it_is_held_against_what_is_free_here(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    need = told(services).estimate.driver
    gpus = tuple(
        Device("nvidia", str(n), memory_used=4 * need - free, memory_total=4 * need)
        for n, free in enumerate((need // 2, need, 2 * need))
    )
    sample = replace(services.machine.seen, devices=(*gpus, Device("nvidia", "3")))
    monkeypatch.setattr(type(services.machine), "seen", property(lambda _: sample))
    assert told(services).devices == {"nvidia:0": "does_not", "nvidia:1": "tight", "nvidia:2": "fits"}
    assert isinstance(sample, Sample)


def test_deepspeeds_settings_are_read_from_their_file(services: Services) -> None:
    found = told(services, deepspeed="deepspeed/ds_z3_offload_config.json", finetuning_type="full")
    assert found.subject.sharding == "z3" and found.subject.offload
    assert isinstance(found.subject.arguments["deepspeed"], dict)
    gone = told(services, deepspeed="deepspeed/gone.json")
    assert "deepspeed" in gone.estimate.unknown


# -- the dry run ------------------------------------------------------------------------------------------


@pytest.mark.train_env
def test_a_dry_run_is_near_and_kept(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    before = told(services)
    found = measure(services, before)
    assert isinstance(found, Foretold) and found.measured, found
    assert found.estimate.allocated == pytest.approx(before.estimate.allocated, rel=0.05)
    assert found.estimate.allocated != before.estimate.allocated
    assert sum(found.estimate.terms.values()) == found.estimate.driver

    def fail(*_args: Any, **_more: Any) -> Any:
        raise AssertionError("asked again")

    monkeypatch.setattr(memory, "ask_json", fail)
    assert measure(services, before) == found
    with pytest.raises(AssertionError, match="asked again"):
        measure(services, told(services, lora_rank=9))


@pytest.mark.train_env
def test_a_dry_run_is_bounded(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "DRY_RUN_S", 0.05)
    assert measure(services, told(services)) == Refused("memory_time", {"seconds": 0.05})
    cli = find_cli({})
    assert isinstance(cli, Cli)
    job = {**payload(told(services).subject), "memory": 32 << 20}
    answer = ask_json(cli, memory.DRY_RUN, job, timeout=100)
    assert isinstance(answer, Refused), "it had to do with 32 MiB"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [({"stage": "ppo"}, "stage"), ({"fsdp": "full_shard"}, "fsdp"), ({"use_unsloth": True}, "unsloth")],
)
def test_what_it_does_not_show_is_refused(services: Services, arguments: dict[str, Any], code: str) -> None:
    assert measure(services, told(services, **arguments)) == Refused("memory_no_dry_run", {"codes": code})


def test_of_a_name_alone_there_is_none(services: Services) -> None:
    found = told(services, model_name_or_path="who/ever-8B")
    assert measure(services, found) == Refused("memory_config_needed")


def test_without_llamafactory_there_is_none(services: Services) -> None:
    services.cli = Refused("blocked_cli")
    assert measure(services, told(services)) == services.cli
    services.cli = described("/none/llamafactory-cli")
    assert isinstance(measure(services, told(services)), Refused)


def test_a_shape_has_the_numbers_of_its_file() -> None:
    assert shape(QWEN_7B).total == 7_615_616_512  # as transformers counts them
