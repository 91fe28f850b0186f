"""A sweep on a real Slurm: one array, a run each, and each exactly once wherever the dashboard is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lfdash.demo.__main__ import make_data
from lfdash.engine import sweeps as module
from lfdash.engine.opening import open_config
from lfdash.engine.services import Services, find_project
from lfdash.engine.sweep_views import SweepView
from lfdash.engine.sweeps import attach
from lfdash.jobs.job import JobConfig
from lfdash.jobs.sweep import Sweep, read_sweep
from lfdash.launchers.slurm_script import FILE
from lfdash.launchers.watching import JOB
from lfdash.outcomes import Refused
from lfdash.runs.record import TERMINAL, RunState
from lfdash.runs.view import RunView
from lfdash.supervisor.failpoints import CLUSTER_POINTS, VARIABLE
from lfdash.targets.target import Target
from tests.clusters.test_slurm_workspace import PRESET, target_on
from tests.support.clusters.slurm import SlurmCluster
from tests.support.models import pretend_model
from tests.support.runs import fake_cli, wait_for

pytestmark = pytest.mark.clusters
GRID = {"learning_rate": "0.001, 0.002, 0.003", "lora_rank": [8, 16]}
WAITING = "CONFIGURING,COMPLETING,PENDING,RUNNING,SUSPENDED"


class Dashboard:
    """Services on the workspace, whose thread a test takes the place of."""

    def __init__(self, folder: Path) -> None:
        self.services = Services(find_project(), folder)
        self.sweeps = attach(self.services)
        self.services.registry.refresh()

    def turn(self) -> None:
        self.services.registry.refresh()
        self.sweeps.tick()
        self.services.registry.dispatcher.advance()

    def asked(self, settings: Any = GRID, **options: Any) -> tuple[JobConfig, Sweep]:
        opened = open_config(self.services, PRESET, None, "lab")
        assert not isinstance(opened, Refused)
        sweep = read_sweep({"settings": settings, **options}, opened.job)
        assert isinstance(sweep, Sweep), sweep
        return opened.job, sweep

    def create(self, settings: Any = GRID, **options: Any) -> SweepView:
        found = self.sweeps.create(*self.asked(settings, **options))
        assert isinstance(found, SweepView), found
        return found

    def look(self, sweep: SweepView) -> SweepView:
        found = self.sweeps.get(sweep.id)
        assert isinstance(found, SweepView), found
        return found

    def until(self, sweep: SweepView, holds: Callable[[SweepView], bool], seconds: float = 120) -> SweepView:
        def turned() -> bool:
            self.turn()
            return holds(self.look(sweep))

        wait_for(turned, seconds)
        return self.look(sweep)

    def done(self, sweep: SweepView) -> SweepView:
        return self.until(sweep, lambda found: found.state == "done")

    def runs(self) -> list[RunView]:
        return [view for view in self.services.registry.snapshot() if view.record is not None]


@pytest.fixture
def folder(cluster: SlurmCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("lfdash.workspace.devices.read_gpus", lambda: ((), None))
    monkeypatch.setattr(module, "EVERY_S", 0.0)
    monkeypatch.setenv("LFDASH_CLI", fake_cli(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    make_data(tmp_path / "workspace" / "data")
    pretend_model(tmp_path / "workspace")
    return tmp_path / "workspace"


def does(services: Services, cluster: SlurmCluster, **more: Any) -> None:
    """The target, and what runs on it do."""
    told = json.dumps({"steps": 4, "scale": "learning_rate", **more})
    before = services.registry.targets.get("lab")
    target = target_on(cluster, memory="100M", env={"FAKE_ARGS": told}, save_s=0)
    known = before if isinstance(before, Target) else None
    assert services.registry.targets.put(target, known) is None


@pytest.fixture
def dashboard(folder: Path, cluster: SlurmCluster) -> Iterator[Dashboard]:
    found = Dashboard(folder)
    does(found.services, cluster)
    yield found
    found.services.close()


def arrays(cluster: SlurmCluster, sweep: SweepView) -> dict[str, int]:
    """Number of each array of a sweep -> how many jobs it had."""
    found: dict[str, int] = {}
    for job, _, name in cluster.jobs():
        if name == f"lfdash-sweep-{sweep.id}":
            found[job.partition("_")[0]] = found.get(job.partition("_")[0], 0) + 1
    return found


def started_once(folder: Path) -> dict[str, int]:
    return {path.parent.name: path.read_text().count("started\n") for path in folder.rglob("console.log")}


def test_a_grid_is_one_array_and_slurm_keeps_to_how_many_go_on(
    dashboard: Dashboard, folder: Path, cluster: SlurmCluster
) -> None:
    does(dashboard.services, cluster, delay=0.2)
    job, asked = dashboard.asked(parallel=2)
    taken = "lr1e-3_r8"
    (folder / "saves" / "demo-llama" / "lora" / taken).mkdir(parents=True)
    wait_for(lambda: dashboard.sweeps.scripts.of(job, asked, "0123abcd").state != "asking", 30)
    shown = dashboard.sweeps.scripts.of(job, asked, "0123abcd")
    sweep = dashboard.sweeps.create(job, asked, "0123abcd")
    assert isinstance(sweep, SweepView) and f"{taken}_2" in shown.text
    most: list[int] = []

    def over(found: SweepView) -> bool:
        most.append(len(cluster.jobs("-t", "RUNNING")))
        return found.state == "done"

    found = dashboard.until(sweep, over)
    assert max(most) == 2
    assert [one.state for one in found.trials] == ["complete"] * 6
    assert list(arrays(cluster, sweep).values()) == [6]
    number = next(iter(arrays(cluster, sweep)))
    views = {view.run_id: view for view in dashboard.runs()}
    for place, trial in enumerate(found.trials):
        view = views[trial.run_id]
        told = json.loads((view.paths.attempt(1).root / JOB).read_text())
        assert told == {"id": f"{number}_{place}"} and view.state is RunState.SUCCEEDED
        assert f"--job-name=lfdash-{trial.run_id}-1" in (view.path / FILE).read_text()
    assert set(started_once(folder).values()) == {1} and len(started_once(folder)) == 6
    script = (folder / ".lfdash" / "sweeps" / sweep.id / "arrays" / "0.sh").read_text()
    assert "--array=0-5%2" in script and shown.state == "array" and shown.text == script


def test_one_trial_is_stopped_and_then_the_sweep_and_it_goes_on(
    dashboard: Dashboard, folder: Path, cluster: SlurmCluster
) -> None:
    does(dashboard.services, cluster, steps=400, delay=0.02)
    sweep = dashboard.create(parallel=1)
    registry = dashboard.services.registry

    def view(number: int) -> RunView:
        found = registry.get(dashboard.look(sweep).trials[number].run_id)
        assert found is not None
        return found

    dashboard.until(sweep, lambda found: len(found.trials) == 6 and (view(0).progress.step or 0) > 2)

    def waits(_: SweepView) -> bool:
        told = view(5).scheduled
        return told is not None and (told.word, told.reason) == ("PENDING", "JobArrayTaskLimit")

    dashboard.until(sweep, waits)
    assert registry.stop(view(5).run_id, "graceful") is None and registry.stop(view(0).run_id, "graceful") is None
    dashboard.until(sweep, lambda found: found.trials[0].state == found.trials[5].state == "failed")
    assert view(0).state is view(5).state is RunState.STOPPED and view(0).saved.model == "adapter"
    dashboard.until(sweep, lambda found: (view(1).progress.step or 0) > 2)
    assert dashboard.sweeps.stop(sweep.id) is None
    dashboard.until(sweep, lambda found: all(one.state in ("failed", "stopped") for one in found.trials))
    wait_for(lambda: not cluster.jobs("-t", WAITING), 30)
    assert [one.state for one in dashboard.look(sweep).trials] == ["failed", *["stopped"] * 4, "failed"]
    does(dashboard.services, cluster)
    assert dashboard.sweeps.go_on(sweep.id) is None
    found = dashboard.done(sweep)
    assert [one.state for one in found.last] == ["failed", "failed", *["complete"] * 4]
    assert len(arrays(cluster, sweep)) == 2


def test_one_that_somebody_else_cancels_is_told_as_that(dashboard: Dashboard, cluster: SlurmCluster) -> None:
    """Slurm forgets at once a job of an array that waited."""
    does(dashboard.services, cluster, steps=100, delay=0.02)
    sweep = dashboard.create(parallel=1)
    registry = dashboard.services.registry
    found = dashboard.until(sweep, lambda found: len(found.trials) == 6 and bool(arrays(cluster, sweep)))
    number = next(iter(arrays(cluster, sweep)))
    cluster.call("scancel", f"{number}_4")
    found = dashboard.done(sweep)
    assert [one.state for one in found.trials] == [*["complete"] * 4, "failed", "complete"]
    view = registry.get(found.trials[4].run_id)
    assert view is not None and view.state is RunState.STOPPED and found.trials[4].reason == "by_hand"


def test_nodes_that_are_drained_let_the_rest_of_an_array_wait(dashboard: Dashboard, cluster: SlurmCluster) -> None:
    does(dashboard.services, cluster, steps=40, delay=0.02)
    sweep = dashboard.create(parallel=1)

    def words(found: SweepView) -> set[str]:
        views = [dashboard.services.registry.get(one.run_id) for one in found.trials]
        return {view.scheduled.reason for view in views if view and view.scheduled and view.scheduled.word == "PENDING"}

    dashboard.until(sweep, lambda found: any(one.state == "running" for one in found.trials))
    for name in ("n1", "n2"):
        cluster.call("scontrol", "update", f"nodename={name}", "state=drain", "reason=test")
    dashboard.until(sweep, lambda found: any("node" in word.lower() for word in words(found)), 60)
    for name in ("n1", "n2"):
        cluster.call("scontrol", "update", f"nodename={name}", "state=resume")
    assert [one.state for one in dashboard.done(sweep).trials] == ["complete"] * 6


def test_a_search_that_learns_is_handed_over_one_by_one(
    dashboard: Dashboard, folder: Path, cluster: SlurmCluster
) -> None:
    sweep = dashboard.create({"learning_rate": "0.0001 .. 0.01"}, strategy="tpe", trials=4)
    assert [one.state for one in dashboard.done(sweep).trials] == ["complete"] * 4
    assert arrays(cluster, sweep) == {}


def test_more_runs_than_an_array_may_have(
    dashboard: Dashboard, cluster: SlurmCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lfdash.launchers.slurm_array.MOST", 4)
    sweep = dashboard.create()
    assert [one.state for one in dashboard.done(sweep).trials] == ["complete"] * 6
    assert sorted(arrays(cluster, sweep).values()) == [2, 4]


def test_a_sweep_that_came_with_its_workspace_waits_for_its_user(
    dashboard: Dashboard, folder: Path, cluster: SlurmCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = dashboard.create()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another"))
    other = Dashboard(folder)
    try:
        for _ in range(3):
            other.turn()
        assert arrays(cluster, sweep) == {} and other.look(sweep).trials == ()
        assert other.sweeps.go_on(sweep.id) is None
        assert [one.state for one in other.done(sweep).trials] == ["complete"] * 6
    finally:
        other.services.close()


def test_a_paused_queue_keeps_a_sweep_back(dashboard: Dashboard, cluster: SlurmCluster) -> None:
    dashboard.services.registry.queue.change_settings(paused=True)
    sweep = dashboard.create()
    for _ in range(3):
        dashboard.turn()
    assert arrays(cluster, sweep) == {}
    dashboard.services.registry.queue.change_settings(paused=False)
    dashboard.done(sweep)


def test_an_array_that_is_refused_is_submitted_again(
    dashboard: Dashboard, cluster: SlurmCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left behind, and it is not smaller: no limit of jobs was named."""
    before = dashboard.services.registry.targets.get("lab")
    assert isinstance(before, Target)
    assert dashboard.services.registry.targets.put(replace(before, partition="nowhere"), before) is None
    sweep = dashboard.create()
    dashboard.turn()
    dashboard.turn()
    assert dashboard.runs() == [] and dashboard.sweeps.handover.most == {}
    assert dashboard.services.registry.targets.put(before, replace(before, partition="nowhere")) is None
    assert dashboard.sweeps.go_on(sweep.id) is None
    assert [one.state for one in dashboard.done(sweep).trials] == ["complete"] * 6
    assert sorted(arrays(cluster, sweep).values()) == [6]


@pytest.mark.parametrize("known", [True, False])
def test_a_controller_that_is_down_for_long_while_a_sweep_is_handed_over(
    dashboard: Dashboard, folder: Path, cluster: SlurmCluster, known: bool
) -> None:
    """The runs are one array once it is back, each started once. known: whether it had said how large arrays may be."""
    minutes = [0.0]
    dashboard.services.registry.rests._clock = lambda: 60 * minutes[0]
    launcher = dashboard.services.launcher_on("lab")
    if known:
        wait_for(lambda: isinstance(launcher.most_together(), int))
    cluster.kill("slurmctld")
    sweep = dashboard.create(parallel=2)
    for _ in range(3):
        dashboard.turn()
        minutes[0] += 10
    refused = wait_for(lambda: (dashboard.turn(), dashboard.sweeps.refused(dashboard.look(sweep)))[1], 60)
    assert refused.code in ("scheduler_refused", "scheduler_silent") and dashboard.runs() == []
    cluster.clear()
    minutes[0] += 10
    if not known:
        launcher._sizes.clear()  # asked once a minute
    found = dashboard.done(sweep)
    assert [one.state for one in found.trials] == ["complete"] * 6
    assert list(arrays(cluster, sweep).values()) == [6]
    assert len(started_once(folder)) == 6 and set(started_once(folder).values()) == {1}
    assert dashboard.sweeps.refused(found) is None


KILLED = """
import sys
from pathlib import Path
from lfdash.engine import sweeps
from tests.clusters.test_slurm_sweeps import Dashboard
sweeps.EVERY_S = 0.0
dashboard = Dashboard(Path(sys.argv[1]))
for _ in range(100):
    dashboard.turn()
"""
POINTS = [
    "array.asked", "sweep.named", "folder.before_rename", "folder.after_rename", "array.queued",
    *(point for point in CLUSTER_POINTS if point.startswith("array.")),
]


@pytest.mark.parametrize("point", POINTS)
def test_a_dashboard_that_is_killed_while_it_submits(
    dashboard: Dashboard, folder: Path, cluster: SlurmCluster, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one carries the sweep on: every run is there, and was started exactly once."""
    monkeypatch.setattr("lfdash.launchers.watching.SUBMIT_S", 1.0)
    sweep = dashboard.create()
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(folder)], env={**os.environ, VARIABLE: f"{point}=kill"},
        capture_output=True, text=True, timeout=120,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    later = Dashboard(folder)
    try:
        found = later.done(sweep)
        assert [one.state for one in found.last] == ["complete"] * 6
        assert len(started_once(folder)) == 6 and set(started_once(folder).values()) == {1}
        assert all(view.state in TERMINAL for view in later.runs()) and len(later.runs()) == 6
    finally:
        later.services.close()
