"""What the local launcher alone must do."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lfdash.launchers import folder, local
from lfdash.launchers.base import Launched, MachineIdentity
from lfdash.launchers.local import SUPERVISOR, LocalLauncher, holder
from lfdash.outcomes import Refused
from lfdash.runs.paths import AttemptPaths, RunPaths
from lfdash.runs.record import Handle
from lfdash.supervisor.failpoints import VARIABLE
from lfdash.supervisor.processes import boot_clock
from tests.support.runs import ended, members, plan_for, record_for, wait_for, wait_ready


def shim_pid(launcher: LocalLauncher, handle: Handle) -> int:
    shim = launcher.shim(handle)
    assert shim is not None
    return shim.pid


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 kB."""
    root = tmp_path / "small"
    root.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(root)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
    yield root
    subprocess.run(["umount", "-l", str(root)], check=True)


def test_a_full_disk_loses_neither_the_exit_code_nor_the_stop(small_disk: Path) -> None:
    launcher = LocalLauncher()
    plan = plan_for(small_disk, load=600)
    outcome = launcher.submit(plan, record_for(plan), {})
    assert isinstance(outcome, Launched)
    wait_ready(outcome.handle, "started")
    with (small_disk / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError, match="No space"):
        while True:
            filler.write(b"\0" * 4096)
    second = plan_for(small_disk, name="r2")
    refused = launcher.submit(second, record_for(second), {})
    assert isinstance(refused, Refused) and refused.code == "disk"
    assert sorted(path.name for path in (small_disk / "saves/m/lora").iterdir()) == ["r1"]
    assert launcher.stop(outcome.handle, "graceful") is None
    wait_for(lambda: ended(launcher, outcome.handle))
    status = launcher.poll(outcome.handle)
    assert status.exit is not None and (status.exit.code, status.exit.stop) == (-15, ("graceful",))


def test_a_read_only_workspace_is_refused(small_disk: Path) -> None:
    plan = plan_for(small_disk)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    outcome = LocalLauncher().submit(plan, record_for(plan), {})
    assert isinstance(outcome, Refused) and outcome.code == "readonly"


def test_a_nul_in_an_argument_starts_nothing(workspace: Path) -> None:
    plan = plan_for(workspace, env={"A": "x\0y"})
    outcome = LocalLauncher().submit(plan, record_for(plan), {})
    assert isinstance(outcome, Refused) and outcome.code == "start_failed"
    assert not (workspace / plan.output_dir).exists()


def test_elsewhere_than_on_linux_start_says_so(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    plan = plan_for(workspace)
    assert LocalLauncher().submit(plan, record_for(plan), {}) == Refused("not_linux", {"platform": "darwin"})


def test_the_lock_tells_who_supervises(workspace: Path) -> None:
    launcher = LocalLauncher()
    plan = plan_for(workspace, load=600)
    outcome = launcher.submit(plan, record_for(plan), {})
    assert isinstance(outcome, Launched)
    control = outcome.handle.paths.attempt(1)
    wait_for(lambda: control.child.exists())
    assert holder(control.lock) == shim_pid(launcher, outcome.handle)
    assert holder(control.root / "nothing") == 0
    launcher.stop(outcome.handle, "kill")
    wait_for(lambda: holder(control.lock) == 0)
    assert ended(launcher, outcome.handle)


def test_an_attempt_is_started_once(workspace: Path) -> None:
    launcher = LocalLauncher()
    plan = plan_for(workspace, steps=1)
    outcome = launcher.submit(plan, record_for(plan), {})
    assert isinstance(outcome, Launched)
    wait_for(lambda: ended(launcher, outcome.handle))
    control = outcome.handle.paths.attempt(1)
    before = outcome.handle.paths.exit.read_text()
    wait_for(lambda: holder(control.lock) == 0)  # the end is told first: while it holds the lock it answers for the run
    assert "already started" in supervised_again(control)
    assert outcome.handle.paths.exit.read_text() == before


def test_a_supervisor_that_still_lives_lets_no_other_in(workspace: Path, tmp_path: Path) -> None:
    """Between the published end and the end of the shim itself, too: a moment that a busy machine makes long."""
    launcher = LocalLauncher()
    pause = tmp_path / "pause"
    plan = plan_for(workspace, steps=1, env={VARIABLE: f"shim.after_publish=pause:{pause}"})
    outcome = launcher.submit(plan, record_for(plan), {})
    assert isinstance(outcome, Launched)
    shim = launcher.shim(outcome.handle)
    assert shim is not None
    wait_for(pause.exists)
    assert ended(launcher, outcome.handle)
    assert "another supervisor holds this attempt" in supervised_again(outcome.handle.paths.attempt(1))
    pause.unlink()
    assert shim.wait(20) == 0
    assert "already started" in supervised_again(outcome.handle.paths.attempt(1))


def supervised_again(control: AttemptPaths) -> str:
    """What a second supervisor of an attempt says, which must refuse it."""
    command = [sys.executable, "-I", "-S", SUPERVISOR, str(control.root)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    return done.stderr


def test_the_marker_is_the_childs_alone(workspace: Path) -> None:
    """A stop that goes by the marker must not reach the shim, which is to record it."""
    launcher = LocalLauncher()
    plan = plan_for(workspace, load=600)
    outcome = launcher.submit(plan, record_for(plan), {})
    assert isinstance(outcome, Launched)
    wait_ready(outcome.handle, "started")
    child = json.loads(outcome.handle.paths.attempt(1).child.read_text())
    assert members(outcome.handle) == [child["child"]]
    assert child["shim"] == shim_pid(launcher, outcome.handle)
    launcher.stop(outcome.handle, "kill")
    wait_for(lambda: ended(launcher, outcome.handle))
    assert members(outcome.handle) == []


def test_without_a_shim_killing_goes_on_until_nobody_is_left(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    launcher = LocalLauncher()
    plan = plan_for(workspace, load=600)
    outcome = launcher.submit(plan, record_for(plan), {})
    assert isinstance(outcome, Launched)
    wait_ready(outcome.handle, "started")
    os.kill(shim_pid(launcher, outcome.handle), signal.SIGKILL)
    wait_for(lambda: holder(outcome.handle.paths.attempt(1).lock) == 0)
    with monkeypatch.context() as patch:  # the first round finds nobody: they were just being made
        patch.setattr(local, "marked", lambda value: [])
        patch.setattr(local, "recorded_alive", lambda child, boot: [])
        launcher.stop(outcome.handle, "kill")
    outcome.handle.paths.attempt(1).armed.rename(outcome.handle.paths.attempt(1).stop("kill"))
    assert len(members(outcome.handle)) == 1
    assert launcher.poll(outcome.handle).phase == "running"
    wait_for(lambda: launcher.poll(outcome.handle).phase == "lost")
    assert members(outcome.handle) == []


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_said_at_start(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Nobody could tell whether such a run lives: it would be STARTING for ever."""

    def none(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(local.fcntl, "lockf", none)
    plan = plan_for(workspace)
    root = workspace / "saves/m/lora/r1"
    assert LocalLauncher().submit(plan, record_for(plan), {}) == Refused("no_locks", {"path": str(root)})
    assert not root.exists()


def going_on(workspace: Path) -> tuple[Launched, AttemptPaths]:
    """A run whose program is ready, and the control files of its attempt."""
    plan = plan_for(workspace, load=600)
    outcome = LocalLauncher().submit(plan, record_for(plan), {})
    assert isinstance(outcome, Launched)
    wait_ready(outcome.handle, "started")
    return outcome, outcome.handle.paths.attempt(1)


@pytest.mark.parametrize("told", [False, True])
def test_a_run_that_begins_while_it_is_looked_at_is_not_over(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    """Its supervisor slept longer than anybody waits for one, and wakes behind the first look at its lock."""
    outcome, control = going_on(workspace)
    wait_for(control.child.exists)
    late = LocalLauncher(MachineIdentity(clock=lambda: boot_clock() + 3600))
    real = {name: getattr(local, name) for name in ("holder", "look_json")}
    looked: list[Path] = []

    def asleep(name: str, path: Path) -> Any:
        looked.append(path)
        if looked.count(path) == 1 and path in (control.child, control.lock):
            return {} if path == control.child else 0
        return real[name](path)

    for name in real:
        monkeypatch.setattr(local, name, lambda path, name=name: asleep(name, path))
    monkeypatch.setattr(late, "members", lambda *_: [])
    if not told:
        control.child.rename(control.taken)
    status = late.poll(outcome.handle)
    os.kill(members(outcome.handle)[0], signal.SIGKILL)
    assert (status.phase, status.why) == ("running" if told else "starting", None)


def test_an_attempt_that_was_given_up_is_not_waited_for(workspace: Path) -> None:
    """Its folder is as young as that of one whose supervisor may still come."""
    plan = plan_for(workspace, load=600)
    paths = folder.make(plan, record_for(plan))
    assert isinstance(paths, RunPaths)
    handle = Handle(plan.run_id, 1, paths)
    assert LocalLauncher().poll(handle).phase == "starting"
    assert LocalLauncher().give_up(handle)
    status = LocalLauncher().poll(handle)
    assert (status.phase, status.unused) == ("ended", True)


@pytest.mark.parametrize("other", [{"pids": "pid:[1]"}, {"uid": 12345}], ids=["another container", "another user"])
def test_processes_that_cannot_be_seen_are_those_of_another_machine(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, other: dict[str, object]
) -> None:
    """Where its supervisor is dead, nobody here can tell whether such a run lives: it is not called gone."""
    outcome, control = going_on(workspace)
    child = json.loads(control.child.read_text())["child"]
    control.spec.write_text(json.dumps({**json.loads(control.spec.read_text()), **other}))
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    assert LocalLauncher().poll(outcome.handle).phase == "running"  # its lock is held
    monkeypatch.setattr(local, "holder", lambda lock: 0)
    status = LocalLauncher().poll(outcome.handle)
    os.kill(child, signal.SIGKILL)
    assert (status.phase, status.why) == ("lost", "host")
