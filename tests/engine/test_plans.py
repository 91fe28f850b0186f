"""From a job to what is run: what is previewed is what is submitted, and the launcher adds its own before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
import yaml

from lfdash.engine import context, plans, resume
from lfdash.engine.defaults import fit_to_machine
from lfdash.engine.plans import document, prepare
from lfdash.engine.services import Project, Services
from lfdash.jobs import args as arguments
from lfdash.jobs.args import job_from_args
from lfdash.jobs.job import JobConfig
from lfdash.jobs.resources import ResourceRequest
from lfdash.jobs.yaml_format import load
from lfdash.launchers import table
from lfdash.launchers.base import Launched
from lfdash.launchers.fake import FakeLauncher
from lfdash.runs.plan import LaunchPlan
from tests.support import ROOT

ARGS = {
    "stage": "sft", "do_train": True, "model_name_or_path": "models/m", "finetuning_type": "lora", "dataset": "d",
    "template": "default", "deepspeed": "cache/ds.json", "output_dir": "saves/m/lora/r1",
}


@pytest.fixture
def services(tmp_path: Path) -> Services:
    return Services(Project(ROOT), tmp_path / "workspace")


def test_plan_record_and_devices_are_of_one_look_at_the_arguments(services: Services) -> None:
    job = job_from_args(ARGS, {"CUDA_VISIBLE_DEVICES": "1"})
    real = arguments.build_args
    with mock.patch.object(arguments, "build_args", side_effect=real) as again, \
            mock.patch.object(plans, "build_args", side_effect=real) as once:
        prepared = prepare(services, job, "a comment", "id-1")
    assert (once.call_count, again.call_count) == (1, 0)
    assert (prepared.plan.run_id, prepared.plan.output_dir) == ("id-1", "saves/m/lora/r1")
    assert load(prepared.plan.files["training_args.yaml"]).args == ARGS
    assert prepared.plan.files["training_args.yaml"].startswith("# a comment\n")
    assert prepared.plan.env["FORCE_TORCHRUN"] == "1"
    assert (prepared.record.model, prepared.record.stage, prepared.record.method) == ("m", "sft", "lora")
    assert prepared.request == ResourceRequest(("1",))


def test_a_plan_has_a_new_id_each_time(services: Services) -> None:
    job = job_from_args(ARGS)
    assert prepare(services, job, "x").plan.run_id != prepare(services, job, "x").plan.run_id


@pytest.mark.parametrize("with_output", [True, False])
def test_the_document_is_the_job_to_share_or_this_run(with_output: bool) -> None:
    text = document(job_from_args(ARGS), "a comment", with_output=with_output)
    assert ("output_dir" in load(text).args) is with_output
    assert load(text).env == {"FORCE_TORCHRUN": "1"}


# -- where runs go on elsewhere -----------------------------------------------------------------------------


class Cluster(FakeLauncher):
    """Starts runs elsewhere, through a script that it writes beside each plan's own files."""

    def __init__(self) -> None:
        super().__init__("cluster", local=False)

    def plan(self, plan: LaunchPlan) -> LaunchPlan:
        return replace(plan, files={**plan.files, "job.sh": f"#!/bin/sh\n{plan.argv[0]}\n"})


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    monkeypatch.setitem(table.TABLE, "cluster", f"{__name__}:Cluster")
    monkeypatch.setattr(table, "DEFAULT", "cluster")
    found = Services(Project(ROOT), tmp_path / "workspace")
    yield found
    found.close()


def demo() -> JobConfig:
    args = yaml.safe_load((ROOT / "configs" / "presets" / "demo.yaml").read_text(encoding="utf-8"))
    values = job_from_args(args).values
    return JobConfig("train", {**values, "train.output_dir": "r1", "train.compute_type": "bf16"})


def test_the_launcher_has_its_say_before_the_preview(elsewhere: Services) -> None:
    prepared = plans.prepare(elsewhere, demo(), "made by a test")
    assert prepared.plan.files["job.sh"].startswith("#!/bin/sh\n")
    assert prepared.record.launcher == "cluster"
    outcome = elsewhere.registry.launch(prepared.plan, prepared.record, prepared.request)
    assert isinstance(outcome, Launched)
    for name, text in prepared.plan.files.items():
        assert (outcome.handle.paths.root / name).read_text() == text
    (outcome.handle.paths.root / "checkpoint-2").mkdir()
    Cluster().end(outcome.handle, 1)
    elsewhere.registry.refresh()
    (view,) = elsewhere.registry.snapshot()
    again = resume.prepare_resume(elsewhere, view, 2, "made by a test")
    assert again is not None and "job.sh" in again.plan.files and again.record.launcher == "cluster"
    assert isinstance(elsewhere.registry.launch(again.plan, again.record, again.request), Launched)


def test_what_is_here_says_nothing_of_a_run_elsewhere(elsewhere: Services) -> None:
    facts = context.of(elsewhere, demo())
    assert (facts.gpus, facts.packages) == (None, None)
    assert fit_to_machine(elsewhere, demo()) == (demo(), [])
    elsewhere.registry.launchers.default = FakeLauncher()
    facts = context.of(elsewhere, demo())
    assert facts.gpus == elsewhere.devices.gpu_count is not None
    assert fit_to_machine(elsewhere, demo())[1] != [] or facts.gpus > 0
