"""What runs on a cluster cost the dashboard: seconds of a look, and calls of squeue.

    python bench/clusters.py [--runs 500] [--looks 20] [--real 100]

Runs that go on, 500 on this machine (their supervisors' locks are held by one process) and 500 on a scheduler that is a
stand-in, which answers within 50 ms; both are looked at in turn, and the ratio of the medians counts. With --real, so
many jobs in a Slurm that is started for it (Debian's packages): the same, the submissions, and looks while its
controller hangs.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from lfdash.engine.registry import ProcessRegistry  # noqa: E402
from lfdash.launchers import asking, folder  # noqa: E402
from lfdash.launchers.base import Array, ArrayTask, Launched  # noqa: E402
from lfdash.launchers.local import LocalLauncher  # noqa: E402
from lfdash.launchers.slurm import SlurmLauncher  # noqa: E402
from lfdash.launchers.slurm_calls import Calls, Job  # noqa: E402
from lfdash.launchers.slurm_jobs import SlurmJobs  # noqa: E402
from lfdash.launchers.slurm_script import job_name  # noqa: E402
from lfdash.runs.paths import RunPaths  # noqa: E402
from lfdash.runs.record import TERMINAL  # noqa: E402
from tests.support.clusters.launchers import LAB, slurm_launcher  # noqa: E402
from tests.support.clusters.slurm import SlurmCluster  # noqa: E402
from tests.support.runs import plan_for, record_for, wait_for  # noqa: E402

ANSWER_S = 0.05  # of the stand-in
WATCHED_S = 15.0  # in which calls of squeue are counted


class StandIn(Calls):
    """A scheduler that takes every job and runs it."""

    table: dict[str, Job] = {}  # noqa: RUF012 of the process

    def submit(self, script: str, comment: str, more: Mapping[str, str], seconds: float = 0) -> str:
        number = str(len(self.table) + 1)
        name = job_name(f"id-r{int(number) - 1}", 1)
        self.table[number] = Job(number, "RUNNING", nodes="n1", comment=comment, name=name)
        return number

    def jobs(self, seconds: float = 0) -> list[Job]:
        time.sleep(ANSWER_S)
        return list(self.table.values())


def begin(paths: RunPaths) -> None:
    """What a supervisor does first, but for the process."""
    control = paths.attempt(1)
    control.child_reserve.rename(control.child)
    told = {"started": time.time(), "shim": os.getpid(), "child": os.getpid()}
    control.child.write_text(json.dumps(told))
    paths.trainer_log.write_text(json.dumps({"current_steps": 1, "total_steps": 100, "loss": 1.0}) + "\n")


def hold(paths: list[RunPaths]) -> int:
    """A process that holds the locks of all supervisors; its pid."""
    ready, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        kept = []
        for one in paths:
            lock = os.open(one.attempt(1).lock, os.O_RDWR | os.O_CREAT)
            fcntl.lockf(lock, fcntl.LOCK_EX)
            kept.append(lock)
        os.write(tell, b"x")
        signal.pause()
    os.read(ready, 1)
    return pid


def local(root: Path, runs: int) -> tuple[ProcessRegistry, int]:
    """A registry with so many runs of this machine."""
    made = []
    for number in range(runs):
        plan = plan_for(root, name=f"r{number}", steps=100)
        paths = folder.make(plan, record_for(plan, "local"))
        assert isinstance(paths, RunPaths)
        begin(paths)
        made.append(paths)
    return ProcessRegistry(root, LocalLauncher(), interval=3600), hold(made)


def on_target(root: Path, launcher: SlurmLauncher, runs: int, load: int = 0) -> ProcessRegistry:
    """A registry with so many runs of a scheduler. load: seconds for which real ones do nothing."""
    registry = ProcessRegistry(root, LocalLauncher(), interval=3600)
    registry.launchers._others[launcher.name] = launcher
    for number in range(runs):
        plan = launcher.plan(plan_for(root, name=f"r{number}", steps=100, load=load))
        outcome = launcher.submit(plan, record_for(plan, launcher.name), {})
        assert isinstance(outcome, Launched), outcome
        if not load:
            begin(outcome.handle.paths)
    return registry


def looks(registry: ProcessRegistry, count: int) -> list[float]:
    """Seconds of looks at the runs that go on."""
    found = []
    for _ in range(count):
        began = time.perf_counter()
        registry.refresh(everything=False)
        found.append(time.perf_counter() - began)
    return found


def told(what: str, seconds: list[float]) -> float:
    """Prints looks; their median in seconds."""
    median = statistics.median(seconds)
    print(f"{what:<52} {1000 * median:8.1f} ms a look, {1000 * max(seconds):8.1f} at most")
    return median


def squeue_calls(registry: ProcessRegistry, asks: SlurmJobs) -> str:
    """How often squeue was called while the page looked all the time."""
    before, began = asks.asked, time.monotonic()
    while time.monotonic() - began < WATCHED_S:
        registry.refresh(everything=False)
        time.sleep(0.5)
    return f"{asks.asked - before} calls of squeue in {WATCHED_S:.0f} s"


def compare(runs: int, count: int) -> None:
    """The stand-in against this machine."""
    with tempfile.TemporaryDirectory() as here, tempfile.TemporaryDirectory() as there:
        one, holder = local(Path(here, "workspace"), runs)
        asks = SlurmJobs(StandIn())
        launcher = SlurmLauncher("slurm:lab", lambda _: LAB, jobs=lambda _: asks)
        two = on_target(Path(there, "workspace"), launcher, runs)
        try:
            for registry in (one, two):
                registry.refresh()
                alive = sum(view.state not in TERMINAL for view in registry.snapshot())
                assert alive == runs, (alive, {view.error for view in registry.snapshot()})
            pairs = [(looks(one, 1)[0], looks(two, 1)[0]) for _ in range(count)]
            first = told(f"{runs} runs on this machine", [pair[0] for pair in pairs])
            second = told(f"{runs} runs on a scheduler (a stand-in)", [pair[1] for pair in pairs])
            print(f"ratio: {second / first:.2f}; {squeue_calls(two, asks)}")
        finally:
            os.kill(holder, signal.SIGKILL)
            os.waitpid(holder, 0)


def real(runs: int, count: int) -> None:
    """The same of a real Slurm, and while it hangs."""
    cluster = SlurmCluster(cpus=64).start()
    try:
        with tempfile.TemporaryDirectory() as there:
            asks = SlurmJobs(Calls(str(cluster.conf)))
            launcher = slurm_launcher(cluster, asks, memory="20M")
            began = time.perf_counter()
            registry = on_target(Path(there, "workspace"), launcher, runs, load=600)
            single = time.perf_counter() - began
            names = [f"r{number}" for number in range(runs)]
            plans = [launcher.plan(plan_for(Path(there, "array"), name=name, load=600)) for name in names]
            tasks = [ArrayTask(plan, record_for(plan, launcher.name), {}) for plan in plans]
            began = time.perf_counter()
            outcome = launcher.submit_array(Array("lfdash-sweep-x", runs, Path(there, "array", "x.sh")), tasks)
            assert isinstance(outcome, tuple), outcome
            array = time.perf_counter() - began
            print(f"{runs} submissions: {single:.1f} s; as one array: {array:.1f} s; ratio: {array / single:.2f}")
            cluster.call("scancel", "--name=lfdash-sweep-x")
            registry.refresh()
            wait_for(lambda: "RUNNING" in {state for _, state, _ in cluster.jobs()})
            told(f"{runs} jobs in a real Slurm", looks(registry, count))
            print(squeue_calls(registry, asks))
            cluster.pause("slurmctld")
            time.sleep(asking.EVERY_S)
            before, began = asks.asked, time.monotonic()
            found = []
            while time.monotonic() - began < asking.STALE_S + asking.ASK_S:
                found += looks(registry, 1)
                time.sleep(0.5)
            told("the same while the controller hangs", found)
            print(f"{asks.asked - before} calls of squeue in {time.monotonic() - began:.0f} s; {asks.failure}")
            cluster.go_on("slurmctld")
    finally:
        cluster.stop()


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--looks", type=int, default=20)
    parser.add_argument("--real", type=int, default=0, metavar="JOBS", help="also so many jobs in a real Slurm")
    given = parser.parse_args(words)
    compare(given.runs, given.looks)
    if given.real:
        real(given.real, given.looks)


if __name__ == "__main__":
    main()
