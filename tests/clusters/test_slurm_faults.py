"""What of a Slurm may die while a run goes on: the run is told as it is, and never as a success that it was not."""

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

from lfdash.launchers import asking, slurm_calls, slurm_jobs
from lfdash.launchers.slurm import SlurmLauncher
from lfdash.runs.record import Handle, RunRecord, RunState, Scheduled, Status, read_exit
from lfdash.runs.view import judge
from lfdash.supervisor.processes import start_ticks
from tests.clusters.test_slurm_runs import full, submitted
from tests.support.clusters.launchers import slurm_launcher
from tests.support.clusters.slurm import SlurmCluster
from tests.support.runs import members, plan_for, wait_for, wait_ready

pytestmark = pytest.mark.clusters
SEED = int(os.environ.get("LFDASH_SEED") or random.randrange(1_000_000))
STEPS, DELAY = 700, 0.02
SAVED_S = 7.0  # after which the controller has surely saved a job (it does every five seconds)


@pytest.fixture
def moment(request: pytest.FixtureRequest) -> Iterator[random.Random]:
    """Random moments; a failure prints how they come again."""
    print(f"LFDASH_SEED={SEED}")
    yield random.Random(f"{SEED} {request.node.name}")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slurm is asked often, and does not answer after seconds already."""
    monkeypatch.setattr(asking, "EVERY_S", 0.5)
    monkeypatch.setattr(asking, "MOST_S", 2.0)
    monkeypatch.setattr(slurm_jobs, "ASK_S", 3.0)
    monkeypatch.setattr(asking, "STALE_S", 3.0)
    monkeypatch.setattr(slurm_calls, "CALL_S", 3.0)


def seen(launcher: SlurmLauncher, handle: Handle, until: float) -> list[Status]:
    """What is told of a run until a moment, or its end; each look is quick."""
    found = []
    while time.monotonic() < until:
        began = time.monotonic()
        with suppress(OSError):
            found.append(launcher.poll(handle))
        assert time.monotonic() - began < asking.FIRST_S + 1, "Slurm was waited for"
        if found and found[-1].phase in ("ended", "lost"):
            break
        time.sleep(0.1)
    return found


def the_end(launcher: SlurmLauncher, handle: Handle, seconds: float = 60) -> Status:
    """How a run ended; meanwhile Slurm may not answer."""
    status = seen(launcher, handle, time.monotonic() + seconds)[-1]
    assert status.phase in ("ended", "lost"), status
    return status


def started(launcher: SlurmLauncher, workspace: Path) -> Handle:
    handle = submitted(launcher, plan_for(workspace, steps=STEPS, delay=DELAY))
    wait_ready(handle)
    return handle


def is_true_to_the_end(launcher: SlurmLauncher, handle: Handle, told: list[Status]) -> None:
    """It was seen running all the time, and then with the exit code that it had."""
    assert {status.phase for status in told} <= {"pending", "starting", "running", "ended"}
    status = the_end(launcher, handle, 60)
    assert status.exit is not None and (status.exit.code, status.exit.stop) == (0, ())
    assert handle.paths.console.read_text().count("started") == 1


@pytest.mark.parametrize("name", ["slurmctld", "n1"])
def test_a_daemon_is_killed_and_comes_back(
    cluster: SlurmCluster, launcher: SlurmLauncher, workspace: Path, moment: random.Random, name: str
) -> None:
    handle = started(launcher, workspace)
    told = seen(launcher, handle, time.monotonic() + moment.uniform(SAVED_S, SAVED_S + 2))
    cluster.kill(name)
    told += seen(launcher, handle, time.monotonic() + moment.uniform(0, 3))
    cluster.start_controller() if name == "slurmctld" else cluster.start_node(name)
    told += seen(launcher, handle, time.monotonic() + 2)
    is_true_to_the_end(launcher, handle, told)


def test_the_controller_is_killed_right_after_a_submission(
    cluster: SlurmCluster, launcher: SlurmLauncher, workspace: Path, moment: random.Random
) -> None:
    """It may have saved the job or not. Then nobody starts it, or it starts once, and goes on or is ended by Slurm."""
    handle = submitted(launcher, plan_for(workspace, steps=STEPS, delay=DELAY))
    time.sleep(moment.uniform(0, 1.5))
    cluster.kill("slurmctld")
    cluster.start_controller()
    status = the_end(launcher, handle, 100)
    assert members(handle) == []
    if status.unused:
        assert launcher.give_up(handle) and not handle.paths.console.exists()
    else:
        assert handle.paths.console.read_text().count("started") == 1
    done = handle.paths.trainer_state.exists()
    assert (judge(status, complete=False) is RunState.SUCCEEDED) is done


def test_a_controller_that_hangs_keeps_nobody(
    cluster: SlurmCluster, launcher: SlurmLauncher, workspace: Path
) -> None:
    """Not a look, not a stop; and the run that goes on is seen by its heart."""
    handle = submitted(launcher, plan_for(workspace, steps=100000, delay=0.01))
    wait_ready(handle)
    wait_for(lambda: (found := launcher.poll(handle).scheduled) and found.word == "RUNNING")
    cluster.pause("slurmctld")
    told = seen(launcher, handle, time.monotonic() + 8)
    assert told[-1].phase == "running" and told[-1].scheduled is None and len(told) > 30
    began = time.monotonic()
    assert launcher.stop(handle, "graceful") is None
    assert time.monotonic() - began < 1
    status = the_end(launcher, handle, 20)
    assert status.exit is not None and (status.exit.code, status.exit.stop) == (0, ("graceful",))


def test_one_that_waits_is_not_known_while_the_controller_hangs(
    cluster: SlurmCluster, launcher: SlurmLauncher, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lfdash.launchers.watching.SUBMIT_S", 0.0)
    full(launcher, workspace)
    handle = submitted(launcher, plan_for(workspace, load=600))
    wait_for(lambda: launcher.poll(handle).phase == "pending")
    cluster.pause("slurmctld")

    def unseen() -> str:
        try:
            launcher.poll(handle)
        except OSError as error:
            return str(error)
        return ""

    wait_for(lambda: "Slurm has not answered: squeue did not answer" in unseen(), 30)
    cluster.go_on("slurmctld")
    wait_for(lambda: not unseen() and launcher.poll(handle).phase == "pending", 30)


def test_the_supervisor_is_killed(cluster: SlurmCluster, launcher: SlurmLauncher, workspace: Path) -> None:
    handle = started(launcher, workspace)
    os.kill(json.loads(handle.paths.attempt(1).child.read_text())["shim"], signal.SIGKILL)
    status = the_end(launcher, handle, 60)
    assert status.exit is not None and status.exit.code is None and "Slurm: FAILED" in str(status.exit.error)
    assert judge(status, complete=False) is RunState.FAILED and members(handle) == []
    launcher.reap()
    later = slurm_launcher(cluster)
    cluster.kill("slurmctld")
    (cluster.folder / "state" / "job_state").unlink()  # Slurm has forgotten it
    cluster.start_controller()
    adopted = later.adopt(handle.paths, RunRecord.from_json(handle.paths.record.read_text()))
    status = the_end(later, adopted)
    assert "Slurm: FAILED" in str(status.exit and status.exit.error)


def test_the_step_daemon_is_killed(cluster: SlurmCluster, launcher: SlurmLauncher, workspace: Path) -> None:
    """Slurm loses sight of the job; the run goes on, and so does its heart. Or it is ended, and told as that."""
    handle = started(launcher, workspace)
    job = wait_for(lambda: launcher.poll(handle).scheduled).job
    for pid in wait_for(lambda: cluster.step_daemons(job)):
        os.kill(pid, signal.SIGKILL)
    status = the_end(launcher, handle, 90)
    assert status.exit is not None
    assert status.exit.code == 0 or judge(status, complete=False) in (RunState.FAILED, RunState.STOPPED)
    assert handle.paths.console.read_text().count("started") == 1
    assert members(handle) == []


def placed(launcher: SlurmLauncher, workspace: Path) -> tuple[Handle, Scheduled]:
    """A run that goes on, and what Slurm says of it once it tells the node."""
    handle = submitted(launcher, plan_for(workspace, steps=100000, delay=0.01))
    wait_ready(handle)
    return handle, wait_for(lambda: (s := launcher.poll(handle).scheduled) and s.nodes and s)


def test_a_node_that_slurm_has_lost_still_runs(
    cluster: SlurmCluster, launcher: SlurmLauncher, workspace: Path
) -> None:
    """Its slurmd is dead for longer than Slurm waits: NODE_FAIL is what Slurm says, but the heart beats."""
    handle, told = placed(launcher, workspace)
    job = told.job
    cluster.kill(told.nodes)
    wait_for(lambda: "JobState=NODE_FAIL" in cluster.show(job), 90)
    looks = seen(launcher, handle, time.monotonic() + 3)
    assert looks and {status.phase for status in looks} == {"running"}
    launcher.stop(handle, "kill")
    status = the_end(launcher, handle, 60)
    assert status.exit is not None and status.exit.stop == ("kill",)


def test_a_drained_node_lets_its_run_end_and_says_why_others_wait(
    cluster: SlurmCluster, launcher: SlurmLauncher, workspace: Path
) -> None:
    handle = started(launcher, workspace)
    for name in ("n1", "n2"):
        cluster.call("scontrol", "update", f"nodename={name}", "state=drain", "reason=test")
    waiting = submitted(launcher, plan_for(workspace, name="r2", steps=1))
    status = wait_for(lambda: (s := launcher.poll(waiting)).scheduled and s.scheduled.reason and s)
    assert status.phase == "pending" and "node" in status.scheduled.reason.lower()
    is_true_to_the_end(launcher, handle, [launcher.poll(handle)])
    for name in ("n1", "n2"):
        cluster.call("scontrol", "update", f"nodename={name}", "state=resume")
    assert the_end(launcher, waiting, 60).exit.code == 0


def test_every_process_of_it_is_killed(cluster: SlurmCluster, launcher: SlurmLauncher, workspace: Path) -> None:
    """Supervisor and trainer in one moment: what the memory of a node running out can do."""
    handle = started(launcher, workspace)
    child = json.loads(handle.paths.attempt(1).child.read_text())
    for pid in (child["shim"], child["child"]):
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: start_ticks(child["shim"]) is None)
    status = the_end(launcher, handle, 60)
    assert judge(status, complete=False) is RunState.FAILED


def test_a_node_that_slurm_gives_up_is_a_failure_even_where_the_run_could_save(
    cluster: SlurmCluster, launcher: SlurmLauncher, workspace: Path
) -> None:
    """Its supervisor gets a signal and ends well; only Slurm knows that nobody wanted that."""
    handle, told = placed(launcher, workspace)
    cluster.call("scontrol", "update", f"nodename={told.nodes}", "state=down", "reason=test")
    status = the_end(launcher, handle, 60)
    assert read_exit(handle).by == "signal" and judge(status, complete=False) is RunState.FAILED
    assert str(status.exit.error).startswith("Slurm: NODE_FAIL")
    launcher.reap()
    assert slurm_launcher(cluster).poll(handle) == status
