"""One contract, held by every launcher."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lfdash.launchers import folder, table
from lfdash.launchers.base import Launched, Launcher
from lfdash.launchers.fake import FakeLauncher
from lfdash.launchers.local import LocalLauncher
from lfdash.llamafactory.locate import Cli
from lfdash.llamafactory.warm import Warm
from lfdash.outcomes import Refused
from lfdash.runs.plan import LaunchPlan
from lfdash.runs.record import Handle, RunRecord
from tests.support.clusters.launchers import ray_launcher, slurm_launcher
from tests.support.runs import ended, plan_for, record_for, wait_for
from tests.support.warm import kept_warm, warmable_cli


class Driver:
    """Makes the runs of a launcher begin and end, whatever that takes."""

    def __init__(
        self, launcher: Launcher, cli: str | None = None, again: Callable[[], Launcher] | None = None
    ) -> None:
        self.launcher = launcher
        self.cli = cli
        self.again = again or type(launcher)  # makes another instance

    def plan(self, workspace: Path, code: int) -> LaunchPlan:
        return self.launcher.plan(self.job(workspace, code))

    def job(self, workspace: Path, code: int) -> LaunchPlan:
        """A plan before the launcher has seen it."""
        return plan_for(workspace, load=0.2, fail=f"exit:{code}", cli=self.cli)

    def submit(self, plan: LaunchPlan) -> Handle:
        outcome = self.launcher.submit(plan, record_for(plan), {})
        assert isinstance(outcome, Launched), outcome
        if isinstance(self.launcher, FakeLauncher):
            self.launcher.begin(outcome.handle)
        return outcome.handle

    def finish(self, handle: Handle, code: int) -> None:
        if isinstance(self.launcher, FakeLauncher):
            self.launcher.end(handle, code)


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Warm, Cli]]:
    folder = tmp_path_factory.mktemp("warm")
    cli = warmable_cli(folder)
    with kept_warm(cli, folder) as found:
        yield found, cli


# the stand-in keeps the same contract, and so does a start from a LLaMA-Factory that is kept warm
SCHEDULERS = [pytest.param(name, marks=pytest.mark.clusters) for name in table.TARGETS]


@pytest.fixture(params=[*table.TABLE, "warm", "fake", *SCHEDULERS])
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Driver]:
    if request.param == "slurm":
        cluster = request.getfixturevalue("cluster")
        yield Driver(slurm_launcher(cluster), again=lambda: slurm_launcher(cluster))
        return
    if request.param == "ray":
        ray = request.getfixturevalue("ray_cluster")
        yield Driver(ray_launcher(ray), again=lambda: ray_launcher(ray))
        return
    if request.param != "warm":
        yield Driver(FakeLauncher() if request.param == "fake" else table.get(request.param))
        return
    launcher = LocalLauncher()
    launcher.forks, cli = request.getfixturevalue("warm")
    yield Driver(launcher, cli.path)
    for log in tmp_path.rglob("shim.log"):
        assert "without" not in log.read_text(), "it was started cold"
    assert launcher.forks.state == "ready"


@pytest.mark.parametrize("code", [0, 3])
def test_a_run_is_alive_then_ends_with_its_code(driver: Driver, workspace: Path, code: int) -> None:
    plan = driver.plan(workspace, code)
    handle = driver.submit(plan)
    first = driver.launcher.poll(handle)
    assert first.phase in ("pending", "starting", "running") and first.exit is None and first.wish is None
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
    plan = driver.job(workspace, 0)
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
    plan = driver.launcher.plan(plan_for(workspace, load=600, cli=driver.cli))
    handle = driver.submit(plan)
    other = Driver(driver.again())
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
