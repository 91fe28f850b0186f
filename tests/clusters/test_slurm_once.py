"""A submission that is cut anywhere leaves exactly one job or none, and what is told of it is true."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lfdash.launchers import folder
from lfdash.launchers.asking import CallError
from lfdash.launchers.base import Launched
from lfdash.launchers.local import has_begun
from lfdash.launchers.slurm import SlurmLauncher
from lfdash.launchers.slurm_calls import Calls
from lfdash.launchers.slurm_jobs import SlurmJobs
from lfdash.launchers.slurm_script import FILE
from lfdash.launchers.watching import JOB
from lfdash.outcomes import Refused
from lfdash.runs.paths import RunPaths
from lfdash.runs.record import Handle, RunRecord
from lfdash.supervisor.failpoints import VARIABLE
from lfdash.supervisor.remote import SEALED, TICKET
from tests.support.clusters.launchers import slurm_launcher
from tests.support.clusters.slurm import SlurmCluster
from tests.support.runs import ended, plan_for, record_for, wait_for

pytestmark = pytest.mark.clusters

SUBMIT = """
import sys
from dataclasses import dataclass
from pathlib import Path
from tests.support.clusters.launchers import slurm_launcher
from tests.support.runs import plan_for, record_for
@dataclass
class Cluster:
    conf: str
launcher = slurm_launcher(Cluster(sys.argv[1]))
plan = launcher.plan(plan_for(Path(sys.argv[2]), steps=1, secrets=("HF_TOKEN",)))
print(launcher.submit(plan, record_for(plan), {"HF_TOKEN": "abcdefgh"}))
"""
POINTS = {  # where it is killed -> how many jobs there are then
    "folder.draft_made": 0, "folder.before_rename": 0, "folder.after_rename": 0, "scheduler.sealed": 0,
    "scheduler.submitted": 1, "scheduler.noted": 1,
}


def killed_at(point: str, cluster: SlurmCluster, workspace: Path) -> None:
    """A process that submits, killed at a point."""
    done = subprocess.run(
        [sys.executable, "-c", SUBMIT, str(cluster.conf), str(workspace)],
        env={**os.environ, VARIABLE: f"{point}=kill"}, capture_output=True, text=True, timeout=60,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def left(workspace: Path) -> RunPaths:
    return RunPaths(workspace / "saves/m/lora/r1")


def adopted(launcher: SlurmLauncher, paths: RunPaths) -> Handle:
    return launcher.adopt(paths, RunRecord.from_json(paths.record.read_text()))


def jobs_of(cluster: SlurmCluster) -> list[str]:
    return [job for job, _, name in cluster.jobs() if name == "lfdash-id-r1-1"]


@pytest.fixture(autouse=True)
def fresh(cluster: SlurmCluster) -> set[str]:
    """The jobs of earlier tests, which Slurm still remembers."""
    return set(jobs_of(cluster))


@pytest.mark.parametrize("point", POINTS)
def test_killed_while_it_submits(
    cluster: SlurmCluster, workspace: Path, fresh: set[str], point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another dashboard finds the run, or nothing; it can then be submitted again, and runs exactly once."""
    monkeypatch.setattr("lfdash.launchers.watching.SUBMIT_S", 1.0)
    killed_at(point, cluster, workspace)
    assert len(set(jobs_of(cluster)) - fresh) == POINTS[point]
    launcher, paths = slurm_launcher(cluster), left(workspace)
    if not paths.root.exists():
        assert POINTS[point] == 0
    else:
        handle = adopted(launcher, paths)
        wait_for(lambda: ended(launcher, handle), 30)
        status = launcher.poll(handle)
        if POINTS[point]:
            assert status.exit is not None and status.exit.code == 0
            assert len(set(jobs_of(cluster)) - fresh) == 1
            return
        assert status.unused and launcher.give_up(handle)
        assert not (paths.attempt(1).root / SEALED).exists()
        folder.undo(paths, plan_for(workspace))
    plan = launcher.plan(plan_for(workspace, steps=1))
    outcome = launcher.submit(plan, record_for(plan), {})
    assert isinstance(outcome, Launched)
    wait_for(lambda: ended(launcher, outcome.handle), 30)
    status = launcher.poll(outcome.handle)
    assert status.exit is not None and status.exit.code == 0
    assert len(set(jobs_of(cluster)) - fresh) == 1


class Silent(Calls):
    """sbatch is ended before it has answered; the job may have been taken, or not."""

    taken = True

    def submit(self, script: str, comment: str, more: object, seconds: float = 0.0) -> str:
        if self.taken:
            super().submit(script, comment, more)  # type: ignore[arg-type]
        raise CallError("sbatch did not answer within 20 s", silent=True)


@pytest.mark.parametrize("taken", [True, False])
def test_a_submission_without_an_answer(
    cluster: SlurmCluster, workspace: Path, fresh: set[str], taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Silent, "taken", taken)
    launcher = slurm_launcher(cluster, SlurmJobs(Silent(str(cluster.conf))))
    plan = launcher.plan(plan_for(workspace, steps=1))
    outcome = launcher.submit(plan, record_for(plan), {})
    if taken:
        assert isinstance(outcome, Launched)
        wait_for(lambda: ended(launcher, outcome.handle), 30)
        assert launcher.poll(outcome.handle).exit.code == 0
    else:
        assert outcome == Refused("scheduler_silent", {"reason": "sbatch did not answer within 20 s"})
        assert not left(workspace).root.exists()
    assert len(set(jobs_of(cluster)) - fresh) == int(taken)


def test_a_job_that_arrives_after_all_starts_nothing(
    cluster: SlurmCluster, workspace: Path, fresh: set[str]
) -> None:
    """Of a submission that was taken back, in the folder of the next one, which has the same name and number."""
    launcher = slurm_launcher(cluster)
    plan = launcher.plan(plan_for(workspace, load=1, dump=1))
    outcome = launcher.submit(plan, record_for(plan), {})
    assert isinstance(outcome, Launched)
    script = outcome.handle.paths.root / FILE
    late = Calls(str(cluster.conf)).submit(str(script), "old", {TICKET: "of an earlier submission"})
    wait_for(lambda: ended(launcher, outcome.handle), 30)
    wait_for(lambda: next(state for job, state, _ in cluster.jobs() if job == late) in ("FAILED", "COMPLETED"), 30)
    assert "taken back" in outcome.handle.paths.attempt(1).shim_log.read_text()
    assert outcome.handle.paths.console.read_text().count("started") == 1
    assert launcher.poll(outcome.handle).exit.code == 0


def test_two_jobs_for_one_attempt_run_once(cluster: SlurmCluster, workspace: Path) -> None:
    """As after a controller that forgot one, and was told again by hand."""
    launcher = slurm_launcher(cluster)
    plan = launcher.plan(plan_for(workspace, load=1))
    outcome = launcher.submit(plan, record_for(plan), {})
    assert isinstance(outcome, Launched)
    again = Calls(str(cluster.conf)).submit(str(outcome.handle.paths.root / FILE), "x", {})
    wait_for(lambda: ended(launcher, outcome.handle), 30)
    wait_for(lambda: next(state for job, state, _ in cluster.jobs() if job == again) in ("FAILED", "COMPLETED"), 30)
    assert outcome.handle.paths.console.read_text().count("started") == 1


def test_one_whose_number_was_lost_is_found_by_its_name(cluster: SlurmCluster, workspace: Path) -> None:
    launcher = slurm_launcher(cluster)
    plan = launcher.plan(plan_for(workspace, load=600))
    outcome = launcher.submit(plan, record_for(plan), {})
    assert isinstance(outcome, Launched)
    (outcome.handle.paths.attempt(1).root / JOB).unlink()
    other = slurm_launcher(cluster)
    handle = adopted(other, outcome.handle.paths)
    wait_for(lambda: (found := other.poll(handle).scheduled) and found.word == "RUNNING", 30)
    other.stop(handle, "kill")
    wait_for(lambda: ended(other, handle), 30)


def test_one_that_is_given_up_waits_no_longer(cluster: SlurmCluster, workspace: Path) -> None:
    """Its job has a place in Slurm's queue that others want."""
    launcher = slurm_launcher(cluster, memory="4000M")
    for name in ("a", "b"):
        plan = launcher.plan(plan_for(workspace, name=name, load=600))
        launcher.submit(plan, record_for(plan), {})
    wait_for(lambda: [state for _, state, _ in cluster.jobs()].count("RUNNING") == 2)
    plan = launcher.plan(plan_for(workspace, load=600))
    outcome = launcher.submit(plan, record_for(plan), {})
    assert isinstance(outcome, Launched)
    assert launcher.give_up(outcome.handle)
    end = time.monotonic() + 30
    while ("CANCELLED", "lfdash-id-r1-1") not in [job[1:] for job in cluster.jobs()]:
        assert launcher.poll(outcome.handle).phase == "ended" and time.monotonic() < end
        time.sleep(0.1)




@pytest.mark.parametrize("answer", ["refused", "taken", "silent"])
def test_who_slept_while_another_dashboard_submitted_it_anew_takes_nothing_away(
    cluster: SlurmCluster, workspace: Path, fresh: set[str], answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder has the same name, run and attempt; the training in it is the other's."""
    launcher, other = slurm_launcher(cluster), slurm_launcher(cluster)
    plan, paths, taken = launcher.plan(plan_for(workspace, load=600)), left(workspace), Calls.submit

    def submit(calls: Calls, *words: object) -> str:
        """What happened while this process was paused: the other one saw no job for long (engine/taking_back.py)."""
        monkeypatch.undo()
        assert other.give_up(adopted(other, paths))
        folder.take_away(paths, plan.run_id, 1)
        assert isinstance(other.submit(plan, record_for(plan), {}), Launched)
        wait_for(lambda: other.poll(adopted(other, paths)).phase == "running", 30)
        if answer == "taken":
            return taken(calls, *words)  # type: ignore[arg-type]
        raise CallError("no", silent=answer == "silent")

    monkeypatch.setattr(Calls, "submit", submit)
    outcome = launcher.submit(plan, record_for(plan), {})
    assert isinstance(outcome, Launched)
    handle = adopted(other, paths)
    number = json.loads((paths.attempt(1).root / JOB).read_text())["id"]
    mine = {job for job, state, _ in cluster.jobs() if state == "RUNNING"}
    wait_for(lambda: {job for job, state, _ in cluster.jobs() if state in ("RUNNING", "PENDING")} == {number}, 30)
    assert number in mine and other.poll(handle).phase == launcher.poll(outcome.handle).phase == "running"
    assert launcher.stop(outcome.handle, "kill") is None
    wait_for(lambda: ended(other, handle), 30)
    assert paths.console.read_text().count("started") == 1


def test_a_job_that_began_though_it_was_refused_is_a_run(
    cluster: SlurmCluster, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is taken away from a training."""
    launcher, taken = slurm_launcher(cluster), Calls.submit
    plan = launcher.plan(plan_for(workspace, load=600))

    def submit(calls: Calls, *words: object) -> str:
        taken(calls, *words)  # type: ignore[arg-type]
        wait_for(lambda: has_begun(left(workspace).attempt(1)), 30)
        raise CallError("no")

    monkeypatch.setattr(Calls, "submit", submit)
    outcome = launcher.submit(plan, record_for(plan), {})
    assert isinstance(outcome, Launched)
    wait_for(lambda: launcher.poll(outcome.handle).phase == "running", 30)
    launcher.stop(outcome.handle, "kill")
    wait_for(lambda: ended(launcher, outcome.handle), 30)
