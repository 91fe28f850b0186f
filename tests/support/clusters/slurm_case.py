"""A Slurm that says what a test wants, and an attempt of a run there whose files a test writes."""

from __future__ import annotations

import json
import sys
import typing
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lfdash.launchers import slurm, watching
from lfdash.launchers.asking import CallError
from lfdash.launchers.base import Launched
from lfdash.launchers.slurm import SlurmLauncher
from lfdash.launchers.slurm_calls import Job
from lfdash.launchers.slurm_jobs import Snapshot
from lfdash.launchers.watching import SUBMIT_S
from lfdash.outcomes import Refused
from lfdash.runs.paths import AttemptPaths
from lfdash.runs.record import Handle, Status
from lfdash.supervisor.remote import BEAT
from lfdash.targets.target import Target
from tests.support.runs import plan_for, record_for

TARGET = Target("lab", "slurm", python=sys.executable, slurm_conf="/etc/lab.conf")
NAME = "lfdash-id-r1-1"


@dataclass
class Told:
    """A Slurm that says what a test wants. jobs: None = it does not answer."""

    now: float = 1000.0
    jobs: list[Job] | None = field(default_factory=list)
    wanted: list[tuple[str, str]] = field(default_factory=list)
    refuses: CallError | None = None
    submitted: list[tuple[str, str]] = field(default_factory=list)
    failure: str = ""
    accounts: Any = field(default_factory=lambda: SimpleNamespace(look=lambda *_: None, waits=lambda _: False))
    _last: tuple[Any, Snapshot] | None = None

    def clock(self) -> float:
        return self.now

    @property
    def calls(self) -> Any:
        return SimpleNamespace(submit=self.submit, jobs=lambda seconds=0.0: self.jobs or [])

    def submit(self, script: str, ticket: str, env: dict[str, str], seconds: float = 0.0) -> str:
        if self.refuses is not None:
            raise self.refuses
        self.submitted.append((script, ticket))
        return "7"

    def look(self) -> Snapshot | None:
        if self.jobs is None:
            return None
        made_of = (self.now, tuple(self.jobs))
        if self._last is None or self._last[0] != made_of:
            self._last = (made_of, Snapshot.of(self.now, self.jobs))
        return self._last[1]

    def says(self, word: str, reason: str = "", **more: Any) -> None:
        self.jobs = [Job("7", word, reason, name=NAME, **more)]
        self.now += 1.0

    def hurry(self) -> None:
        self.wanted.append(("hurry", ""))

    def cancel(self, *how: str) -> None:
        self.wanted.append(("cancel", how[0] or how[1]))

    def wake(self, *how: str) -> None:
        self.wanted.append(("wake", how[0] or how[1]))


@dataclass
class Case:
    """An attempt whose files a test writes."""

    told: Told
    launcher: SlurmLauncher
    handle: Handle

    @property
    def control(self) -> AttemptPaths:
        return self.handle.paths.attempt(1)

    def poll(self) -> Status:
        return self.launcher.poll(self.handle)

    def begin(self) -> None:
        self.control.child_reserve.rename(self.control.child)
        self.control.child.write_text(json.dumps({"started": 5.0}))

    def beat(self, count: int) -> None:
        (self.control.root / BEAT).write_text(json.dumps({"count": count, "seconds": float(count)}))

    def later(self, seconds: float) -> None:
        self.told.now += seconds


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    monkeypatch.setattr(slurm, "installed", lambda: True)
    return Told()


def launcher_of(told: Told, target: Target | Refused = TARGET) -> SlurmLauncher:
    return SlurmLauncher("slurm:lab", lambda name: target, jobs=lambda conf: typing.cast(Any, told), clock=told.clock)


@pytest.fixture
def case(told: Told, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    """An attempt that was submitted a while ago."""
    launcher = launcher_of(told)
    plan = launcher.plan(plan_for(workspace))
    outcome = launcher.submit(plan, record_for(plan), {})
    assert isinstance(outcome, Launched), outcome
    monkeypatch.setattr(watching, "SUBMIT_S", 0.0)
    told.now += SUBMIT_S
    return Case(told, launcher, outcome.handle)
