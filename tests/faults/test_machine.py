"""Other boots, other machines, clocks that jump, folders that were moved or copied: never taken for a live run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest

from lfdash.engine.registry import ProcessRegistry
from lfdash.files import read_json
from lfdash.launchers import folder
from lfdash.launchers.base import Launched, MachineIdentity
from lfdash.launchers.local import LocalLauncher
from lfdash.outcomes import Refused
from lfdash.runs.record import Handle, RunRecord, RunState
from lfdash.supervisor.processes import send, start_ticks
from tests.faults.runs import becomes, new, over, pids, seen, started, starts
from tests.faults.table import Row, fault
from tests.support.runs import launch, members, plan_for, record_for, shim_of, wait_for, wait_ready

FOREVER = {"steps": 100_000, "delay": 0.02}
OTHER = MachineIdentity(host=lambda: "elsewhere", boot_id=lambda: "another-boot")


def live(workspace: Path, registry: ProcessRegistry | None = None, **args: object) -> Handle:
    """A run that trains."""
    handle = launch(registry or new(workspace), plan_for(workspace, **(args or FOREVER)))
    wait_ready(handle)
    pids(handle)
    return handle


def unharmed(handle: Handle) -> None:
    """Neither the run nor its shim was ended or told to stop."""
    control = handle.paths.attempt(1)
    assert control.armed.exists() and read_json(control.root / "stop.kill") == {}
    assert len(members(handle)) == 1 and start_ticks(pids(handle)[0]) is not None


# -- another boot, another machine --------------------------------------------------------------------


@pytest.mark.parametrize("changed", ["boot", "host"])
@fault(
    "another boot, another machine", how="injected boot id, and host; lock and pids are those of a live run",
    expected="RUNNING while its lock is held, wherever; else LOST with the reason, Stop refused, nobody signalled",
)
def test_another_machine(workspace: Path, row: Row, monkeypatch: pytest.MonkeyPatch, changed: str) -> None:
    handle = live(workspace)
    registry = new(workspace, machine=OTHER if changed == "host" else replace(OTHER, host=MachineIdentity().host))
    assert seen(registry).state is RunState.RUNNING
    monkeypatch.setattr("lfdash.launchers.local.holder", lambda lock: 0)  # a disk whose locks are not shared
    view = seen(registry)
    assert (view.state, view.lost, view.exit_code) == (RunState.LOST, changed, None)
    for level in ("graceful", "term", "kill"):
        assert registry.stop(handle.run_id, level) == Refused("not_running")  # type: ignore[arg-type]
    unharmed(handle)
    monkeypatch.undo()
    assert seen(new(workspace)).state is RunState.RUNNING
    row.note(f"RUNNING; LOST ({changed}), Stop refused")


@fault(
    "reboot", how="run and shim killed as by a power cut; boot_id in spec.json and child.json changed",
    expected="LOST (boot), and it can be resumed",
)
def test_a_reboot(workspace: Path, row: Row) -> None:
    handle = live(workspace)
    send(list(pids(handle)), signal.SIGKILL)
    control = handle.paths.attempt(1)
    for path in (control.spec, control.child):
        path.write_text(json.dumps({**read_json(path), "boot_id": "the-boot-before"}))
    registry = new(workspace)
    view = becomes(registry, RunState.LOST)  # once the lock of who was killed is let go
    assert (view.state, view.lost) == (RunState.LOST, "boot") and view.record is not None
    plan = replace(plan_for(workspace, steps=2), attempt=view.paths.next_attempt())
    assert isinstance(registry.launch(plan, view.record.resumed(plan)), Launched)
    (view,) = over(registry)
    assert (view.state, view.attempt, view.exit_code) == (RunState.SUCCEEDED, 2, 0)
    row.note("LOST (boot); resumed: SUCCEEDED")


@fault("the machine gets another name", how="injected host, same boot", expected="the run is still seen to run")
def test_another_name(workspace: Path, row: Row) -> None:
    handle = live(workspace)
    registry = new(workspace, machine=MachineIdentity(host=lambda: "renamed"))
    assert seen(registry).state is RunState.RUNNING
    assert registry.stop(handle.run_id, "kill") is None
    assert becomes(registry, RunState.STOPPED).exit_code == -9
    row.note("RUNNING, then stopped")


@fault(
    "started on another machine", how="submitted under an injected machine, its files then read here",
    expected="ended runs tell their code here; one whose lock is seen runs; else it is LOST (host), and stays there",
)
def test_started_elsewhere(workspace: Path, row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    there = ProcessRegistry(workspace, LocalLauncher(OTHER))
    launch(there, plan_for(workspace, name="r1", fail="exit:5"))
    wait_for(lambda: seen(there).state is RunState.FAILED)
    handle = launch(there, plan_for(workspace, name="r2", **FOREVER))
    wait_ready(handle)
    pids(handle)
    here = new(workspace)
    assert (seen(here).state, seen(here).exit_code) == (RunState.FAILED, 5)
    assert seen(here, "id-r2").state is RunState.RUNNING  # its lock is held
    monkeypatch.setattr("lfdash.launchers.local.holder", lambda lock: 0)  # a disk whose locks are not shared
    view = seen(here, "id-r2")
    assert (view.state, view.lost) == (RunState.LOST, "host") and view.record is not None
    assert view.record.host == "elsewhere"
    assert here.stop("id-r2", "kill") == Refused("not_running")
    fresh = Refused("elsewhere_fresh", {"run": "r2"})
    plan = replace(plan_for(workspace, name="r2"), attempt=2)
    assert here.launch(plan, view.record.resumed(plan), beside=True) == fresh
    assert here.archive.discard("id-r2") == fresh
    unharmed(handle)
    row.note("FAILED, 5; LOST (host)")


# -- clocks ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hours", [-48, 48])
@fault(
    "the clock is set back, or ahead", how="injected wall clock; the run's files carry the times of the clock before",
    expected="state, progress, duration and end as without; nothing STARTING for ever",
)
def test_a_clock_that_jumps(workspace: Path, row: Row, monkeypatch: pytest.MonkeyPatch, hours: int) -> None:
    handle = live(workspace, steps=40, delay=0.05)
    jump = -hours * 3600.0  # what was written before looks that much younger or older
    monkeypatch.setattr(time, "time", lambda clock=time.time: clock() + hours * 3600.0)
    for path in [*handle.paths.root.rglob("*"), handle.paths.root]:
        now = path.stat().st_mtime
        os.utime(path, (now + jump, now + jump))
    registry = new(workspace)
    view = seen(registry)
    assert view.state is RunState.RUNNING
    wait_for(lambda: (seen(registry).progress.step or 0) > 2)
    view = seen(registry)
    assert view.progress.elapsed_s is not None and 0 < view.progress.elapsed_s < 60
    (view,) = over(registry)
    assert (view.state, view.exit_code, view.progress.step) == (RunState.SUCCEEDED, 0, 40)
    assert view.progress.elapsed_s is not None and 2 <= view.progress.elapsed_s < 60
    row.note(f"{hours:+d} h: RUNNING with progress, SUCCEEDED after {view.progress.elapsed_s:.0f} s")


@fault(
    "the clock is set back while a run starts", how="a folder whose shim never came, its times 2 days ahead",
    expected="FAILED after the time to start by a clock that nobody sets",
)
def test_a_clock_set_back_while_starting(workspace: Path, row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    from lfdash.launchers import local

    monkeypatch.setattr(local.subprocess, "Popen", stillborn)
    handle = launch(new(workspace), plan_for(workspace))
    spec = handle.paths.attempt(1).spec
    os.utime(spec, (time.time() + 2 * 86400,) * 2)
    assert seen(new(workspace)).state is RunState.STARTING
    view = seen(new(workspace, later=local.STARTUP_S + 1))
    assert (view.state, view.exit_code) == (RunState.FAILED, None)
    row.note("STARTING for 30 s, then FAILED")


def stillborn(*_: object, **__: object) -> mock.Mock:
    """A Popen of which nothing comes, for those who do not hold it."""
    return mock.Mock(poll=lambda: None)


@fault(
    "a shim that is killed under a clock set back", how="the results are older than the run's own folder",
    expected="SUCCEEDED by the results, exit code unknown",
)
def test_results_older_than_the_run(workspace: Path, row: Row) -> None:
    first = new(workspace)
    handle = live(workspace, first, steps=30, delay=0.02)
    os.kill(pids(handle)[0], signal.SIGKILL)
    shim_of(first, handle).wait(10)
    wait_for(lambda: not members(handle))
    for path in (handle.paths.trainer_state, handle.paths.trainer_log):
        os.utime(path, (time.time() - 86400,) * 2)
    view = seen(new(workspace))
    assert (view.state, view.exit_code, view.progress.step) == (RunState.SUCCEEDED, None, 30)
    row.note("SUCCEEDED, None")


# -- folders --------------------------------------------------------------------------------------------


@fault(
    "a live run's folder is copied beside it", how="cp -a while it trains",
    expected="the copy is LOST under an id of its own; Stop of it is refused; the run is unharmed",
)
def test_a_copy_beside(workspace: Path, row: Row) -> None:
    handle = live(workspace)
    copy = handle.paths.root.with_name("a-copy")  # first in the order of names
    shutil.copytree(handle.paths.root, copy)
    registry = new(workspace)
    for _ in range(2):
        assert seen(registry).state is RunState.RUNNING and seen(registry).path == handle.paths.root
    (other,) = (view for view in registry.snapshot() if view.path == copy)
    assert (other.state, other.lost) == (RunState.LOST, "gone") and other.run_id != handle.run_id
    assert registry.stop(other.run_id, "kill") == Refused("not_running")
    unharmed(handle)
    assert registry.stop(handle.run_id, "graceful") is None
    assert becomes(registry, RunState.STOPPED).exit_code == 0
    assert other.record is not None
    plan = plan_for(workspace, name="a-copy", steps=2)
    plan = replace(plan, run_id=other.run_id, attempt=other.paths.next_attempt())
    assert isinstance(registry.launch(plan, other.record.resumed(plan)), Launched)
    assert becomes(registry, RunState.SUCCEEDED, other.run_id).path == copy
    assert RunRecord.from_json((copy / "run.json").read_text()).run_id == other.run_id
    assert seen(new(workspace)).state is RunState.STOPPED
    row.note("copy LOST, resumed as a run of its own; the run STOPPED, 0")


@fault(
    "a workspace is copied", how="cp -a of the whole workspace while a run trains",
    expected="LOST there; Stop refused; the run is unharmed",
)
def test_a_copied_workspace(workspace: Path, row: Row) -> None:
    handle = live(workspace)
    other = workspace.with_name("other")
    shutil.copytree(workspace, other)
    registry = new(other)
    assert (seen(registry).state, seen(registry).lost) == (RunState.LOST, "gone")
    assert registry.stop(handle.run_id, "kill") == Refused("not_running")
    unharmed(handle)
    row.note("LOST, Stop refused")


@fault(
    "a run is copied while it starts", how="cp of a folder with no child yet, within the time to start",
    expected="the copy is not STARTING",
)
def test_a_copy_of_a_start(workspace: Path, row: Row) -> None:
    launcher = LocalLauncher()
    plan = plan_for(workspace, **FOREVER)
    paths = folder.make(plan, record_for(plan))
    shutil.copytree(workspace, workspace.with_name("other"))
    record = RunRecord.from_json(paths.record.read_text())
    assert launcher.poll(launcher.adopt(paths, record)).phase == "starting"
    assert (seen(new(workspace.with_name("other"))).state) is RunState.FAILED
    row.note("FAILED: never started")


@fault(
    "a live run's folder is moved", how="mv while it trains, and is stopped there",
    expected="followed: RUNNING, Stop works, exit.json in the new place",
)
def test_a_moved_folder(workspace: Path, row: Row) -> None:
    with started(workspace) as registry:
        handle = launch(registry, plan_for(workspace, load=600))  # it writes nothing into the old place
        wait_ready(handle, "started")
        pids(handle)
        moved = handle.paths.root.with_name("moved")
        handle.paths.root.rename(moved)
        for dashboard in (registry, new(workspace)):
            wait_for(lambda: seen(dashboard).path == moved)  # noqa: B023
            assert seen(dashboard).state is RunState.RUNNING
        assert registry.stop(handle.run_id, "kill") is None
        view = becomes(registry, RunState.STOPPED)
    assert (view.exit_code, view.path) == (-9, moved) and (moved / "exit.json").exists()
    assert members(handle) == [] and starts(view.paths) == 1
    row.note("RUNNING, STOPPED, -9, in its new place")


@fault(
    "an ended run's folder is renamed", how="mv after its end", expected="shown under the new path with its true end"
)
def test_a_renamed_run(workspace: Path, row: Row) -> None:
    launch(new(workspace), plan_for(workspace, fail="exit:6"))
    (view,) = over(new(workspace))
    view.path.rename(view.path.with_name("renamed"))
    (view,) = over(new(workspace))
    assert (view.state, view.exit_code, view.path.name) == (RunState.FAILED, 6, "renamed")
    row.note("FAILED, 6")


@fault("a run's folder is removed while it trains", how="rm -r", expected="gone from the list; its end harms nobody")
def test_a_removed_folder(workspace: Path, row: Row) -> None:
    with started(workspace) as registry:
        handle = launch(registry, plan_for(workspace, load=0.5))
        wait_ready(handle, "started")
        pids(handle)
        shutil.rmtree(handle.paths.root)
        registry.refresh()
        wait_for(lambda: shim_of(registry, handle).poll() is not None)
        again = launch(registry, plan_for(workspace, name="r2", steps=1))
        assert becomes(registry, RunState.SUCCEEDED, again.run_id).exit_code == 0
        assert members(handle) == []
    row.note("gone; the next one SUCCEEDED")
