"""A submission to Ray that is cut anywhere leaves exactly one job or none, and what is told of it is true."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from lfdash.launchers import folder
from lfdash.launchers.asking import CallError
from lfdash.launchers.base import Launched
from lfdash.launchers.ray import RayLauncher
from lfdash.launchers.ray_calls import Calls
from lfdash.launchers.ray_job import FILE
from lfdash.launchers.ray_jobs import RayJobs
from lfdash.outcomes import Refused
from lfdash.runs.paths import RunPaths
from lfdash.runs.record import Handle, RunRecord
from lfdash.supervisor.failpoints import VARIABLE
from lfdash.supervisor.remote import SEALED
from tests.support.clusters.launchers import ray_launcher, ray_target
from tests.support.clusters.ray import RayCluster
from tests.support.runs import ended, plan_for, record_for, wait_for

pytestmark = pytest.mark.clusters

SUBMIT = """
import sys
from dataclasses import dataclass
from pathlib import Path
from tests.support.clusters.launchers import ray_launcher
from tests.support.runs import plan_for, record_for
@dataclass
class Cluster:
    address: str
    token_file: str
launcher = ray_launcher(Cluster(sys.argv[1], sys.argv[2]))
plan = launcher.plan(plan_for(Path(sys.argv[3]), steps=1, secrets=("HF_TOKEN",)))
print(launcher.submit(plan, record_for(plan), {"HF_TOKEN": "abcdefgh"}))
"""
POINTS = {  # where it is killed -> how many jobs there are then
    "folder.draft_made": 0, "folder.before_rename": 0, "folder.after_rename": 0, "scheduler.sealed": 0,
    "scheduler.submitted": 1, "scheduler.noted": 1,
}


def left(workspace: Path) -> RunPaths:
    return RunPaths(workspace / "saves/m/lora/r1")


def adopted(launcher: RayLauncher, paths: RunPaths) -> Handle:
    return launcher.adopt(paths, RunRecord.from_json(paths.record.read_text()))


def starts(workspace: Path) -> int:
    console = left(workspace).console
    return console.read_text().count("started") if console.exists() else 0


@pytest.mark.parametrize("point", POINTS)
def test_killed_while_it_submits(
    ray_cluster: RayCluster, workspace: Path, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another dashboard finds the run, or nothing; it can then be submitted again, and runs exactly once."""
    monkeypatch.setattr("lfdash.launchers.watching.SUBMIT_S", 1.0)
    done = subprocess.run(
        [sys.executable, "-c", SUBMIT, ray_cluster.address, str(ray_cluster.token_file), str(workspace)],
        env={**os.environ, VARIABLE: f"{point}=kill"}, capture_output=True, text=True, timeout=60,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(ray_cluster.jobs(workspace)) == POINTS[point]
    launcher, paths = ray_launcher(ray_cluster), left(workspace)
    if paths.root.exists():
        handle = adopted(launcher, paths)
        wait_for(lambda: ended(launcher, handle), 30)
        status = launcher.poll(handle)
        if POINTS[point]:
            assert status.exit is not None and status.exit.code == 0
            assert len(ray_cluster.jobs(workspace)) == 1 and starts(workspace) == 1
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
    assert len(ray_cluster.jobs(workspace)) == 1 and starts(workspace) == 1


class Silent(Calls):
    """The answers to submissions are lost; the jobs may have been taken, or not."""

    taken = True
    lost = 1

    def submit(self, body: Mapping[str, Any], seconds: float = 20.0) -> bool:
        if Silent.lost == 0:
            return super().submit(body)
        Silent.lost -= 1
        if Silent.taken:
            super().submit(body)
        raise CallError("no answer within 20 s", silent=True)


@pytest.mark.parametrize(("taken", "lost"), [(True, 1), (False, 1), (True, 2), (False, 2)])
def test_a_submission_without_an_answer(
    ray_cluster: RayCluster, workspace: Path, taken: bool, lost: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same is asked again. Without any answer nothing is left, and a job that was taken starts nothing."""
    monkeypatch.setattr(Silent, "taken", taken)
    monkeypatch.setattr(Silent, "lost", lost)
    target = ray_target(ray_cluster)
    launcher = ray_launcher(ray_cluster, RayJobs(Silent(target.address, target.token_file)))
    plan = launcher.plan(plan_for(workspace, steps=1))
    outcome = launcher.submit(plan, record_for(plan), {})
    if lost == 1:
        assert isinstance(outcome, Launched)
        wait_for(lambda: ended(launcher, outcome.handle), 30)
        assert launcher.poll(outcome.handle).exit.code == 0
        assert len(ray_cluster.jobs(workspace)) == 1 and starts(workspace) == 1
        return
    assert outcome == Refused("scheduler_silent", {"reason": "no answer within 20 s"})
    assert not left(workspace).root.exists() and len(ray_cluster.jobs(workspace)) == int(taken)
    wait_for(lambda: all(row["status"] not in ("PENDING", "RUNNING") for row in ray_cluster.jobs(workspace)), 30)
    assert not left(workspace).console.exists()
    # Ray takes the last breath of the old one for that of the new one, which then starts nothing
    wait_for(lambda: not ray_cluster.processes("ray::JobSupervisor"), 90)
    outcome = launcher.submit(plan, record_for(plan), {})  # Ray has one of that id, which is over
    assert isinstance(outcome, Launched)
    wait_for(lambda: ended(launcher, outcome.handle), 30)
    assert launcher.poll(outcome.handle).exit.code == 0
    assert len(ray_cluster.jobs(workspace)) == 1 and starts(workspace) == 1


def test_a_job_of_another_plan_that_arrives_after_all_starts_nothing(
    ray_cluster: RayCluster, workspace: Path
) -> None:
    """Of a submission that was taken back, in the folder of the next one, which has the same name and number."""
    launcher, target = ray_launcher(ray_cluster), ray_target(ray_cluster)
    other = ray_launcher(ray_cluster, save_s=30).plan(plan_for(workspace, load=1))
    plan = launcher.plan(plan_for(workspace, load=1))
    outcome = launcher.submit(plan, record_for(plan), {})
    assert isinstance(outcome, Launched)
    body = yaml.safe_load(other.files[FILE])
    assert Calls(target.address, target.token_file).submit(body)
    wait_for(lambda: ended(launcher, outcome.handle), 30)
    wait_for(lambda: ray_cluster.job(body["submission_id"])["status"] == "FAILED", 30)
    assert "taken back" in outcome.handle.paths.attempt(1).shim_log.read_text()
    assert starts(workspace) == 1 and launcher.poll(outcome.handle).exit.code == 0


def test_two_jobs_for_one_attempt_run_once(ray_cluster: RayCluster, workspace: Path) -> None:
    """As after a head that forgot one, and was told again by hand."""
    launcher, target = ray_launcher(ray_cluster), ray_target(ray_cluster)
    plan = launcher.plan(plan_for(workspace, load=1))
    outcome = launcher.submit(plan, record_for(plan), {})
    assert isinstance(outcome, Launched)
    again = {**yaml.safe_load(plan.files[FILE]), "submission_id": "lfdash-again"}
    assert Calls(target.address, target.token_file).submit(again)
    wait_for(lambda: ended(launcher, outcome.handle), 30)

    def words() -> list[str]:
        return sorted(row["status"] for row in ray_cluster.jobs(workspace))

    wait_for(lambda: words() == ["FAILED", "SUCCEEDED"], 60)  # whichever came first
    assert starts(workspace) == 1


def test_one_that_is_given_up_waits_no_longer(ray_cluster: RayCluster, workspace: Path) -> None:
    """Its place in Ray's queue is one that others want: it is asked to be ended, and once it would begin it is."""
    launcher = ray_launcher(ray_cluster, cpus=8)
    plans = [launcher.plan(plan_for(workspace, name=name, load=600)) for name in ("a", "b", "r1")]
    handles = []
    for plan in plans:
        outcome = launcher.submit(plan, record_for(plan), {})
        assert isinstance(outcome, Launched)
        handles.append(outcome.handle)
        if len(handles) < 3:
            wait_for(lambda: launcher.poll(handles[-1]).phase == "running", 30)
    assert launcher.give_up(handles[2])
    job = yaml.safe_load(plans[2].files[FILE])["submission_id"]
    wait_for(lambda: launcher.poll(handles[2]).phase == "ended")
    for handle in handles[:2]:
        launcher.stop(handle, "kill")

    def is_over() -> bool:
        assert launcher.poll(handles[2]).phase == "ended"
        return ray_cluster.job(job)["status"] in ("STOPPED", "FAILED")

    wait_for(is_over, 40)
    assert starts(workspace) == 0


def test_the_same_run_in_a_copied_workspace_is_a_job_of_its_own(
    ray_cluster: RayCluster, workspace: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    launcher = ray_launcher(ray_cluster)
    for root in (workspace, copy):
        plan = launcher.plan(replace(plan_for(workspace, steps=1), cwd=str(root)))
        outcome = launcher.submit(plan, record_for(plan), {})
        assert isinstance(outcome, Launched), outcome
        wait_for(lambda handle=outcome.handle: ended(launcher, handle), 30)
        assert launcher.poll(outcome.handle).exit.code == 0
    assert len(ray_cluster.jobs(tmp_path)) == 2
