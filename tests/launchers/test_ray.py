"""What the launcher for Ray makes of files, of a heart, and of what Ray says. The real one: tests/clusters."""

from __future__ import annotations

import json
import shutil
import sys
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from lfdash.launchers import pulse, watching
from lfdash.launchers.asking import CallError
from lfdash.launchers.base import Launched
from lfdash.launchers.ray import RayLauncher
from lfdash.launchers.ray_calls import Job
from lfdash.launchers.ray_job import FILE
from lfdash.launchers.ray_jobs import OVER, Snapshot
from lfdash.launchers.watching import AWAY_S, GONE_S, JOB, KILL_S, KILLED_S, LAST, LOST_S, SETTLE_S, SUBMIT_S
from lfdash.outcomes import Refused
from lfdash.runs.paths import AttemptPaths, RunPaths
from lfdash.runs.record import NO_HEART, Handle, RunRecord, RunState, Scheduled, Status
from lfdash.runs.view import judge
from lfdash.supervisor.remote import BEAT, SEALED
from lfdash.targets.target import Target
from tests.support.runs import plan_for, record_for

TARGET = Target("pool", "ray", python=sys.executable, address="http://head:8265", token_file="/home/me/token")
SILENT = CallError("head:8265: no answer within 20 s", silent=True)


@dataclass
class Told:
    """A Ray that says what a test wants, for its jobs and for its calls. has: None = it does not answer. refuses: what
    becomes of the next submissions."""

    now: float = 1000.0
    has: dict[str, Job] | None = field(default_factory=dict)
    refuses: list[CallError] = field(default_factory=list)
    bodies: list[Mapping[str, Any]] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    failure: str = ""
    _last: tuple[Any, Snapshot] | None = None

    @property
    def calls(self) -> Told:
        return self

    def clock(self) -> float:
        return self.now

    def look(self) -> Snapshot | None:
        if self.has is None:
            return None
        made_of = (self.now, tuple(self.has.values()))
        if self._last is None or self._last[0] != made_of:
            self._last = (made_of, Snapshot(self.now, dict(self.has)))
        return self._last[1]

    def submit(self, body: Mapping[str, Any], seconds: float = 0.0) -> bool:
        self.bodies.append(body)
        if self.refuses:
            raise self.refuses.pop(0)
        assert self.has is not None
        return body["submission_id"] not in self.has

    def find(self, job: str, seconds: float = 0.0) -> Job | None:
        return (self.has or {}).get(job)

    def delete(self, job: str, seconds: float = 0.0) -> None:
        self.deleted.append(job)
        assert self.has is not None
        del self.has[job]

    def stop(self, job: str) -> None:
        self.stopped.append(job)

    def hurry(self) -> None:
        """Nothing."""


@dataclass
class Case:
    """An attempt whose files a test writes."""

    told: Told
    launcher: RayLauncher
    handle: Handle

    @property
    def control(self) -> AttemptPaths:
        return self.handle.paths.attempt(1)

    @property
    def job(self) -> str:
        return str(json.loads(self.control.spec.read_text())["ray"]["job"])

    def poll(self) -> Status:
        return self.launcher.poll(self.handle)

    def says(self, word: str, reason: str = "") -> None:
        self.told.has = {self.job: Job(self.job, word, reason)} if word else {}
        self.told.now += 1.0

    def begin(self) -> None:
        self.control.child_reserve.rename(self.control.child)
        self.control.child.write_text(json.dumps({"started": 5.0}))

    def beat(self, count: int) -> None:
        (self.control.root / BEAT).write_text(json.dumps({"count": count, "seconds": float(count)}))

    def later(self, seconds: float) -> None:
        self.told.now += seconds


def launcher_of(told: Told, target: Target | Refused = TARGET) -> RayLauncher:
    return RayLauncher("ray:pool", lambda name: target, jobs=lambda calls: typing.cast(Any, told), clock=told.clock)


def submitted(told: Told, workspace: Path, **more: Any) -> Case:
    launcher = launcher_of(told)
    plan = launcher.plan(plan_for(workspace, **more))
    outcome = launcher.submit(plan, record_for(plan), dict.fromkeys(plan.secrets, "abcdefgh"))
    assert isinstance(outcome, Launched), outcome
    return Case(told, launcher, outcome.handle)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def case(told: Told, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    """An attempt that was submitted a while ago."""
    made = submitted(told, workspace)
    monkeypatch.setattr(watching, "SUBMIT_S", 0.0)
    told.now += SUBMIT_S
    return made


# -- submitting ----------------------------------------------------------------------------------------


def test_what_is_previewed_is_what_is_sent(told: Told, workspace: Path) -> None:
    case = submitted(told, workspace, secrets=("HF_TOKEN",))
    (body,) = told.bodies
    assert yaml.safe_load((case.handle.paths.root / FILE).read_text()) == body
    spec = json.loads(case.control.spec.read_text())
    assert body["submission_id"] == spec["ray"]["job"] and spec["ray"]["job"].endswith(spec["ticket"])
    assert (spec["guard"], spec["sealed"], spec["ray"]["address"]) == (True, ["HF_TOKEN"], TARGET.address)
    assert (case.control.root / SEALED).stat().st_mode & 0o777 == 0o600
    assert "abcdefgh" not in json.dumps(body) + json.dumps(spec)


@pytest.mark.parametrize(
    ("errors", "code"),
    [([CallError("no")], "scheduler_refused"), ([SILENT, SILENT], "scheduler_silent"),
     ([SILENT, CallError("no")], "scheduler_refused")],
)
def test_what_is_refused_leaves_nothing(told: Told, workspace: Path, errors: list[CallError], code: str) -> None:
    told.refuses = list(errors)
    launcher = launcher_of(told)
    plan = launcher.plan(plan_for(workspace, secrets=("HF_TOKEN",)))
    outcome = launcher.submit(plan, record_for(plan), {"HF_TOKEN": "abcdefgh"})
    assert isinstance(outcome, Refused) and (outcome.code, outcome.params["reason"]) == (code, str(errors[-1]))
    assert list((workspace / "saves/m/lora").iterdir()) == []


@pytest.mark.parametrize("word", ["RUNNING", "SUCCEEDED", "FAILED"])
def test_an_answer_that_was_lost_is_asked_for_again(told: Told, workspace: Path, word: str) -> None:
    """Ray has it. One that is over may be of an earlier making: it is made anew, and would begin nothing twice."""
    launcher = launcher_of(told)
    plan = launcher.plan(plan_for(workspace))
    job = yaml.safe_load(plan.files[FILE])["submission_id"]
    told.refuses, told.has = [SILENT], {job: Job(job, word)}
    assert isinstance(launcher.submit(plan, record_for(plan), {}), Launched)
    over = word in OVER
    assert (len(told.bodies), told.deleted) == ((3, [job]) if over else (2, []))


@pytest.mark.parametrize("word", ["PENDING", "FAILED"])
def test_ray_has_a_job_of_an_earlier_making(told: Told, workspace: Path, word: str) -> None:
    """One that waits will do; one that is over makes room."""
    launcher = launcher_of(told)
    plan = launcher.plan(plan_for(workspace))
    job = yaml.safe_load(plan.files[FILE])["submission_id"]
    told.has = {job: Job(job, word)}
    assert isinstance(launcher.submit(plan, record_for(plan), {}), Launched)
    assert told.deleted == ([job] if word in OVER else [])


def test_without_a_target_nothing_starts(told: Told, workspace: Path) -> None:
    gone = Refused("target_unknown", {"name": "pool", "file": "x"})
    launcher = launcher_of(told, gone)
    plan = launcher.plan(plan_for(workspace))
    assert plan.script == "" and launcher.submit(plan, record_for(plan), {}) == gone
    plan = launcher_of(told).plan(plan_for(workspace))
    assert launcher_of(told, Target("pool", "ray", address="http://other")).submit(plan, record_for(plan), {}) == (
        Refused("target_differs", {"name": "pool"})
    )
    assert not (workspace / "saves").exists() and told.bodies == []


# -- before it begins ----------------------------------------------------------------------------------


def test_one_that_waits(case: Case) -> None:
    case.says("PENDING", "waiting for resources")
    status = case.poll()
    assert status.phase == "pending"
    assert status.scheduled == Scheduled("ray", case.job, "PENDING", "waiting for resources")
    case.says("RUNNING", "Job is currently running")
    status = case.poll()
    assert status.phase == "starting" and status.scheduled == Scheduled("ray", case.job, "RUNNING")
    case.says("SOMETHING_NEW")
    assert case.poll().phase == "starting", "nothing is over without evidence"


@pytest.mark.parametrize(
    ("word", "by", "unused", "state"),
    [("FAILED", None, True, RunState.FAILED), ("STOPPED", "signal", False, RunState.STOPPED)],
)
def test_one_that_is_over_before_it_began(
    case: Case, word: str, by: str | None, unused: bool, state: RunState
) -> None:
    case.says(word, "because")
    assert case.poll().phase == "starting", "files may come late"
    case.later(SETTLE_S + 1)
    status = case.poll()
    assert status.exit is not None and (status.exit.by, status.unused) == (by, unused)
    assert str(status.exit.error) == f"Ray: {word} (because)" and judge(status, complete=False) is state


def test_a_head_that_knows_it_not(case: Case) -> None:
    case.says("")
    assert case.poll().phase == "starting"
    case.later(SETTLE_S + 1)
    assert case.poll().phase == "starting"
    case.later(GONE_S)
    status = case.poll()
    assert status.unused and "knows no such job" in str(status.exit and status.exit.error)


def test_a_head_that_does_not_answer(case: Case) -> None:
    case.told.has, case.told.failure = None, "head:8265: Connection refused"
    with pytest.raises(OSError, match="Ray has not answered: head:8265: Connection refused"):
        case.poll()


def test_one_that_was_just_made_is_starting_whatever_ray_knows(told: Told, workspace: Path) -> None:
    case = submitted(told, workspace)
    (case.control.root / JOB).unlink()  # its dashboard was killed while it submitted
    case.says("")
    case.later(SETTLE_S + 1)
    assert case.poll().phase == "starting"
    case.told.has = None
    assert case.poll().phase == "starting"


def test_one_that_waits_is_stopped_at_once_and_for_good(told: Told, workspace: Path) -> None:
    case = submitted(told, workspace, secrets=("HF_TOKEN",))
    case.says("PENDING")
    assert case.launcher.stop(case.handle, "graceful") is None
    assert told.stopped == [case.job] and not (case.control.root / SEALED).exists()
    status = case.poll()
    assert status.phase == "ended" and judge(status, complete=False) is RunState.STOPPED
    assert case.launcher.stop(case.handle, "kill") == Refused("not_running")


def test_one_that_is_given_up_is_stopped_as_long_as_it_is_seen(case: Case) -> None:
    assert case.launcher.give_up(case.handle)
    case.says("PENDING")
    assert case.poll().unused and case.told.stopped == [case.job]


# -- while it runs, and after --------------------------------------------------------------------------


def test_a_stop_of_one_that_runs_is_the_file_alone(case: Case) -> None:
    """Ray's own would be a SIGTERM to every process, which saves nothing."""
    case.begin()
    case.says("RUNNING")
    for level in ("graceful", "term"):
        assert case.launcher.stop(case.handle, level) is None and case.control.read_wish() == level
    case.later(1000)
    case.poll()
    assert case.told.stopped == []
    assert case.launcher.stop(case.handle, "kill") is None
    case.beat(1)
    case.says("RUNNING")
    case.poll()
    case.later(KILL_S + 1)
    case.poll()
    assert case.told.stopped == [case.job], "a supervisor that does not obey"


def test_ray_says_running_for_ever_and_the_heart_does_not(case: Case) -> None:
    case.begin()
    case.beat(1)
    case.says("RUNNING")
    assert case.poll().phase == "running"
    case.later(pulse.DEAD_S + 1)
    assert case.poll().phase == "running"
    case.later(LOST_S + 1)
    for _ in range(3):
        case.later(AWAY_S)
        status = case.poll()
        assert status.phase == "running" and status.scheduled is not None and status.scheduled.reason == NO_HEART
        assert case.told.stopped == []
    case.beat(2)
    case.later(1)
    status = case.poll()
    assert status.phase == "running" and status.scheduled is not None and not status.scheduled.reason, "it was asleep"


@pytest.mark.parametrize("held", [False, True])
def test_one_that_ray_calls_running_for_ever_is_over_once_it_was_killed(
    case: Case, held: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By somebody who knows, and not while a supervisor still holds its lock: two would train into one folder."""
    monkeypatch.setattr(watching, "holder", lambda _: -1 if held else 0)
    case.begin()
    case.beat(1)
    case.says("RUNNING")
    case.poll()
    case.later(pulse.DEAD_S + 1)
    case.poll()
    case.later(LOST_S + 1)
    assert case.launcher.stop(case.handle, "kill") is None
    assert case.poll().phase == "running"
    case.later(KILL_S + 1)
    assert case.poll().phase == "running" and case.told.stopped == [case.job]
    case.later(KILLED_S)
    assert case.poll().phase == ("running" if held else "lost")


def test_a_head_that_is_away_says_nothing_of_one_whose_heart_beats(case: Case) -> None:
    case.begin()
    case.told.has = None
    for count in range(1, 5):
        case.beat(count)
        if count > 1:
            assert case.poll().phase == "running"
        else:
            with pytest.raises(OSError, match="Ray has not answered"):
                case.poll()
        case.later(5)
    case.later(pulse.DEAD_S)
    with pytest.raises(OSError, match="Ray has not answered"):
        case.poll()
    case.later(LOST_S + 1)
    with pytest.raises(OSError, match="Ray has not answered"):
        case.poll()
    case.later(AWAY_S)
    assert case.poll().phase == "lost", "a lost head"


@pytest.mark.parametrize("word", ["FAILED", "SUCCEEDED"])
def test_a_job_that_ray_calls_over_goes_on_while_its_heart_beats(case: Case, word: str) -> None:
    """A node that Ray has lost, or what ray #65608 was."""
    case.begin()
    case.says(word)
    for count in range(1, 8):
        case.beat(count)
        assert case.poll().phase == "running"
        case.later(5)


def test_one_whose_supervisor_wrote_no_end(case: Case, told: Told) -> None:
    case.begin()
    case.beat(1)
    case.says("FAILED", "its node has died")
    case.poll()
    case.later(pulse.DEAD_S + SETTLE_S)
    status = case.poll()
    assert status.exit is not None and status.exit.error == "Ray: FAILED (its node has died)"
    assert status.exit.code is None and judge(status, complete=False) is RunState.FAILED
    case.launcher.reap()
    assert json.loads((case.control.root / LAST).read_text())["word"] == "FAILED"
    later = launcher_of(told)
    told.has = {}  # a new head
    adopted = later.adopt(case.handle.paths, RunRecord.from_json(case.handle.paths.record.read_text()))
    assert later.poll(adopted).phase == "running"
    case.later(pulse.DEAD_S + SETTLE_S + 1)
    status = later.poll(adopted)
    assert status.exit is not None and status.exit.error == "Ray: FAILED (its node has died)"


def test_a_head_that_was_started_anew_and_a_heart_that_stopped(case: Case) -> None:
    case.begin()
    case.beat(1)
    case.says("")
    assert case.poll().phase == "running"
    case.later(pulse.DEAD_S + SETTLE_S)
    status = case.poll()
    assert (status.phase, status.why) == ("lost", "gone")


def test_an_exit_record_is_all_that_counts(case: Case) -> None:
    case.begin()
    case.handle.paths.exit.write_text(json.dumps({"run_id": "id-r1", "attempt": 1, "code": 3}))
    case.told.has = None
    status = case.poll()
    assert status.phase == "ended" and status.exit is not None and status.exit.code == 3
    assert case.launcher.stop(case.handle, "kill") == Refused("not_running")


def test_a_copied_folder_has_no_job(case: Case, workspace: Path) -> None:
    copy = RunPaths(workspace / "copy")
    shutil.copytree(case.handle.paths.root, copy.root)
    case.says("RUNNING")
    handle = case.launcher.adopt(copy, RunRecord.from_json(copy.record.read_text()))
    assert case.launcher.poll(handle).phase == "lost"
    assert case.launcher.stop(handle, "kill") == Refused("not_running") and case.told.stopped == []


@pytest.mark.parametrize("told_there", [None, [], {"job": 7}, {"address": ["x"]}])
def test_a_folder_that_does_not_say_where_its_job_is(case: Case, told_there: Any) -> None:
    spec = json.loads(case.control.spec.read_text())
    case.control.spec.write_text(json.dumps({**spec, "ray": told_there}))
    other = launcher_of(case.told)
    adopted = other.adopt(case.handle.paths, RunRecord.from_json(case.handle.paths.record.read_text()))
    with pytest.raises(OSError, match="Ray has not answered"):
        other.poll(adopted)
    assert other.stop(adopted, "kill") is None
