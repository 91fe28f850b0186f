"""What a shim trusts and what it refuses. What it does with runs is in test_registry.py."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lfdash.launchers import folder
from lfdash.launchers.base import Launched
from lfdash.launchers.local import SUPERVISOR, LocalLauncher
from lfdash.runs.paths import RunPaths
from lfdash.runs.record import Handle
from lfdash.supervisor.records import TAKEN, give_up, take_right
from tests.support import PROGRAMS
from tests.support.runs import members, plan_for, record_for, wait_for, wait_ready

BLIND = """
import json, subprocess, sys
from lfdash.supervisor import shim
one = shim.Shim(sys.argv[1])
one.bell = one.hang_bell()
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
real, looks = shim.descendants, []
def descendants(root):
    looks.append(root)
    return [] if len(looks) < 4 else real(root)
shim.descendants, shim.SETTLE_S = descendants, 0.1
one.sweep()
print(json.dumps([len(looks) >= 4, one.reap(), one.leftovers]))
"""


def test_the_sweep_does_not_trust_a_look_that_finds_nobody(tmp_path: Path) -> None:
    """A look at /proc misses a process that is just being made. In a process of its own, since it waits for all."""
    (tmp_path / "spec.json").write_text("{}")
    done = subprocess.run([sys.executable, "-c", BLIND, str(tmp_path)], capture_output=True, text=True, timeout=30)
    assert done.stdout == "[true, false, 1]\n", done.stderr


def test_a_second_shim_does_not_start_the_attempt_again(tmp_path: Path) -> None:
    """Neither beside the first nor after the first was killed: the child of the first still runs."""
    launcher = LocalLauncher()
    plan = plan_for(tmp_path, load=600)
    outcome = launcher.submit(plan, record_for(plan), {})
    assert isinstance(outcome, Launched)
    wait_ready(outcome.handle, "started")
    control = outcome.handle.paths.attempt(1)
    command = [sys.executable, "-I", "-S", SUPERVISOR, str(control.root)]
    beside = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert beside.returncode == 1 and "another supervisor" in beside.stderr
    shim = launcher.shim(outcome.handle)
    assert shim is not None
    shim.kill()
    shim.wait()
    after = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert after.returncode == 1 and "already started" in after.stderr
    assert len(members(outcome.handle)) == 1
    launcher.stop(outcome.handle, "kill")
    wait_for(lambda: not members(outcome.handle))


def paused(workspace: Path, point: str, **args: float) -> tuple[LocalLauncher, Handle, Path]:
    """A run whose shim waits at a point until a file is gone."""
    launcher, pause = LocalLauncher(), workspace.parent / "pause"
    plan = plan_for(workspace, **{"steps": 2, **args}, env={"LFDASH_FAILPOINTS": f"{point}=pause:{pause}"})
    outcome = launcher.submit(plan, record_for(plan), {})
    assert isinstance(outcome, Launched)
    wait_for(lambda: pause.exists() and pause.read_text())
    return launcher, outcome.handle, pause


def wait_shim(launcher: LocalLauncher, handle: Handle) -> int:
    """The exit code of a run's shim."""
    shim = launcher.shim(handle)
    assert shim is not None
    return shim.wait(20)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    root = tmp_path / "workspace"
    root.mkdir()
    return root


@pytest.mark.parametrize("point", ["shim.entered", "shim.locked", "shim.before_start"])
def test_a_shim_that_was_given_up_starts_nothing(workspace: Path, point: str) -> None:
    """It slept, before its lock or under it; in the folder above a later attempt may have written its end."""
    launcher, handle, pause = paused(workspace, point)
    control = handle.paths.attempt(1)
    assert give_up(str(control.root))
    before = handle.paths.listing()
    pause.unlink()
    assert wait_shim(launcher, handle) == 1
    assert control.shim_log.read_text() == "given up before it started\n"
    assert handle.paths.listing() == before and not handle.paths.console.exists() and not handle.paths.exit.exists()


def test_a_shim_that_has_its_right_cannot_be_given_up(workspace: Path) -> None:
    launcher, handle, pause = paused(workspace, "shim.taken")
    control = handle.paths.attempt(1)
    assert not give_up(str(control.root))
    pause.unlink()
    assert wait_shim(launcher, handle) == 0
    assert '"code": 0' in handle.paths.exit.read_text()
    assert control.child.exists() and not (control.root / TAKEN).exists() and not give_up(str(control.root))


def test_a_run_that_is_stopped_before_it_starts_is_started_and_stopped(workspace: Path) -> None:
    """The wish renames another file than the right to start."""
    launcher, handle, pause = paused(workspace, "shim.before_start", steps=100_000, delay=0.02)
    assert launcher.stop(handle, "graceful") is None
    pause.unlink()
    assert wait_shim(launcher, handle) == 0
    assert '"stop": ["graceful"]' in handle.paths.exit.read_text()


@pytest.mark.parametrize("given_up", [True, False])
def test_a_shim_of_the_version_before_is_kept_from_starting_too(workspace: Path, given_up: bool) -> None:
    """And starts what was not given up, from a folder of today."""
    plan = plan_for(workspace, steps=2)
    paths = folder.make(plan, record_for(plan))
    assert isinstance(paths, RunPaths)
    control = paths.attempt(1)
    assert not given_up or give_up(str(control.root))
    command = [sys.executable, "-I", "-S", str(PROGRAMS / "supervisor_0_1" / "shim.py"), str(control.root)]
    older = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert (older.returncode, paths.exit.exists(), paths.console.exists()) == (given_up, not given_up, not given_up)
    assert give_up(str(control.root)) is given_up


REFUSED = """
import errno, fcntl, os, sys
from lfdash.supervisor.shim import Shim
def lockf(*_):
    raise OSError(getattr(errno, sys.argv[2]), os.strerror(getattr(errno, sys.argv[2])))
fcntl.lockf = lockf
Shim(sys.argv[1]).main()
"""


def without_lock(workspace: Path, name: str, before: Callable[[str], bool] | None = None) -> tuple[str, Handle]:
    """What a shim says whose lock is refused with that error, and its run."""
    plan = plan_for(workspace, steps=2)
    paths = folder.make(plan, record_for(plan))
    assert isinstance(paths, RunPaths) and (before is None or before(str(paths.attempt(1).root)))
    command = [sys.executable, "-c", REFUSED, str(paths.attempt(1).root), name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert done.returncode == 1 and not paths.console.exists()
    return done.stderr, Handle(plan.run_id, 1, paths)


@pytest.mark.parametrize("name", ["ENOLCK", "ENOTSUP", "EOPNOTSUPP", "EINVAL", "ENOSYS"])
def test_a_file_system_without_locks_is_said_and_ends_the_attempt(workspace: Path, name: str) -> None:
    said, handle = without_lock(workspace, name)
    last = said.splitlines()[-1]
    assert last.startswith("this file system has no POSIX locks (") and "another disk" in last
    status = LocalLauncher().poll(handle)
    assert status.phase == "ended" and status.exit is not None and (status.exit.code, status.exit.error) == (127, last)


@pytest.mark.parametrize(
    ("name", "words"),
    [("EAGAIN", "another supervisor holds this attempt"), ("EACCES", "another supervisor holds this attempt"),
     ("ESTALE", "the lock of this attempt cannot be taken (ESTALE: ")],
)
def test_any_other_refusal_of_the_lock_ends_nothing(workspace: Path, name: str, words: str) -> None:
    """Another one may be at work, or the disk be away for a moment."""
    said, handle = without_lock(workspace, name)
    assert said.splitlines()[-1].startswith(words)
    assert not handle.paths.exit.exists() and give_up(str(handle.paths.attempt(1).root))


@pytest.mark.parametrize("before", [give_up, take_right])
def test_without_locks_nothing_is_recorded_for_somebody_else(workspace: Path, before: Callable[[str], bool]) -> None:
    """The attempt was given up, and there may be a later one, or another supervisor has started it."""
    said, handle = without_lock(workspace, "ENOLCK", before)
    assert "no POSIX locks" in said and not handle.paths.exit.exists()
