"""Where a job runs is a field of it: drafts, files, commands and plans carry it, LLaMA-Factory never sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import lfdash
from lfdash.engine import context, defaults, plans
from lfdash.engine.facade import Workspace
from lfdash.engine.services import Services
from lfdash.jobs import checks, yaml_format
from lfdash.jobs.args import build_args, build_env, job_from_args
from lfdash.jobs.job import JobConfig, new_job
from lfdash.jobs.resources import TARGET
from lfdash.launchers.slurm_script import batch_script
from lfdash.outcomes import Refused
from lfdash.targets.target import Target
from tests.support import ROOT
from tests.support.models import pretend_model
from tests.support.runs import fake_cli

LAB = Target("lab", "slurm", partition="gpu", gpus=2)
PRESET = ROOT / "configs" / "presets" / "demo.yaml"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """With one target, on a machine that has no GPU."""
    monkeypatch.setattr("lfdash.workspace.devices.read_gpus", lambda: ((), None))
    monkeypatch.setenv("LFDASH_CLI", fake_cli(tmp_path))
    pretend_model(tmp_path / "ws")
    made = lfdash.open(tmp_path / "ws")
    assert made.services.registry.targets.put(LAB, None) is None
    return made


@pytest.fixture
def services(workspace: Workspace) -> Services:
    return workspace.services


def on_lab(**values: Any) -> JobConfig:
    given = {"top.model_path": "models/m", "train.dataset": ["d"], "train.output_dir": "r1", **values}
    return JobConfig("train", given).on("lab")


@pytest.mark.parametrize("kind", ["train", "eval", "export"])
def test_it_goes_to_the_environment_and_comes_back(kind: str) -> None:
    job = new_job(kind).on("lab")
    args, env = build_args(job), build_env(job)
    assert job.target == "lab" and env[TARGET] == "lab"
    assert "lab" not in args.values()
    document = yaml_format.load(yaml_format.dump(args, ["x"], env))
    assert job_from_args(document.args, document.env, kind).target == "lab"
    assert job.on("").target == "" and TARGET not in build_env(job.on(""))


def test_a_chat_runs_on_this_machine_only(workspace: Workspace) -> None:
    chat = new_job("chat")
    assert chat.target == "" and chat.on("") is chat
    with pytest.raises(ValueError, match="this machine only"):
        chat.on("lab")
    served = {"model_name_or_path": "models/m", "template": "default"}
    assert workspace.read(served, target="lab") == Refused("target_serves", {"name": "lab"})


def test_of_devices_a_target_takes_the_number_alone() -> None:
    values = {"train.devices": ["1"], "train.gpu_count": 2, "train.gpu_fits": True}
    assert build_env(JobConfig("train", values)) == {"CUDA_VISIBLE_DEVICES": "1"}
    assert build_env(JobConfig("train", values).on("lab")) == {TARGET: "lab", "LFDASH_GPUS": "2"}


def test_the_plan_is_the_targets(services: Services) -> None:
    prepared = plans.prepare(services, on_lab(**{"train.gpu_count": 3}), "x")
    assert prepared.record.launcher == "slurm:lab"
    assert "#SBATCH --partition=gpu" in str(prepared.plan) and "--gres=gpu:3" in str(prepared.plan)
    assert TARGET not in batch_script(prepared.plan, LAB), "nobody reads it there"
    assert yaml_format.load(prepared.plan.files["training_args.yaml"]).env[TARGET] == "lab"


def test_a_target_that_is_gone_is_told_with_what_to_do(services: Services) -> None:
    assert problems(services, on_lab()) == {}
    assert services.registry.targets.remove("lab", services.registry.targets.read().rows["lab"]) is None
    found = problems(services, on_lab())["target_gone"]
    assert (found.field, found.level, found.fix) == ("train.target", "error", None)  # where is the user's to say
    assert found.params["value"] == "lab" and found.params["known"] == "–"


def test_a_target_that_cannot_be_read_is_not_called_gone(services: Services) -> None:
    file = services.registry.targets.path
    file.write_text('[target.lab]\nkind = "slurm"\ncpus = "many"\n\n[target.other]\nkind = "slurm"\nnodes = 0\n')
    found = problems(services, on_lab())
    assert list(found) == ["target_number"] and found["target_number"].params["key"] == "cpus"
    assert found["target_number"].field == "train.target"
    file.write_text("[target.lab\n")
    assert list(problems(services, on_lab())) == ["target_toml"]


def problems(services: Services, job: JobConfig) -> dict[str, Any]:
    """What is wrong with the target of a job, by code."""
    found = checks.problems(job, context.of(services, job))
    return {one.code: one for one in found if one.code.startswith("target_")}


def test_this_machine_does_not_decide_what_a_target_computes(services: Services) -> None:
    job = new_job()
    here, _ = defaults.fit_to_machine(services, job)
    there, notes = defaults.fit_to_machine(services, job.on("lab"))
    assert here.values["train.compute_type"] == "fp32"
    assert there.values["train.compute_type"] == "bf16" and notes == []
    assert context.of(services, job.on("lab")).gpus is None


def test_it_starts_where_this_machine_cannot(services: Services) -> None:
    services.cli = Refused("cli_missing")
    assert services.blocked == services.blocked_on("lab") == Refused("cli_missing"), "it would use the same program"
    able = Target("able", "slurm", cli="/opt/llamafactory-cli")
    assert services.registry.targets.put(able, None) is None
    assert services.blocked_on("able") is None and services.blocked_on("gone") == Refused("cli_missing")


def test_a_program_chooses_it_beside_the_configuration(workspace: Workspace) -> None:
    read = workspace.read(PRESET, target="lab")
    assert read.job.target == "lab" and read.job.get("train.compute_type") == "fp32", "the preset says so itself"
    assert "#SBATCH" in str(workspace.preview(PRESET, target="lab"))
    assert "#SBATCH" not in str(workspace.preview(PRESET))
    text = yaml_format.dump(build_args(read.job), ["x"], build_env(read.job))
    assert workspace.read(text).job.target == "lab", "a file says it, too"
    assert workspace.read(text, target="").job.target == ""
