"""The devices that a job asks for."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from lfdash.files import as_record
from lfdash.jobs.args import build_args, build_env
from lfdash.jobs.fields import BY_ID
from lfdash.jobs.job import JobConfig
from lfdash.jobs.resources import ResourceRequest, request_of


@pytest.mark.parametrize(
    ("args", "env", "wanted"),
    [
        ({}, {}, ResourceRequest()),
        ({"use_cpu": True}, {"CUDA_VISIBLE_DEVICES": "1"}, ResourceRequest(cpu=True)),
        ({}, {"CUDA_VISIBLE_DEVICES": "1, 3"}, ResourceRequest(("1", "3"))),
        ({}, {"CUDA_VISIBLE_DEVICES": ""}, ResourceRequest(cpu=True)),
        ({}, {"LFDASH_GPUS": "2"}, ResourceRequest(count=2)),
        ({}, {"LFDASH_GPUS": "no"}, ResourceRequest()),
        ({}, {"LFDASH_FITS": "True"}, ResourceRequest(count=1, fits=True)),
        ({}, {"LFDASH_FITS": "True", "LFDASH_GPUS": "2"}, ResourceRequest(count=2, fits=True)),
        ({}, {"LFDASH_FITS": "True", "CUDA_VISIBLE_DEVICES": "1"}, ResourceRequest(("1",))),
        ({}, {"LFDASH_FITS": "False"}, ResourceRequest()),
        ({"export_dir": "x"}, {}, ResourceRequest(cpu=True)),
        ({"export_dir": "x", "export_device": "auto"}, {}, ResourceRequest()),
    ],
)
def test_what_a_job_asks_for(args: dict[str, object], env: dict[str, str], wanted: ResourceRequest) -> None:
    assert request_of(args, env) == wanted
    assert as_record(ResourceRequest, asdict(wanted), "it") == wanted


def test_a_job_on_the_cpu_wants_no_gpu_where_it_fits() -> None:
    values = {"train.gpu_fits": True, "train.use_cpu": True}
    on_cpu, on_gpu = JobConfig("train", values), JobConfig("train", {**values, "train.use_cpu": False})
    asks = [build_env(job, build_args(job)).get("LFDASH_FITS") for job in (on_cpu, on_gpu)]
    assert asks == [None, "True"]
    assert [BY_ID["train.gpu_fits"].when.holds(job.get) for job in (on_cpu, on_gpu)] == [False, True]
