"""How a run is given to Slurm and stopped there. The real one: tests/clusters."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lfdash.launchers import pulse, scheduled, slurm
from lfdash.launchers.asking import CallError
from lfdash.launchers.base import Launched
from lfdash.launchers.slurm_accounts import Account
from lfdash.launchers.slurm_script import FILE, supervisor_folder
from lfdash.launchers.watching import JOB, KILL_S, SETTLE_S
from lfdash.outcomes import Refused
from lfdash.runs.paths import LEVELS, RunPaths
from lfdash.runs.record import Exit, RunRecord, RunState, Status
from lfdash.runs.view import judge
from lfdash.supervisor.remote import SEALED
from lfdash.targets.target import Target
from tests.support.clusters.slurm_case import NAME, TARGET, Case, Told, launcher_of
from tests.support.runs import plan_for, record_for


def test_what_is_previewed_is_what_is_submitted(told: Told, workspace: Path) -> None:
    launcher = launcher_of(told)
    plan = launcher.plan(plan_for(workspace, secrets=("HF_TOKEN",)))
    outcome = launcher.submit(plan, record_for(plan), {"HF_TOKEN": "abcdefgh"})
    assert isinstance(outcome, Launched)
    paths = outcome.handle.paths
    (script, ticket), = told.submitted
    assert script == str(paths.root / FILE) and Path(script).read_text() == str(plan)
    spec = json.loads(paths.attempt(1).spec.read_text())
    assert (spec["ticket"], spec["sealed"], spec["slurm"]["conf"]) == (ticket, ["HF_TOKEN"], "/etc/lab.conf")
    assert json.loads((paths.attempt(1).root / JOB).read_text()) == {"id": "7"}
    assert json.loads((paths.attempt(1).root / SEALED).read_text()) == {"HF_TOKEN": "abcdefgh"}
    assert (workspace / supervisor_folder() / "lfdash/supervisor/__main__.py").exists()
    record = RunRecord.from_json(paths.record.read_text())
    assert record.launcher == "slurm:lab" and "abcdefgh" not in paths.record.read_text()


@pytest.mark.parametrize("code", ["target_unknown", "target_broken"])
def test_without_the_target_nothing_is_made(told: Told, workspace: Path, code: str) -> None:
    plan = plan_for(workspace)
    launcher = launcher_of(told, Refused(code, {"name": "lab", "file": "f"}))
    assert launcher.plan(plan) is plan
    outcome = launcher.submit(plan, record_for(plan), {})
    assert isinstance(outcome, Refused) and outcome.code == code and list(workspace.iterdir()) == []


def test_a_plan_for_another_target_is_refused(told: Told, workspace: Path) -> None:
    plan = launcher_of(told).plan(plan_for(workspace))
    other = launcher_of(told, replace(TARGET, partition="x"))
    assert other.submit(plan, record_for(plan), {}) == Refused("target_differs", {"name": "lab"})
    assert other.submit(plan_for(workspace), record_for(plan), {}) == Refused("target_differs", {"name": "lab"})


@pytest.mark.parametrize(
    ("target", "kind", "code"),
    [
        (replace(TARGET, nodes=2), "export", "target_nodes"), (replace(TARGET, nodes=2), "train", None),
        (TARGET, "chat", "target_serves"),
        (replace(TARGET, workspace="/x"), "train", None),
    ],
)
def test_what_cannot_run_there(told: Told, workspace: Path, target: Target, kind: str, code: str | None) -> None:
    launcher = launcher_of(told, target)
    plan = launcher.plan(plan_for(workspace))
    outcome = launcher.submit(plan, replace(record_for(plan), kind=kind), {})
    assert (outcome.code if isinstance(outcome, Refused) else None) == code


def test_where_sbatch_is_missing(told: Told, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "installed", lambda: False)
    launcher = launcher_of(told)
    plan = launcher.plan(plan_for(workspace))
    assert launcher.submit(plan, record_for(plan), {}) == Refused("scheduler_missing", {"program": "sbatch"})
    assert list(workspace.iterdir()) == []


@pytest.mark.parametrize(("silent", "code"), [(False, "scheduler_refused"), (True, "scheduler_silent")])
def test_a_refusal_leaves_no_folder_and_no_secret(told: Told, workspace: Path, silent: bool, code: str) -> None:
    told.refuses = CallError("no", silent=silent)
    launcher = launcher_of(told)
    plan = launcher.plan(plan_for(workspace, secrets=("A",)))
    assert launcher.submit(plan, record_for(plan), {"A": "abcdefgh"}) == Refused(code, {"reason": "no"})
    assert not [path for path in workspace.rglob("*") if "abcdefgh" in path.name or path.name in (SEALED, FILE)]


# -- stopping ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", LEVELS)
def test_one_that_waits_is_canceled_and_cannot_begin(case: Case, level: Any) -> None:
    case.told.says("PENDING")
    assert case.launcher.stop(case.handle, level) is None
    assert ("cancel", "7") in case.told.wanted
    status = case.poll()
    assert status.phase == "ended" and status.wish == level and not status.unused
    assert judge(status, complete=False) is RunState.STOPPED
    assert case.launcher.stop(case.handle, "kill") == Refused("not_running")


@pytest.mark.parametrize("answers", [True, False])
def test_one_that_runs_is_told_by_the_token(case: Case, answers: bool) -> None:
    """Whether Slurm answers or not."""
    case.begin()
    case.told.says("RUNNING")
    if not answers:
        case.told.jobs = None
    assert case.launcher.stop(case.handle, "graceful") is None
    assert case.control.read_wish() == "graceful" and case.told.wanted[-1] == ("wake", "7")
    assert case.launcher.stop(case.handle, "kill") is None
    assert case.launcher.stop(case.handle, "term") is None and case.control.read_wish() == "kill"


def test_one_that_does_not_obey_is_canceled(case: Case) -> None:
    case.begin()
    case.told.says("RUNNING")
    case.launcher.stop(case.handle, "kill")
    case.poll()
    assert ("cancel", "7") not in case.told.wanted
    case.later(KILL_S + 1)
    case.poll()
    assert ("cancel", "7") in case.told.wanted


def test_a_job_of_an_attempt_that_was_given_up_is_canceled(case: Case) -> None:
    (case.control.root / SEALED).write_text("{}")
    assert case.launcher.give_up(case.handle) and not (case.control.root / SEALED).exists()
    case.told.says("PENDING")
    assert case.poll().unused and ("cancel", "7") in case.told.wanted


def test_one_that_is_over_is_not_stopped(case: Case) -> None:
    case.handle.paths.exit.write_text(json.dumps(Exit("id-r1", 1, 0).__dict__))
    assert case.launcher.stop(case.handle, "term") == Refused("not_running")
    assert case.control.read_wish() is None


def test_a_folder_that_cannot_be_read_is_told(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(scheduled, "read_exit", fail)
    refused = case.launcher.stop(case.handle, "term")
    assert refused is not None and refused.code == "start_failed" and "Input/output" in refused.params["reason"]


def test_a_look_at_one_that_waits_reads_nothing_again(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five hundred of them, twice a second, on a network disk."""
    case.told.says("PENDING")
    status = case.poll()
    opened: list[object] = []
    real = os.open

    def counted(*args: Any, **more: Any) -> int:
        opened.append(args[0])
        return real(*args, **more)

    monkeypatch.setattr(os, "open", counted)
    assert [case.poll() for _ in range(50)] == [status] * 50
    assert opened == []
    case.control.armed.rename(case.control.stop("term"))
    assert case.poll().wish == "term"


@pytest.mark.parametrize("begun", [False, True])
def test_a_copy_is_nobody_s_job(case: Case, tmp_path: Path, begun: bool) -> None:
    """Else a stop in a copy of the workspace would end the run of the original."""
    if begun:
        case.begin()
    case.told.says("RUNNING")
    root = tmp_path / "copy" / "r1"
    shutil.copytree(case.handle.paths.root, root)
    handle = replace(case.handle, paths=RunPaths(root))
    other = launcher_of(case.told)
    assert other.poll(handle) == Status("lost", why="gone")
    assert other.stop(handle, "kill") == Refused("not_running")
    assert not [wanted for wanted in case.told.wanted if wanted[0] != "hurry"]
    assert case.poll().phase == ("running" if begun else "starting")


def test_what_is_forgotten_is_watched_anew(case: Case) -> None:
    case.told.says("RUNNING")
    case.poll()
    case.launcher.release(case.handle, 0)
    assert case.launcher.adopt(case.handle.paths, record_for(plan_for(case.handle.paths.root))) == case.handle
    assert case.poll().phase == "starting"


def accounting(told: Told, account: Account | None, *, waits: bool = False) -> None:
    """A cluster whose accounting says that of every job."""
    told.accounts = SimpleNamespace(look=lambda *_: account, waits=lambda _: waits)


@pytest.mark.parametrize(("word", "state"), [("TIMEOUT", RunState.FAILED), ("CANCELLED", RunState.STOPPED)])
def test_accounting_tells_how_one_ended_that_squeue_has_forgotten(case: Case, word: str, state: RunState) -> None:
    case.begin()
    case.beat(1)
    case.told.says("RUNNING")
    assert case.poll().phase == "running"
    case.told.jobs = []
    accounting(case.told, None, waits=True)
    case.later(pulse.DEAD_S + SETTLE_S + 2)
    case.poll()
    case.later(SETTLE_S + 1)
    assert case.poll().phase == "running", "it may be told yet"
    accounting(case.told, Account(word, NAME, 10, 1 << 30))
    case.poll()
    case.later(SETTLE_S + 1)
    status = case.poll()
    assert status.phase == "ended" and judge(status, complete=False) is state and word in str(status.exit.error)
    assert case.launcher.account(case.handle) == Account(word, NAME, 10, 1 << 30)
    case.launcher.reap()
    accounting(case.told, None)
    assert case.launcher.account(case.handle) == Account(word, "", 10, 1 << 30)
