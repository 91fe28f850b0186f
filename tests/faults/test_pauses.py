"""A dashboard is stopped right before every single change that an operation makes, another one does everything else to
that run meanwhile, and the first goes on with what it knew."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from lfdash.outcomes import Refused
from lfdash.queue import commands
from lfdash.runs.paths import RunPaths
from lfdash.runs.record import TERMINAL
from tests.faults import operations
from tests.faults.calls import forked
from tests.faults.operations import LONG, OPERATIONS, R1, Operation, advance, harm, looked, places, restore, resume
from tests.faults.runs import alive
from tests.faults.table import Row, fault
from tests.faults.test_crash_points import MOST, again, end_both
from tests.support.runs import wait_for

PAUSED = (
    "start", "resume", "give up and resume", "start from the queue", "start a waiting job now", "delete", "restore",
    "rename", "empty the trash", "cancel", "take back", "stop", "notes",
)
OTHERS: tuple[Callable[[Path], object], ...] = (
    resume,
    lambda root: looked(root).archive.discard(R1),
    lambda root: looked(root).archive.rename(R1, "othername"),
    lambda root: looked(root).stop(R1, "kill"),
    advance,
    restore,
    lambda root: looked(root).queue.cancel(R1),
    lambda root: looked(root).queue.take_back(R1),
)


@pytest.fixture(autouse=True)
def _nobody_left(workspace: Path) -> Iterator[None]:
    """Also ends a supervisor that is about to start what would go on for ever."""
    yield
    wait_for(lambda: not end_both(workspace))


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody here waits for a lock that a stopped dashboard holds; and what is started goes on until it is ended."""
    monkeypatch.setattr(
        commands, "FileLock", lambda path, timeout=0.0, **more: FileLock(path, timeout=min(timeout, 0.02), **more)
    )
    monkeypatch.setattr(operations, "QUICK", LONG)


@pytest.mark.parametrize("name", PAUSED)
@fault(
    "dashboard paused before every change on disk", how="SIGSTOP before the 1st, 2nd, ... change; another one resumes, "
    "deletes, renames, stops, starts, restores, cancels meanwhile; then SIGCONT",
    expected="one live attempt at most, in its place; no run lost or doubled",
)
def test_paused_before_every_change(
    workspace: Path, row: Row, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    operation = OPERATIONS[name]
    template = workspace.with_name("template")
    with monkeypatch.context() as patch:
        patch.setattr(operations, "QUICK", {"steps": 1, "delay": 0.0})
        operation.before(workspace)
    if not operation.live:
        shutil.copytree(workspace, template, symlinks=True)
    accepted = 0
    for number in range(1, MOST):
        pid = forked(number, workspace, lambda: operation.act(workspace), signal.SIGSTOP)
        _, status = os.waitpid(pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            assert os.waitstatus_to_exitcode(status) == 0
            break
        turned = OTHERS[number % len(OTHERS):] + OTHERS[: number % len(OTHERS)]
        answers: list[Any] = [act(workspace) for act in turned]
        accepted += sum(not isinstance(answer, Refused) for answer in answers)
        os.kill(pid, signal.SIGCONT)
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0, number
        check(workspace, name, number)
        row.counts.update(faults=1)
        again(workspace, template, operation)
    else:
        pytest.fail(f"more than {MOST} changes")
    assert number > 1
    row.note(f"{name}: {number - 1}, {accepted} of the others' accepted")


def check(workspace: Path, name: str, number: int) -> None:
    """What a third dashboard finds once both are done."""
    folders = [path.parent for path in workspace.rglob("attempts")]
    live = {root: [n for n in RunPaths(root).made_attempts() if alive(RunPaths(root), n)] for root in folders}
    assert all(len(attempts) <= 1 for attempts in live.values()), (number, live)
    registry = looked(workspace)
    found = places(registry)
    for root, attempts in live.items():
        if attempts and alive(RunPaths(root), attempts[0]):
            (view,) = [view for view in registry.watcher.views if view.path == root]
            assert view.state not in TERMINAL and view.attempt in attempts, (number, view, attempts)
    wait_for(lambda: not end_both(workspace))
    wrong = harm(workspace, Operation(advance, advance, bool, bool, ()))
    assert not wrong, (number, wrong)
    assert name in ("start", "empty the trash") or R1 in found, (number, found)

