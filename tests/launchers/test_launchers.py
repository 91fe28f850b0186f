"""One contract, held by every launcher; then what the local one alone must do."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lfdash.launchers import folder, local, table
from lfdash.launchers.base import Launched, Launcher
from lfdash.launchers.fake import FakeLauncher
from lfdash.launchers.local import SUPERVISOR, LocalLauncher, holder
from lfdash.outcomes import Refused, refused_by
from lfdash.runs.paths import AttemptPaths
from lfdash.runs.plan import LaunchPlan
from lfdash.runs.record import Handle, RunRecord
from lfdash.supervisor.failpoints import VARIABLE
from tests.support.runs import members, plan_for, record_for, wait_for, wait_ready


class Driver:
    """Makes the runs of a launcher begin and end, whatever that takes."""

    def __init__(self, launcher: Launcher) -> None:
        self.launcher = launcher

    def plan(self, workspace: Path, code: int) -> LaunchPlan:
        return plan_for(workspace, load=0.2, fail=f"exit:{code}")

    def submit(self, plan: LaunchPlan) -> Handle:
        outcome = self.launcher.submit(plan, record_for(plan), {})
        assert isinstance(outcome, Launched), outcome
        if isinstance(self.launcher, FakeLauncher):
            self.launcher.begin(outcome.handle)
        return outcome.handle

    def finish(self, handle: Handle, code: int) -> None:
        if isinstance(self.launcher, FakeLauncher):
            self.launcher.end(handle, code)


@pytest.fixture(params=table.TABLE)
def driver(request: pytest.FixtureRequest) -> Driver:
    return Driver(table.get(request.param))


def shim_pid(launcher: LocalLauncher, handle: Handle) -> int:
    shim = launcher.shim(handle)
    assert shim is not None
    return shim.pid


def ended(launcher: Launcher, handle: Handle) -> bool:
    return launcher.poll(handle).phase == "ended"


@pytest.mark.parametrize("code", [0, 3])
def test_a_run_is_alive_then_ends_with_its_code(driver: Driver, workspace: Path, code: int) -> None:
    plan = driver.plan(workspace, code)
    handle = driver.submit(plan)
    first = driver.launcher.poll(handle)
    assert first.phase in ("starting", "running") and first.exit is None and first.wish is None
    wait_for(lambda: driver.launcher.poll(handle).phase in ("running", "ended"))
    driver.finish(handle, code)
    wait_for(lambda: ended(driver.launcher, handle))
    status = driver.launcher.poll(handle)
    assert status.exit is not None and (status.exit.code, status.exit.stop) == (code, ())
    assert driver.launcher.stop(handle, "kill") == Refused("not_running")


def test_the_folder_tells_everything_before_anything_runs(driver: Driver, workspace: Path) -> None:
    plan = driver.plan(workspace, 0)
    handle = driver.submit(plan)
    assert handle.paths.root == workspace / plan.output_dir
    for name, text in plan.files.items():
        assert (handle.paths.root / name).read_text() == text
    record = RunRecord.from_json(handle.paths.record.read_text())
    assert (record.run_id, record.launcher, record.last.argv) == (plan.run_id, driver.launcher.name, plan.argv)
    assert record.created > 0 and record.last.started and record.host == os.uname().nodename
    driver.finish(handle, 0)
    wait_for(lambda: ended(driver.launcher, handle))


def test_a_plan_may_get_more_and_stays_the_same_run(driver: Driver, workspace: Path) -> None:
    """What a launcher adds is there before the preview, and is what runs."""
    plan = driver.plan(workspace, 0)
    planned = driver.launcher.plan(plan)
    assert planned == driver.launcher.plan(plan)
    for name in ("run_id", "attempt", "cwd", "output_dir"):
        assert getattr(planned, name) == getattr(plan, name)
    assert planned.files.items() >= plan.files.items() and planned.env.items() >= plan.env.items()
    handle = driver.submit(planned)
    record = RunRecord.from_json(handle.paths.record.read_text())
    assert record.last.env == planned.env
    driver.finish(handle, 0)
    wait_for(lambda: ended(driver.launcher, handle))


def test_another_instance_adopts_and_stops(driver: Driver, workspace: Path) -> None:
    plan = plan_for(workspace, load=600)
    handle = driver.submit(plan)
    other = Driver(table.get(driver.launcher.name))
    adopted = other.launcher.adopt(handle.paths, RunRecord.from_json(handle.paths.record.read_text()))
    wait_for(lambda: other.launcher.poll(adopted).phase == "running")
    assert other.launcher.stop(adopted, "kill") is None
    assert driver.launcher.poll(handle).wish == "kill" or ended(driver.launcher, handle)
    other.finish(adopted, -9)
    wait_for(lambda: ended(other.launcher, adopted))
    status = driver.launcher.poll(handle)
    assert status.exit is not None and (status.exit.code, status.exit.stop) == (-9, ("kill",))


def test_a_taken_folder_is_refused_untouched(driver: Driver, workspace: Path) -> None:
    plan = driver.plan(workspace, 0)
    handle = driver.submit(plan)
    before = handle.paths.record.read_text()
    assert driver.launcher.submit(plan, record_for(plan), {}) == Refused("exists", {"path": plan.output_dir})
    assert handle.paths.record.read_text() == before
    driver.finish(handle, 0)
    wait_for(lambda: ended(driver.launcher, handle))


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.ENOSPC, "disk"), (errno.EDQUOT, "disk"), (errno.EROFS, "readonly"), (errno.EACCES, "readonly")],
)
def test_a_disk_that_fails_half_way_leaves_nothing(
    driver: Driver, workspace: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: str
) -> None:
    written = []

    def failing(path: Path, text: str) -> None:
        written.append(path)
        if len(written) == 3:
            raise OSError(number, os.strerror(number))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    monkeypatch.setattr(folder, "write", failing)
    plan = driver.plan(workspace, 0)
    outcome = driver.launcher.submit(plan, record_for(plan), {})
    assert outcome == Refused(code, {"path": str(workspace / plan.output_dir)})
    assert len(written) == 3 and list(workspace.iterdir()) == []


def test_other_failures_of_the_disk_are_told() -> None:
    refused = refused_by(OSError(errno.EIO, "broken"), Path("x"))
    assert refused.code == "start_failed" and "broken" in refused.params["reason"]


# -- the local launcher ---------------------------------------------------------------------------------


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
        launcher.stop(outcome.handle, "kill")
    outcome.handle.paths.attempt(1).armed.rename(outcome.handle.paths.attempt(1).stop("kill"))
    assert len(members(outcome.handle)) == 1
    assert launcher.poll(outcome.handle).phase == "running"
    wait_for(lambda: launcher.poll(outcome.handle).phase == "lost")
    assert members(outcome.handle) == []
