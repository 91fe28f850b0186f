"""A job of a workspace on a target: from targets.toml to the end of a real training, with all that lies between."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import lfdash
from lfdash.demo.__main__ import make_data
from lfdash.engine import context, resume
from lfdash.engine.services import Services, find_project
from lfdash.launchers.base import Launched
from lfdash.outcomes import Refused
from lfdash.queue.store import Queued
from lfdash.runs.record import RunState
from lfdash.targets.target import Target
from tests.support import ROOT
from tests.support.clusters.slurm import SlurmCluster
from tests.support.models import pretend_model
from tests.support.runs import fake_cli, plan_for, record_for, wait_end, wait_for, wait_ready

pytestmark = pytest.mark.clusters
PRESET = ROOT / "configs" / "presets" / "demo.yaml"


def target_on(cluster: SlurmCluster, **more: Any) -> Target:
    target = Target("lab", "slurm", slurm_conf=str(cluster.conf), python=sys.executable, cpus=1, gpus=0, memory="1000M")
    return replace(target, **more)


@pytest.fixture
def folder(cluster: SlurmCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with the demo's data, a stand-in for LLaMA-Factory, and a target."""
    monkeypatch.setattr("lfdash.workspace.devices.read_gpus", lambda: ((), None))
    monkeypatch.setenv("LFDASH_CLI", fake_cli(tmp_path))
    make_data(tmp_path / "workspace" / "data")
    pretend_model(tmp_path / "workspace")
    return tmp_path / "workspace"


@pytest.fixture
def services(folder: Path, cluster: SlurmCluster) -> Iterator[Services]:
    made = Services(find_project(), folder)
    assert made.registry.targets.put(target_on(cluster), None) is None
    made.registry.start()
    yield made
    made.close()


def job(services: Services, name: str = "r1", **args: Any) -> tuple[Any, Any]:
    launcher = services.launcher_on("lab")
    plan = launcher.plan(plan_for(services.workspace.root, name=name, cli=services.cli_path, **args))
    return plan, record_for(plan, launcher.name)


def test_a_job_on_a_target_is_watched_stopped_and_resumed(services: Services) -> None:
    registry = services.registry
    plan, record = job(services, steps=20000, delay=0.01)
    assert "#SBATCH" in str(plan)
    outcome = registry.launch(plan, record)
    assert isinstance(outcome, Launched), outcome
    seen = wait_for(lambda: (v := registry.get(plan.run_id)) and v.scheduled and v.state is RunState.RUNNING and v, 40)
    assert seen.record.launcher == "slurm:lab" and seen.scheduled.word == "RUNNING" and seen.unseen is None
    wait_ready(outcome.handle)
    wait_for(lambda: (registry.get(plan.run_id).progress.step or 0) > 3)
    assert registry.stop(plan.run_id, "graceful") is None
    assert registry.get(plan.run_id).state is RunState.STOPPING
    view = wait_end(registry, plan.run_id, 40)
    assert view.state is RunState.STOPPED and view.saved.model == "adapter" and view.scheduled is None
    prepared = resume.prepare_resume(services, view, 5, "x")
    assert prepared is not None and "lfdash-id-r1-2" in str(prepared.plan)


def test_a_target_that_changed_after_the_preview_is_not_used(services: Services, cluster: SlurmCluster) -> None:
    plan, record = job(services)
    old = target_on(cluster)
    assert services.registry.targets.put(replace(old, partition="short"), old) is None
    assert services.registry.launch(plan, record) == Refused("target_differs", {"name": "lab"})
    assert not (services.workspace.root / "saves/m/lora/r1").exists()


def test_runs_of_a_target_that_was_removed_go_on_and_are_told(services: Services) -> None:
    plan, record = job(services, steps=200, delay=0.02)
    assert isinstance(services.registry.launch(plan, record), Launched)
    assert services.registry.targets.remove("lab", services.registry.targets.read().rows["lab"]) is None
    other = Services(find_project(), services.workspace.root)
    other.registry.start()
    try:
        assert wait_end(other.registry, plan.run_id, 40).state is RunState.SUCCEEDED
    finally:
        other.close()
    assert services.launcher_on("lab").name == "target:lab"
    again = replace(plan, run_id="id-r2", output_dir="saves/m/lora/r2")
    assert services.registry.launch(again, record_for(again, "slurm:lab")).code == "target_unknown"


@pytest.mark.parametrize("way", ["command", "python"])
def test_a_short_process_that_stops_one_that_waits_takes_it_out_of_the_queue(
    services: Services, cluster: SlurmCluster, way: str
) -> None:
    """It carries its wish out before it ends: no dashboard may be there."""
    cluster.call("sbatch", "-N2", "--exclusive", "--output=/dev/null", "--wrap", "sleep 600")
    plan, record = job(services, steps=1)
    assert isinstance(services.registry.launch(plan, record), Launched)
    services.close()
    words = ["-m", "lfdash", "--workspace", str(services.workspace.root), "stop", "id-r1"]
    if way == "python":
        words = ["-c", "import sys, lfdash; print(lfdash.open(sys.argv[1]).run('id-r1').stop())", words[3]]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert "PENDING" in {state for _, state, name in cluster.jobs() if name == "lfdash-id-r1-1"}
    done = subprocess.run([sys.executable, *words], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "PENDING" not in {state for _, state, name in cluster.jobs() if name == "lfdash-id-r1-1"}


def test_the_queue_hands_a_job_over_at_once(services: Services) -> None:
    plan, record = job(services, steps=1)
    assert isinstance(services.registry.enqueue(plan, record), Launched)
    assert wait_end(services.registry, plan.run_id, 40).state is RunState.SUCCEEDED


def test_a_job_that_waited_runs_the_script_that_was_shown(
    services: Services, cluster: SlurmCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the queue is paused; what changed meanwhile, and what another user queued for a target that this one has
    not used, is not started by itself."""
    registry = services.registry
    registry.queue.change_settings(paused=True)
    with monkeypatch.context() as theirs:
        theirs.setenv("XDG_STATE_HOME", str(tmp_path / "theirs"))
        other = Services(find_project(), services.workspace.root)
        assert isinstance(other.registry.enqueue(*job(other, "r3", steps=1)), Queued)
        other.close()
    wait_for(lambda: [view.waiting.held and view.waiting.held.code for view in registry.waiting] == ["target_waits"])
    registry.queue.change_settings(paused=False)
    old = target_on(cluster)
    assert registry.targets.put(replace(old, partition="short"), old) is None
    held = wait_for(lambda: (v := registry.get("id-r3")) and v.waiting.held.code == "target_changed" and v)
    assert registry.dispatcher.start_now("id-r3").params["code"] == "target_changed" and held.state is RunState.HELD
    assert registry.targets.put(old, replace(old, partition="short")) is None
    assert isinstance(registry.dispatcher.start_now("id-r3"), Launched)
    assert wait_end(registry, "id-r3", 40).state is RunState.SUCCEEDED
    registry.queue.change_settings(paused=True)
    for name in ("r1", "r2"):
        assert isinstance(registry.enqueue(*job(services, name, steps=1)), Queued)
    wait_for(lambda: [view.waiting.held for view in registry.waiting] == [None, None])
    registry.queue.change_settings(paused=False)
    assert wait_end(registry, "id-r1", 40).state is wait_end(registry, "id-r2", 40).state is RunState.SUCCEEDED


def test_a_restarted_dashboard_starts_what_its_user_queued(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The target is one that was used by hand before, as it is now."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    services.registry.queue.change_settings(paused=True)
    assert isinstance(services.registry.enqueue(*job(services, steps=1)), Queued)
    services.close()
    other = Services(find_project(), services.workspace.root)
    try:
        other.registry.queue.change_settings(paused=False)
        other.registry.start()
        assert wait_end(other.registry, "id-r1", 40).state is RunState.SUCCEEDED
    finally:
        other.close()


def test_a_script_that_somebody_wrote_into_the_queue_is_not_run(services: Services) -> None:
    registry = services.registry
    registry.queue.change_settings(paused=True)
    plan, record = job(services)
    evil = replace(plan, files={**plan.files, plan.script: "#!/bin/sh\ntouch /tmp/evil\n"})
    assert isinstance(registry.enqueue(evil, record), Queued)
    view = wait_for(lambda: registry.get(plan.run_id))
    assert view.waiting.held.code == "target_changed"
    assert registry.dispatcher.start_now(plan.run_id).code == "never"
    assert registry.launch(evil, record_for(evil, "slurm:lab")).code in ("exists", "target_differs")


def test_what_this_machine_lacks_says_nothing_of_a_target(services: Services, folder: Path) -> None:
    """A login node has no GPU."""
    workspace = lfdash.Workspace(services)
    opened, there = workspace.read(PRESET, {"bf16": True}), workspace.read(PRESET, {"bf16": True}, "lab")
    assert not isinstance(opened, Refused) and not isinstance(there, Refused)
    assert context.of(services, opened.job).gpus == 0 and context.of(services, there.job).gpus is None
    assert "--job-name" in str(workspace.plan(there).plan)
    assert "--job-name" not in str(workspace.plan(opened).plan)


def test_the_page_costs_no_more_squeue_than_its_pace(services: Services) -> None:
    """Many runs, many looks: one question every three seconds at most."""
    registry = services.registry
    for number in range(12):
        assert isinstance(registry.launch(*job(services, f"m{number}", load=8)), Launched)
    asks = registry.launchers.get("slurm:lab").jobs(str(registry.targets.get("lab").slurm_conf))
    before = asks.asked
    end = time.monotonic() + 7
    while time.monotonic() < end:
        registry.refresh()
    assert asks.asked - before <= 4
    for number in range(12):
        registry.stop(f"id-m{number}", "kill")
    for number in range(12):
        wait_end(registry, f"id-m{number}", 60)


@pytest.mark.train_env
def test_a_real_training(
    cluster: SlurmCluster, demo_workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The demo with LLaMA-Factory itself: started on a target, stopped so that it saves, resumed, finished."""
    monkeypatch.delenv("LFDASH_CLI", raising=False)
    root = tmp_path / "workspace"
    shutil.copytree(demo_workspace, root, symlinks=True)
    workspace = lfdash.open(root)
    registry = workspace.services.registry
    target = target_on(cluster, memory="3000M", env={"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"})
    assert registry.targets.put(target, None) is None
    run = workspace.start(PRESET, {"max_steps": 16, "save_steps": 2, "logging_steps": 1}, target="lab")
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
    assert {f"lfdash-{run.id}-{number}" for number in (1, 2)} <= {job[2] for job in cluster.jobs()}


def test_a_cluster_that_does_not_answer_keeps_nobody_from_this_machine(
    services: Services, cluster: SlurmCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its run cannot be seen, and says why; a job for this machine starts all the same."""
    monkeypatch.setattr("lfdash.launchers.slurm_jobs.ASK_S", 2.0)
    monkeypatch.setattr("lfdash.launchers.asking.STALE_S", 4.0)
    monkeypatch.setattr("lfdash.launchers.watching.SUBMIT_S", 0.0)
    registry = services.registry
    for name in ("n1", "n2"):
        cluster.call("scontrol", "update", f"nodename={name}", "state=drain", "reason=test")
    plan, record = job(services, steps=1)
    assert isinstance(registry.launch(plan, record), Launched)
    wait_for(lambda: (view := registry.get(plan.run_id)) and view.scheduled and view.scheduled.word == "PENDING", 30)
    cluster.pause("slurmctld")
    view = wait_for(lambda: (found := registry.get(plan.run_id)).unseen and found, 40)
    assert "Slurm has not answered" in view.unseen
    here = plan_for(services.workspace.root, name="here", cli=services.cli_path, steps=1)
    assert isinstance(registry.launch(here, record_for(here)), Launched)
    assert wait_end(registry, here.run_id, 40).state is RunState.SUCCEEDED
    cluster.go_on("slurmctld")
    wait_for(lambda: not registry.get(plan.run_id).unseen, 60)
    assert registry.stop(plan.run_id, "kill") is None
    assert wait_end(registry, plan.run_id, 40).state is RunState.STOPPED
