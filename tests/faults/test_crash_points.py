"""The dashboard is killed right before every single change that an operation makes on disk: it is done, or it is not,
and then it can be done; no run is lost, none is doubled."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from lfdash.launchers.local import SUPERVISOR
from lfdash.runs.record import RunState
from lfdash.supervisor.processes import descendants, environments, send, start_ticks
from tests.faults.calls import killed_before
from tests.faults.operations import (
    LATE,
    OPERATIONS,
    R1,
    Operation,
    advance,
    harm,
    is_accepted,
    looked,
    paths,
    quiet,
    resume,
)
from tests.faults.runs import starts, words
from tests.faults.table import Row, fault
from tests.support.runs import wait_for

MOST = 80  # changes of one operation


@pytest.mark.parametrize("name", OPERATIONS)
@fault(
    "dashboard killed before every change on disk", how="kill -9 before the 1st, 2nd, ... call that changes a file, of "
    "each operation", expected="done, or not done and it can be done again; nothing lost, doubled or half visible",
)
def test_killed_before_every_change(workspace: Path, row: Row, name: str) -> None:
    operation = OPERATIONS[name]
    template = workspace.with_name("template")
    operation.before(workspace)
    if not operation.live:
        shutil.copytree(workspace, template, symlinks=True)
    for number in range(1, MOST):
        if not killed_before(number, workspace, lambda: operation.act(workspace)):
            break
        check(workspace, operation, number)
        row.counts.update(faults=1)
        again(workspace, template, operation)
    else:
        pytest.fail(f"more than {MOST} changes")
    quiet(workspace, operation.starts)
    assert operation.done(workspace) and not harm(workspace, operation)
    row.note(f"{name}: {number - 1}")


def again(workspace: Path, template: Path, operation: Operation) -> None:
    """The workspace as it was, at the same place, when nobody of the time before is left."""
    wait_for(lambda: not end_both(workspace))
    shutil.rmtree(workspace)
    if operation.live:
        workspace.mkdir()
        operation.before(workspace)
    else:
        shutil.copytree(template, workspace, symlinks=True)


def end_both(workspace: Path) -> list[int]:
    """Kills supervisors and trainers of a workspace; those that were still there."""
    trainers = [pid for pid, found in environments() if any(below(workspace, word) for word in found)]
    supervisors = [pid for pid in descendants(1) if SUPERVISOR.encode() in words(pid) and below(workspace, words(pid))]
    send([*supervisors, *trainers], signal.SIGKILL)
    return [pid for pid in (*supervisors, *trainers) if start_ticks(pid) is not None]


def below(workspace: Path, text: bytes) -> bool:
    return os.fsencode(workspace) + b"/saves/" in text or os.fsencode(workspace) + b"/outputs/" in text


def check(workspace: Path, operation: Operation, number: int) -> None:
    """What a dashboard finds that comes after the one that was killed."""
    settle(workspace, operation)
    assert operation.done(workspace) or operation.undone(workspace), f"change {number}: half done"
    assert not harm(workspace, operation), (number, harm(workspace, operation))
    if behind(workspace, operation):
        make_undone(workspace, operation, number)
    if not operation.done(workspace) or behind(workspace, operation):
        outcome = operation.act(workspace)
        assert is_accepted(outcome), (number, outcome)
        settle(workspace, operation)
        assert operation.done(workspace), (number, outcome)
    assert not behind(workspace, operation), (number, behind(workspace, operation))
    assert not harm(workspace, operation), (number, harm(workspace, operation))


def settle(workspace: Path, operation: Operation) -> None:
    if not operation.live:
        quiet(workspace, operation.starts)


def behind(workspace: Path, operation: Operation) -> list[str]:
    """The runs that were made, and that nobody started."""
    return [name for name, count in operation.starts.items() if starts(paths(workspace, name)) < count]


def make_undone(workspace: Path, operation: Operation, number: int) -> None:
    """What becomes of runs that were made and that nobody will start: those of the queue wait again, by themselves;
    others are shown as never started, and can be deleted or resumed."""
    registry = looked(workspace, later=LATE)
    if registry.queue.jobs.entries():
        advance(workspace, later=LATE)
        settle(workspace, operation)
        return
    view = registry.get(R1)
    if view is None or view.exit_code is not None:
        return  # nothing was made
    assert view.state in (RunState.FAILED, RunState.LOST) and view.exit_code is None, number
    if not operation.runs:
        assert registry.archive.discard(R1) is None
        registry.archive.empty_trash([item.name for item in registry.archive.trash.items()])
    else:
        assert is_accepted(resume(workspace, later=LATE)), number
        settle(workspace, operation)
