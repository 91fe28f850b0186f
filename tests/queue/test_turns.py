"""Who may start where: GPUs by number and by name, foreign processes, a port for each run."""

from __future__ import annotations

import os
from pathlib import Path

from lfdash.engine.registry import ProcessRegistry
from lfdash.jobs.resources import ResourceRequest
from lfdash.launchers.base import Launched
from lfdash.runs.view import Reason
from tests.support.bench import Bench
from tests.support.runs import plan_for, record_for


def test_gpus_are_given_by_number_and_by_name(workspace: Path) -> None:
    bench = Bench(workspace, gpus=4)
    bench.add("two", ResourceRequest(count=2))
    bench.add("named", ResourceRequest(("3",)), env={"CUDA_VISIBLE_DEVICES": "3"})
    bench.add("third", ResourceRequest(count=2))
    bench.add("cpu", ResourceRequest(cpu=True))
    bench.add("all")
    bench.tick()
    assert bench.states == {
        "two": "RUNNING", "named": "RUNNING", "third": "QUEUED", "cpu": "RUNNING", "all": "QUEUED",
    }
    assert (bench.devices("two"), bench.devices("named")) == ("0,1", "3")
    assert bench.view("third").waiting.waits == Reason("short", {"asked": "2", "free": "1"})
    assert bench.view("two").record.last.env["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    bench.end("named")
    assert bench.devices("third") == "2,3"
    bench.end("two")
    assert bench.states["all"] == "QUEUED"
    bench.end("third")
    assert bench.states["all"] == "RUNNING" and bench.devices("all") is None


def test_a_foreign_process_keeps_its_gpu(workspace: Path) -> None:
    bench = Bench(workspace, gpus=2)
    bench.machine.processes = {0: (os.getpid(),)}
    bench.add("a", ResourceRequest(("0",)))
    bench.add("b", ResourceRequest(count=1))
    bench.tick()
    assert bench.states == {"a": "QUEUED", "b": "RUNNING"} and bench.devices("b") == "1"
    waits = bench.view("a").waiting.waits
    assert waits.code == "foreign" and f"pid {os.getpid()}" in waits.params["who"]
    bench.machine.processes = {}
    bench.tick()
    assert bench.states["a"] == "RUNNING"


def test_devices_stay_taken_over_a_restart(workspace: Path) -> None:
    bench = Bench(workspace, gpus=2)
    bench.add("a", ResourceRequest(count=1))
    bench.tick()
    again = ProcessRegistry(workspace, bench.fake, look=bench.machine.look)
    again.refresh()
    plan = plan_for(workspace, name="b")
    assert isinstance(again.launch(plan, record_for(plan), ResourceRequest(count=1)), Launched)
    (view,) = [view for view in again.snapshot() if view.name == "b"]
    assert view.record is not None and view.record.last.devices == ("1",)


def test_every_torchrun_has_a_port_of_its_own(workspace: Path) -> None:
    bench = Bench(workspace, gpus=8)
    for number in range(4):
        bench.add(f"r{number}", ResourceRequest(count=2))
    bench.add("given", ResourceRequest(cpu=True), env={"FORCE_TORCHRUN": "1", "MASTER_PORT": "29111"})
    bench.tick()
    ports = [bench.view(f"r{number}").record.last.env["MASTER_PORT"] for number in range(4)]
    assert len(set(ports)) == 4 and all(20_000 <= int(port) < 32_000 for port in ports)
    assert bench.view("given").record.last.env["MASTER_PORT"] == "29111"
