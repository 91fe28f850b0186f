"""What a job takes, beside the devices that it may get."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from lfdash.engine import forecast as module
from lfdash.engine.forecast import Forecast, forecast
from lfdash.engine.services import Project, Services
from lfdash.jobs.args import job_from_args
from lfdash.jobs.job import JobConfig
from lfdash.machine.sample import Sample
from lfdash.machine.sampler import Machine
from lfdash.outcomes import Refused
from lfdash.workspace.devices import Devices, Gpu
from tests.support import ROOT
from tests.support.gpu import device, sample

ARGS = {
    "stage": "sft", "do_train": True, "finetuning_type": "lora", "model_name_or_path": "Qwen/Qwen2.5-7B-Instruct",
    "bf16": True, "per_device_train_batch_size": 1, "cutoff_len": 2048, "output_dir": "saves/a/lora/b",
}


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    found = Services(Project(ROOT), tmp_path / "workspace")
    yield found
    found.close()


def job(env: dict[str, str] | None = None, **changes: object) -> JobConfig:
    return job_from_args({**ARGS, **changes}, env)


def told(services: Services, wanted: JobConfig, seen: Sample) -> Forecast:
    with mock.patch.object(Machine, "seen", seen):
        found = forecast(services, wanted)
    assert isinstance(found, Forecast), found
    return found


def test_the_verdict_is_about_what_is_free(services: Services) -> None:
    need = told(services, job(), sample()).foretold.estimate.driver / (1 << 30)
    for total, used, verdict in (
        (80, 1, "fits"), (need * 1.02, 0, "tight"), (10, 0, "does_not"), (80, 75, "in_use"), (12, 4, "does_not"),
    ):
        assert told(services, job(), sample(device(0, total, used))).verdict == verdict, (total, used)


def test_the_devices_are_those_that_the_job_may_get(services: Services) -> None:
    seen = sample(device(0, 80, 70), device(1, 80, 1), device(2, 24, 0))
    services.devices = Devices(tuple(Gpu(n, "", True) for n in range(3)), 2)
    labels = lambda wanted: [room.label for room in told(services, wanted, seen).rooms]  # noqa: E731
    assert labels(job()) == ["GPU 0", "GPU 1", "GPU 2"]
    assert labels(job({"CUDA_VISIBLE_DEVICES": "2"})) == ["GPU 2"]
    assert labels(job({"LFDASH_GPUS": "2"})) == ["GPU 1", "GPU 2"]
    assert labels(job(use_cpu=True)) == []
    every = told(services, job(), seen)
    assert every.room is not None and every.room.label == "GPU 0"  # it has the least room
    assert every.foretold.subject.world_size == 3


def test_of_a_job_for_any_gpu_where_it_fits_the_figure_is_of_the_one_that_it_gets(services: Services) -> None:
    wanted = job({"LFDASH_FITS": "True"})
    for cards, label, verdict in (
        ((device(0, 80), device(1, 8, 0), device(2, 24, 0)), "GPU 2", "fits"),
        ((device(0, 8, 0), device(1, 80, 75)), "GPU 1", "in_use"), ((device(0, 8, 0),), "GPU 0", "does_not"),
    ):
        found = told(services, wanted, sample(*cards))
        assert [room.label for room in found.rooms] == [label] and found.verdict == verdict


def test_what_cannot_be_read_is_not_taken_for_absent(services: Services) -> None:
    services.devices = Devices((), 2)
    assert not told(services, job(), Sample(time=1.0)).blind
    assert told(services, job(), Sample()).blind  # nobody has looked yet
    assert told(services, job(), Sample(time=1.0, problems={"nvidia": "driver fails"})).blind
    assert not told(services, job(), Sample(time=1.0, problems={"disk": "gone"})).blind


def test_it_is_asked_once_for_a_job(services: Services) -> None:
    with mock.patch.object(module, "of_job", wraps=module.of_job) as asked:
        for _ in range(3):
            forecast(services, job())
        assert asked.call_count == 1
        forecast(services, job(output_dir="saves/a/lora/another"))  # what was measured for it is still true
        assert asked.call_count == 1
        forecast(services, job(cutoff_len=4096))
        assert asked.call_count == 2


def test_a_model_of_which_nothing_is_known_is_refused(services: Services) -> None:
    found = forecast(services, job(model_name_or_path="nobody/knows-me"))
    assert isinstance(found, Refused) and found.code == "memory_model"
