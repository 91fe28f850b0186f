"""One read that fails, wherever a look reads: a live run stays what it is, and nothing is started beside it."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lfdash.engine import dispatcher
from lfdash.engine.registry import ProcessRegistry
from lfdash.queue.store import Queued
from lfdash.runs.paths import RunPaths
from lfdash.runs.record import RunState
from tests.faults.calls import ERRNOS, failing
from tests.faults.runs import becomes, new, pids, starts
from tests.faults.table import Row, fault
from tests.support.runs import launch, plan_for, record_for, wait_for, wait_ready

FOREVER = {"steps": 100_000, "delay": 0.05}
MOST = 400  # reads of two looks


@contextmanager
def one_lives_one_waits(workspace: Path, *, supervised: bool) -> Iterator[int]:
    """A run that trains on the only slot, and a job that waits for it; the pid of the run's trainer. supervised:
    whether its supervisor lives, too."""
    registry = new(workspace)
    handle = launch(registry, plan_for(workspace, name="live", **FOREVER))
    wait_ready(handle)
    shim, child = pids(handle)
    waiting = plan_for(workspace, name="next", steps=1)
    assert isinstance(registry.enqueue(waiting, record_for(waiting)), Queued)
    if not supervised:
        os.kill(shim, signal.SIGKILL)
        wait_for(lambda: registry.launchers.reap() or not Path(f"/proc/{shim}").exists())
    becomes(registry, RunState.RUNNING, "id-live")
    yield child


def told(registry: ProcessRegistry) -> dict[str, RunState]:
    """What a look shows, and a turn of the queue behind it."""
    registry.refresh()
    registry.dispatcher.advance()
    return {view.name: view.state for view in registry.snapshot()}


def is_wrong(states: dict[str, RunState], registry: ProcessRegistry, *, seen: bool) -> bool:
    """Whether a look told something that is not so. seen: whether this dashboard had seen the run before; one that had
    not may say that it does not know. A job whose file could not be read is not in this look's queue."""
    if states.get("next", RunState.QUEUED) is not RunState.QUEUED:
        return True
    if states.get("live") is RunState.RUNNING:
        return False
    unknown = "live" not in states or states["live"] is RunState.UNKNOWN
    return seen or not unknown or not registry.watcher.unseen


@pytest.mark.parametrize(
    ("supervised", "seen", "codes"), [(True, True, ERRNOS), (True, False, ERRNOS[:1]), (False, True, ERRNOS[:1])],
    ids=["seen before", "a new dashboard", "its supervisor is gone"],
)
@fault(
    "one read fails while a run is looked at", how="EIO, ESTALE, EMFILE at the 1st, 2nd, ... read of two looks: open, "
    "list, stat, lock, the trainer's /proc", expected="RUNNING, or not known to a new dashboard; no job starts beside",
)
def test_one_failed_read(
    workspace: Path, row: Row, supervised: bool, seen: bool, codes: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher.logger, "disabled", True)  # it says so each time that the queue could not be read
    wrong: list[str] = []
    injected = 0
    with one_lives_one_waits(workspace, supervised=supervised) as trainer:
        places = [(workspace, code) for code in codes]
        if not supervised:
            places.append((Path(f"/proc/{trainer}/"), errno.EMFILE))
        for folder, code in places:
            for number in range(1, MOST):
                registry = new(workspace)
                if seen:
                    told(registry)
                with failing(number, folder, code) as failed:
                    looks = [is_wrong(told(registry), registry, seen=seen) for _ in range(2)]
                if not failed:
                    break
                injected += 1
                if any(looks):
                    wrong.append(f"{errno.errorcode[code]} at {failed[0].replace(str(workspace), '')}: {looks}")
        started = starts(RunPaths(workspace / "saves/m/lora/next"))
    row.note(f"{injected} failed reads, {len(wrong)} wrong states, {started} started beside", faults=injected)
    assert (wrong, started) == ([], 0)
    assert injected > 30
