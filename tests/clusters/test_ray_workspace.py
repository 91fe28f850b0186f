"""A job of a workspace on a Ray target: from targets.toml to the end of a real training."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import lfdash
from lfdash.demo.__main__ import make_data
from lfdash.engine import resume
from lfdash.engine.services import Services, find_project
from lfdash.launchers.base import Launched
from lfdash.launchers.ray_calls import Calls
from lfdash.outcomes import Refused
from lfdash.runs.record import RunState
from tests.clusters.test_slurm_workspace import PRESET
from tests.support.clusters.launchers import ray_target
from tests.support.clusters.ray import RayCluster
from tests.support.models import pretend_model
from tests.support.runs import fake_cli, plan_for, record_for, wait_end, wait_for, wait_ready

pytestmark = pytest.mark.clusters


@pytest.fixture
def services(ray_cluster: RayCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    """A workspace with the demo's data, a stand-in for LLaMA-Factory, and a target."""
    monkeypatch.setattr("lfdash.workspace.devices.read_gpus", lambda: ((), None))
    monkeypatch.setenv("LFDASH_CLI", fake_cli(tmp_path))
    make_data(tmp_path / "workspace" / "data")
    pretend_model(tmp_path / "workspace")
    made = Services(find_project(), tmp_path / "workspace")
    assert made.registry.targets.put(ray_target(ray_cluster), None) is None
    made.registry.start()
    yield made
    made.close()


def job(services: Services, name: str = "r1", **args: Any) -> tuple[Any, Any]:
    launcher = services.launcher_on("pool")
    plan = launcher.plan(plan_for(services.workspace.root, name=name, cli=services.cli_path, **args))
    return plan, record_for(plan, launcher.name)


def test_a_job_on_a_target_is_watched_stopped_and_resumed(services: Services) -> None:
    registry = services.registry
    plan, record = job(services, steps=20000, delay=0.01)
    assert "entrypoint_num_gpus: 0" in str(plan)
    outcome = registry.launch(plan, record)
    assert isinstance(outcome, Launched), outcome
    seen = wait_for(lambda: (v := registry.get(plan.run_id)) and v.scheduled and v.state is RunState.RUNNING and v, 40)
    assert seen.record.launcher == "ray:pool" and seen.unseen is None
    assert (seen.scheduled.by, seen.scheduled.word) == ("ray", "RUNNING")
    wait_ready(outcome.handle)
    wait_for(lambda: (registry.get(plan.run_id).progress.step or 0) > 3)
    assert registry.stop(plan.run_id, "graceful") is None
    assert registry.get(plan.run_id).state is RunState.STOPPING
    view = wait_end(registry, plan.run_id, 40)
    assert view.state is RunState.STOPPED and view.saved.model == "adapter" and view.scheduled is None
    prepared = resume.prepare_resume(services, view, 5, "x")
    assert prepared is not None and "lfdash-id-r1-2" in str(prepared.plan)


def test_a_target_that_changed_or_went_is_not_used(services: Services, ray_cluster: RayCluster) -> None:
    plan, record = job(services, steps=200, delay=0.02)
    old = ray_target(ray_cluster)
    assert services.registry.targets.put(replace(old, cpus=2), old) is None
    assert services.registry.launch(plan, record) == Refused("target_differs", {"name": "pool"})
    plan, record = job(services, steps=200, delay=0.02)
    assert isinstance(services.registry.launch(plan, record), Launched)
    assert services.registry.targets.remove("pool", services.registry.targets.read().rows["pool"]) is None
    other = Services(find_project(), services.workspace.root)  # whose folder tells it where the job is
    other.registry.start()
    try:
        assert wait_end(other.registry, plan.run_id, 40).state is RunState.SUCCEEDED
    finally:
        other.close()


def test_the_page_costs_no_more_questions_than_its_pace(services: Services, ray_cluster: RayCluster) -> None:
    """Many runs, many looks: one question every three seconds at most."""
    registry = services.registry
    for number in range(6):
        assert isinstance(registry.launch(*job(services, f"m{number}", load=60)), Launched)
    asks = registry.launchers.get("ray:pool").jobs(Calls(ray_cluster.address, str(ray_cluster.token_file)))
    before = asks.asked
    end = time.monotonic() + 7
    while time.monotonic() < end:
        registry.refresh()
    assert 1 <= asks.asked - before <= 4
    for number in range(6):
        registry.stop(f"id-m{number}", "kill")
    for number in range(6):
        wait_end(registry, f"id-m{number}", 60)


@pytest.mark.train_env
def test_a_real_training(
    ray_cluster: RayCluster, demo_workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The demo with LLaMA-Factory itself: started on a target, stopped so that it saves, resumed, finished."""
    monkeypatch.delenv("LFDASH_CLI", raising=False)
    root = tmp_path / "workspace"
    shutil.copytree(demo_workspace, root, symlinks=True)
    workspace = lfdash.open(root)
    registry = workspace.services.registry
    target = ray_target(ray_cluster, memory="3000M", env={"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"})
    assert registry.targets.put(target, None) is None
    run = workspace.start(PRESET, {"max_steps": 16, "save_steps": 2, "logging_steps": 1}, target="pool")
    assert isinstance(run, lfdash.Run), run

    def step() -> int:
        registry.refresh()
        return (view := registry.get(run.id)) is not None and (view.progress.step or 0)

    wait_for(lambda: step() >= 3, 240)
    assert registry.stop(run.id, "graceful") is None
    wait_for(lambda: (registry.refresh(), registry.get(run.id).state)[1] is RunState.STOPPED, 90)
    view = registry.get(run.id)
    assert view.saved.model == "adapter" and view.record.last.exit.stop == ("graceful",)
    prepared = resume.prepare_resume(workspace.services, view, view.saved.checkpoints[-1], "resumed")
    assert isinstance(registry.launch(prepared.plan, prepared.record), Launched)
    wait_for(lambda: (registry.refresh(), registry.get(run.id).state)[1] is RunState.SUCCEEDED, 240)
    assert json.loads((view.path / "trainer_state.json").read_text())["global_step"] == 16
    ours = {row["submission_id"].rpartition("-")[0] for row in ray_cluster.jobs(root)}
    assert ours == {f"lfdash-{run.id}-{number}" for number in (1, 2)}
