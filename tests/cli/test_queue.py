"""`lfdash queue FILE`: a job that waits, in the same queue as the page's."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest

from lfdash.engine.services import Services, find_project
from lfdash.machine.sampler import Machine
from lfdash.queue.placement import Inventory
from lfdash.workspace.devices import Gpu
from tests.cli.test_check import job
from tests.cli.test_ls import COLUMNS
from tests.support.gpu import device, sample
from tests.support.runs import wait_end
from tests.support.terminal import DEMO, lfdash


def test_a_job_that_waits(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lfdash.engine.defaults.now", partial(datetime, 2026, 1, 2, 3, 4, 5))  # names have the minute
    said = lfdash("queue", DEMO, "--json")
    assert (said.code, list(said.json), said.json["state"]) == (0, [*COLUMNS, "position"], "QUEUED")
    assert said.json["position"] == 1
    assert (said.json["started"], said.json["step"]) == (None, None)
    second = lfdash("queue", DEMO)
    assert second.code == 0 and "QUEUED. Position 2 in the queue" in second.out
    assert "lfdash serve" in second.err, "what starts it"
    names = [row["name"] for row in lfdash("ls", "--json").json]
    assert len(set(names)) == 2 and names[0] == said.json["name"] and names[1].startswith(names[0])


def test_a_dashboard_starts_it(workspace: Path) -> None:
    run_id = lfdash("queue", DEMO, "--json").json["id"]
    services = Services(find_project(), workspace)
    services.registry.start()
    try:
        assert wait_end(services.registry, run_id).state == "SUCCEEDED"
    finally:
        services.close()
    assert lfdash("show", run_id, "--json").json["state"] == "SUCCEEDED"


def test_what_can_never_run(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = job(tmp_path)
    path.write_text("# environment: LFDASH_GPUS=4\n" + path.read_text())
    said = lfdash("queue", path, "--json")
    assert (said.code, said.json["refused"]) == (1, "never")
    assert lfdash("queue", job(tmp_path, dataset="gone"), "--json").json["refused"] == "problems"


def test_a_token_of_the_configuration_would_be_gone(workspace: Path, tmp_path: Path) -> None:
    """It is kept in this process's memory only; whoever starts the job would run it with a token of their own."""
    token = "tokenOfAlice-1111"
    said = lfdash("queue", job(tmp_path, hub_token=token), "--json")
    assert (said.code, said.json["refused"]) == (1, "secret_queue")
    assert "HF_TOKEN" in said.json["message"] and token not in said.out + said.err
    assert lfdash("ls", "--json").json == []


def test_any_gpu_where_it_fits(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The GPU is a sample of a machine."""
    monkeypatch.setattr("lfdash.workspace.devices.read_gpus", lambda: ((Gpu(0, "A card", True),), None))
    monkeypatch.setattr("lfdash.queue.turns.CachedDevices.machine", lambda self, slots, now=False: Inventory(("0",)))
    path = job(tmp_path, model_name_or_path="Qwen/Qwen2.5-7B-Instruct", bf16=True, per_device_train_batch_size=1)
    path.write_text("# environment: LFDASH_FITS=True\n" + path.read_text())
    monkeypatch.setattr(Machine, "seen", replace(sample(device(0, 8, 0)), time=time.time() + 1000))
    said = lfdash("queue", path, "--json")
    assert (said.code, said.json["refused"]) == (1, "never") and "GiB on each GPU" in said.json["message"]
    monkeypatch.setattr(Machine, "seen", replace(sample(device(0, 80, 70)), time=time.time() + 1000))
    run_id = lfdash("queue", path, "--json").json["id"]
    assert "so much is not free now on GPU 0" in lfdash("show", run_id).out
