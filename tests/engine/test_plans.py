"""From a job to what is run."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import pytest

from lfdash.engine import plans
from lfdash.engine.plans import document, prepare
from lfdash.engine.services import Project, Services
from lfdash.jobs import args as arguments
from lfdash.jobs.args import job_from_args
from lfdash.jobs.resources import ResourceRequest
from lfdash.jobs.yaml_format import load
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
