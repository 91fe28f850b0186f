"""A folder of somebody else names a job of anybody: nothing of it is canceled, signalled or stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lfdash.launchers import watching
from lfdash.launchers.base import Launched
from lfdash.launchers.ray import RayLauncher
from lfdash.launchers.ray_calls import Job as RayJob
from lfdash.launchers.ray_jobs import Snapshot as RaySnapshot
from lfdash.launchers.slurm import SlurmLauncher
from lfdash.launchers.slurm_calls import Job
from lfdash.launchers.slurm_jobs import Snapshot
from lfdash.launchers.watching import KILL_S
from lfdash.runs.record import Handle
from lfdash.supervisor.records import give_up
from lfdash.targets.target import Target
from tests.support.runs import plan_for, record_for


class Scheduler:
    """Says of every job that it runs, and notes what is wanted of it."""

    failure = ""

    def __init__(self) -> None:
        self.now = 1000.0
        self.wanted: list[tuple[str, str]] = []
        self.job = ""
        self.slurm = True

    @property
    def calls(self) -> Scheduler:
        return self

    def submit(self, *what: Any) -> Any:
        return "7" if self.slurm else True

    def look(self) -> Any:
        if self.slurm:
            return Snapshot.of(self.now, [Job("7", "RUNNING", name=self.job)])
        return RaySnapshot(self.now, {self.job: RayJob(self.job, "RUNNING")})

    def hurry(self) -> None:
        """Nothing."""

    def cancel(self, *how: str) -> None:
        self.wanted.append(("cancel", how[0]))

    def wake(self, *how: str) -> None:
        self.wanted.append(("wake", how[0]))

    def stop(self, job: str) -> None:
        self.wanted.append(("stop", job))


@pytest.mark.parametrize("kind", ["slurm", "ray"])
@pytest.mark.parametrize("forged", [False, True])
@pytest.mark.parametrize("begun", [False, True])
def test_only_what_this_user_submitted_from_this_folder_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, forged: bool, begun: bool
) -> None:
    monkeypatch.setattr("lfdash.launchers.slurm.installed", lambda: True)
    scheduler = Scheduler()
    scheduler.slurm = kind == "slurm"
    target = Target("lab", "slurm") if scheduler.slurm else Target("lab", "ray", address="http://head:8265")
    make: Any = SlurmLauncher if scheduler.slurm else RayLauncher
    launcher = make(f"{kind}:lab", lambda name: target, jobs=lambda place: scheduler, clock=lambda: scheduler.now)
    plan = launcher.plan(plan_for(tmp_path))
    outcome = launcher.submit(plan, record_for(plan), {})
    assert isinstance(outcome, Launched)
    handle: Handle = outcome.handle
    control = handle.paths.attempt(1)
    spec = json.loads(control.spec.read_text())
    if forged:  # another's job, which this folder says is its own
        victim = {"name": "lfdash-victim-1"} if scheduler.slurm else {"job": "lfdash-victim-1-0123456789ab"}
        spec[kind] |= victim
        control.spec.write_text(json.dumps(spec))
        launcher.release(handle, 0)
    scheduler.job = spec[kind].get("job") or spec[kind].get("name") or f"lfdash-{plan.run_id}-1"
    monkeypatch.setattr(watching, "SUBMIT_S", 0.0)
    if begun:
        control.child_reserve.rename(control.child)
        (control.root / "armed").rename(control.root / "stop.kill")
    else:
        assert give_up(str(control.root))
    for _ in range(3):
        scheduler.now += KILL_S
        launcher.poll(handle)
    wanted = {("cancel", "7")} if scheduler.slurm else {("stop", scheduler.job)}
    assert set(scheduler.wanted) == (set() if forged else wanted)
