"""Who may start where: GPUs by number and by name, foreign processes, a port for each run."""

from __future__ import annotations

import getpass
import os
import subprocess
from dataclasses import replace
from pathlib import Path

from lfdash.engine.registry import ProcessRegistry
from lfdash.engine.words import waiting_in
from lfdash.jobs.resources import ResourceRequest
from lfdash.launchers.base import Launched
from lfdash.runs.view import Reason, Stall
from lfdash.supervisor.processes import environ
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
    assert bench.view("third").waiting.waits == Reason(
        "short", {"asked": "2", "free": "1", "who": "GPU 0, 1: two; GPU 3: named"}
    )
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
    assert waits.code == "foreign" and f"(pid {os.getpid()}, {getpass.getuser()})" in waits.params["who"]
    bench.machine.processes = {0: tuple(range(2**22 + 1, 2**22 + 6))}  # none that can be seen
    bench.tick()
    who = bench.view("a").waiting.waits.params["who"]
    assert who == "pid 4194305, pid 4194306, pid 4194307, +2"
    bench.machine.processes = {}
    bench.tick()
    assert bench.states["a"] == "RUNNING"


def test_a_process_of_a_run_of_ours_is_known_also_when_its_environment_is_gone(workspace: Path, tmp_path: Path) -> None:
    """A process that ends shows no environment any more, but is on its GPU until the driver has let it go."""
    bench = Bench(workspace, gpus=2)
    folder = os.path.realpath(workspace / "saves" / "r1")
    sleeper = subprocess.Popen(["sleep", "60"], env={"LFDASH_RUN": f"1:{folder}"})
    elsewhere = subprocess.Popen(["sleep", "60"], env={"LFDASH_RUN": f"1:{tmp_path}/other/saves/r1"})
    try:
        bench.machine.processes = {0: (sleeper.pid,), 1: (elsewhere.pid,)}
        bench.add("a")
        bench.tick()
        who = bench.view("a").waiting.waits.params["who"]
        assert who.startswith(f"GPU 0: r1 (pid {sleeper.pid}); GPU 1: sleep (pid {elsewhere.pid}")
    finally:
        for process in (sleeper, elsewhere):
            process.kill()
    assert os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT) and not any(environ(sleeper.pid))  # a zombie
    bench.machine.processes = {0: (sleeper.pid,)}
    bench.tick()
    assert bench.view("a").waiting.waits == Reason("leaving", {"gpu": "0", "run": f"r1 (pid {sleeper.pid})"})
    for process in (sleeper, elsewhere):
        process.wait()
    bench.machine.processes = {}
    bench.tick()
    assert bench.states["a"] == "RUNNING"


def test_a_job_behind_a_run_that_does_not_step_says_so(workspace: Path) -> None:
    bench = Bench(workspace, gpus=1)
    bench.add("stuck")
    bench.add("behind")
    bench.add("last")
    bench.tick()
    stall = Stall(960.0, 0.25)
    watcher = bench.registry.watcher
    watcher.alive = [replace(view, stall=stall) for view in watcher.alive]
    dispatcher = bench.registry.dispatcher
    waiting = [view.waiting for view in dispatcher.waiting_views(dispatcher.entries()) if view.waiting is not None]
    assert [one.behind for one in waiting] == [(("stuck", stall),)] * 2
    said = waiting_in("en", waiting[0])
    assert said == "Position 1 in the queue: stuck is running on GPU 0, with no step for 16 min."
    several = replace(waiting[0], waits=Reason("several", {"who": "GPU 0: stuck; GPU 1: sh (pid 7)"}))
    assert waiting_in("en", several, place=False) == (
        "These are in use: GPU 0: stuck; GPU 1: sh (pid 7); stuck has made no step for 16 min"
    )


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
