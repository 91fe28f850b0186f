"""What of a Ray may die while a run goes on: the run is told as it is, and never as a success that it was not."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from lfdash.launchers import asking, ray_jobs, watching
from lfdash.launchers.ray import RayLauncher
from lfdash.runs.diagnose import diagnose
from lfdash.runs.record import NO_HEART, Handle, RunRecord, RunState, Status
from lfdash.runs.view import judge
from lfdash.supervisor.processes import start_ticks
from tests.clusters.test_ray_runs import job_of
from tests.clusters.test_slurm_runs import submitted
from tests.support.clusters.launchers import ray_launcher
from tests.support.clusters.ray import CPUS, RayCluster
from tests.support.runs import members, plan_for, wait_for, wait_ready

pytestmark = pytest.mark.clusters
SEED = int(os.environ.get("LFDASH_SEED") or random.randrange(1_000_000))
STEPS, DELAY = 500, 0.02


@pytest.fixture
def moment(request: pytest.FixtureRequest) -> Iterator[random.Random]:
    """Random moments; a failure prints how they come again."""
    print(f"LFDASH_SEED={SEED}")
    yield random.Random(f"{SEED} {request.node.name}")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray is asked often, and does not answer after seconds already."""
    monkeypatch.setattr(asking, "EVERY_S", 0.5)
    monkeypatch.setattr(asking, "MOST_S", 2.0)
    monkeypatch.setattr(ray_jobs, "ASK_S", 3.0)
    monkeypatch.setattr(asking, "STALE_S", 3.0)


@pytest.fixture
def launcher(ray_cluster: RayCluster) -> RayLauncher:
    return ray_launcher(ray_cluster)


def seen(launcher: RayLauncher, handle: Handle, until: float) -> list[Status]:
    """What is told of a run until a moment, or its end; each look is quick."""
    found = []
    while time.monotonic() < until:
        began = time.monotonic()
        with suppress(OSError):
            found.append(launcher.poll(handle))
        assert time.monotonic() - began < asking.FIRST_S + 1, "Ray was waited for"
        if found and found[-1].phase in ("ended", "lost"):
            break
        time.sleep(0.1)
    return found


def the_end(launcher: RayLauncher, handle: Handle, seconds: float = 60) -> Status:
    """How a run ended; meanwhile Ray may not answer."""
    status = seen(launcher, handle, time.monotonic() + seconds)[-1]
    assert status.phase in ("ended", "lost"), status
    return status


def started(launcher: RayLauncher, workspace: Path) -> Handle:
    handle = submitted(launcher, plan_for(workspace, steps=STEPS, delay=DELAY))
    wait_ready(handle)
    return handle


def test_the_supervisor_is_killed(ray_cluster: RayCluster, launcher: RayLauncher, workspace: Path) -> None:
    """The trainer, which has a session of its own, is not left behind."""
    handle = started(launcher, workspace)
    os.kill(json.loads(handle.paths.attempt(1).child.read_text())["shim"], signal.SIGKILL)
    wait_for(lambda: members(handle) == [], 10)
    status = the_end(launcher, handle, 60)
    assert status.exit is not None and status.exit.code is None and "Ray: FAILED" in str(status.exit.error)
    assert judge(status, complete=False) is RunState.FAILED
    launcher.reap()
    ray_cluster.request("DELETE", f"/api/jobs/{job_of(handle)}")  # Ray has forgotten it
    later = ray_launcher(ray_cluster)
    adopted = later.adopt(handle.paths, RunRecord.from_json(handle.paths.record.read_text()))
    assert "Ray: FAILED" in str((the_end(later, adopted).exit or status.exit).error)


def test_every_process_of_it_is_killed(launcher: RayLauncher, workspace: Path) -> None:
    """Supervisor and trainer in one moment: what the memory of a node running out can do."""
    handle = started(launcher, workspace)
    child = json.loads(handle.paths.attempt(1).child.read_text())
    for pid in (child["shim"], child["child"]):
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: start_ticks(child["shim"]) is None)
    assert judge(the_end(launcher, handle, 60), complete=False) is RunState.FAILED


def test_the_job_supervisor_of_ray_is_killed(
    ray_cluster: RayCluster, launcher: RayLauncher, workspace: Path, moment: random.Random
) -> None:
    """What its memory monitor does. Ray ends the process group of the entry point, and the guard the rest."""
    handle = started(launcher, workspace)
    seen(launcher, handle, time.monotonic() + moment.uniform(0, 2))
    ray_cluster.kill("JobSupervisor")
    status = the_end(launcher, handle, 60)
    assert judge(status, complete=False) is RunState.FAILED and members(handle) == []
    found = diagnose([], None, str(status.exit and status.exit.error))
    assert found is not None and found.id == "ray_supervisor", status.exit


def on_second_node(cluster: RayCluster, workspace: Path) -> tuple[Handle, int]:
    """A run on the second node, and the raylet of that."""
    launcher = ray_launcher(cluster, cpus=CPUS)
    handles = [submitted(launcher, plan_for(workspace, name=n, steps=STEPS, delay=DELAY)) for n in ("a", "b")]
    for handle in handles:
        wait_ready(handle)
    second = cluster.second()
    return next(handle for handle in handles if cluster.is_below(handle, second)), second


def test_the_raylet_of_a_run_is_killed(
    ray_cluster: RayCluster, launcher: RayLauncher, workspace: Path, moment: random.Random
) -> None:
    """Ray says after a while that the node has died and the job FAILED; the run goes on, and its heart says so."""
    handle, second = on_second_node(ray_cluster, workspace)
    seen(launcher, handle, time.monotonic() + moment.uniform(0, 1))
    os.kill(second, signal.SIGKILL)
    wait_for(lambda: ray_cluster.job(job_of(handle))["status"] == "FAILED", 30)
    told = seen(launcher, handle, time.monotonic() + 60)
    assert {status.phase for status in told} <= {"running", "ended"}
    assert told[-1].exit is not None and (told[-1].exit.code, told[-1].exit.stop) == (0, ())
    assert handle.paths.console.read_text().count("started") == 1


def test_the_node_of_a_run_dies(
    ray_cluster: RayCluster, launcher: RayLauncher, workspace: Path, moment: random.Random
) -> None:
    handle, second = on_second_node(ray_cluster, workspace)
    seen(launcher, handle, time.monotonic() + moment.uniform(0, 1))
    ray_cluster.kill_node(second)
    status = the_end(launcher, handle, 60)
    assert judge(status, complete=False) is RunState.FAILED and members(handle) == []
    found = diagnose([], None, str(status.exit and status.exit.error))
    assert found is not None and found.id in ("ray_node", "ray_supervisor"), status.exit


def test_all_of_ray_dies_and_comes_back_without_its_past(
    ray_cluster: RayCluster, launcher: RayLauncher, workspace: Path, moment: random.Random
) -> None:
    """The run is over with it: its heart tells, before a head is there again and after."""
    handle = started(launcher, workspace)
    seen(launcher, handle, time.monotonic() + moment.uniform(0, 1))
    ray_cluster.kill_all()
    status = the_end(launcher, handle, 60)
    assert status.phase == "lost" and judge(status, complete=False) is RunState.LOST, status
    assert members(handle) == []
    ray_cluster.restart()
    later = ray_launcher(ray_cluster)
    adopted = later.adopt(handle.paths, RunRecord.from_json(handle.paths.record.read_text()))
    assert the_end(later, adopted, 60).phase == "lost"
    again = submitted(later, plan_for(workspace, name="r2", steps=1))
    status = the_end(later, again)
    assert status.exit is not None and status.exit.code == 0


def test_one_that_waits_is_not_started_by_the_next_head(
    ray_cluster: RayCluster, workspace: Path
) -> None:
    """A head that is started anew knows no job: one that waited there is told as never started."""
    launcher = ray_launcher(ray_cluster, cpus=CPUS + 1)
    handle = submitted(launcher, plan_for(workspace, load=600))
    wait_for(lambda: launcher.poll(handle).phase == "pending")
    ray_cluster.restart()
    status = the_end(launcher, handle, 60)
    assert status.unused and status.exit is not None and "knows no such job" in str(status.exit.error)
    assert launcher.give_up(handle) and not handle.paths.console.exists()


def test_a_dashboard_of_ray_that_hangs_keeps_nobody(
    ray_cluster: RayCluster, launcher: RayLauncher, workspace: Path
) -> None:
    """Not a look, not a stop; and the run that goes on is seen by its heart."""
    handle = submitted(launcher, plan_for(workspace, steps=100000, delay=0.01))
    wait_ready(handle)
    wait_for(lambda: (found := launcher.poll(handle).scheduled) and found.word == "RUNNING")
    with ray_cluster.paused("dashboard/dashboard.py"):
        told = seen(launcher, handle, time.monotonic() + 8)
        assert told[-1].phase == "running" and told[-1].scheduled is None and len(told) > 30
        began = time.monotonic()
        assert launcher.stop(handle, "graceful") is None
        assert time.monotonic() - began < 1
        status = the_end(launcher, handle, 20)
    assert status.exit is not None and (status.exit.code, status.exit.stop) == (0, ("graceful",))


def asleep(ray_cluster: RayCluster, launcher: RayLauncher, workspace: Path) -> tuple[Handle, int]:
    """A run whose supervisor sleeps, and its pid; what is told of it meanwhile."""
    handle = submitted(launcher, plan_for(workspace, steps=100000, delay=0.01))
    wait_ready(handle)
    shim = json.loads(handle.paths.attempt(1).child.read_text())["shim"]
    os.kill(shim, signal.SIGSTOP)
    wait_for(lambda: (said := launcher.poll(handle).scheduled) and said.reason == NO_HEART, 40)
    assert launcher.poll(handle).phase == "running", "its trainer goes on, and nobody may start another beside it"
    return handle, shim


def test_a_supervisor_that_sleeps_is_not_lost(
    ray_cluster: RayCluster, launcher: RayLauncher, workspace: Path
) -> None:
    """Ray says RUNNING of it for ever; its heart does not. When it beats again, nothing more is said."""
    handle, shim = asleep(ray_cluster, launcher, workspace)
    os.kill(shim, signal.SIGCONT)
    wait_for(lambda: (said := launcher.poll(handle).scheduled) and not said.reason, 20)
    assert launcher.stop(handle, "graceful") is None
    status = the_end(launcher, handle, 20)
    assert status.exit is not None and (status.exit.code, status.exit.stop) == (0, ("graceful",))


def test_a_supervisor_that_sleeps_is_ended_by_a_kill(
    ray_cluster: RayCluster, launcher: RayLauncher, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By Ray, with its trainer."""
    monkeypatch.setattr(watching, "KILL_S", 1.0)
    handle, _ = asleep(ray_cluster, launcher, workspace)
    assert launcher.stop(handle, "kill") is None
    the_end(launcher, handle, 90)
    wait_for(lambda: members(handle) == [], 20)
