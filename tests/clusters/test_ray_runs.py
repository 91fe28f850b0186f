"""Runs on a real Ray: what is told of them, how they are stopped, what nobody sees of their secrets."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from lfdash.launchers.base import Launched
from lfdash.launchers.ray import RayLauncher
from lfdash.outcomes import Refused
from lfdash.runs.diagnose import diagnose
from lfdash.runs.record import Handle, RunState
from lfdash.runs.view import judge
from lfdash.supervisor.remote import SEALED
from tests.clusters.test_slurm_runs import end_of, submitted
from tests.support.clusters.launchers import ray_launcher
from tests.support.clusters.ray import CPUS, RayCluster
from tests.support.runs import members, plan_for, record_for, wait_for, wait_ready

pytestmark = pytest.mark.clusters


@pytest.fixture
def launcher(ray_cluster: RayCluster) -> RayLauncher:
    return ray_launcher(ray_cluster)


def full(cluster: RayCluster, workspace: Path) -> list[Handle]:
    """Runs that take all that there is."""
    big = ray_launcher(cluster, cpus=CPUS)
    found = [submitted(big, plan_for(workspace, name=f"full{number}", load=600)) for number in range(2)]
    for handle in found:
        wait_for(lambda handle=handle: big.poll(handle).phase == "running", 30)
    return found


def job_of(handle: Handle) -> str:
    return str(json.loads(handle.paths.attempt(handle.attempt).spec.read_text())["ray"]["job"])


def test_what_is_shown_is_what_ray_has(ray_cluster: RayCluster, launcher: RayLauncher, workspace: Path) -> None:
    handle = submitted(launcher, plan_for(workspace, load=600))
    shown = yaml.safe_load((handle.paths.root / "ray_job.yaml").read_text())
    has = ray_cluster.job(shown["submission_id"])
    assert has["entrypoint"] == shown["entrypoint"]
    assert has["runtime_env"]["env_vars"].items() >= shown["runtime_env"]["env_vars"].items()
    assert (shown["entrypoint_num_gpus"], shown["entrypoint_num_cpus"]) == (0, 1)


def test_one_that_waits_says_why_and_is_stopped_and_never_begins(
    ray_cluster: RayCluster, launcher: RayLauncher, workspace: Path
) -> None:
    holders = full(ray_cluster, workspace)
    handle = submitted(launcher, plan_for(workspace, secrets=("HF_TOKEN",), load=600), {"HF_TOKEN": "abcdefgh"})
    status = wait_for(lambda: (found := launcher.poll(handle)).scheduled and found.scheduled.reason and found)
    assert status.phase == "pending" and status.scheduled.word == "PENDING"
    assert "waiting for resources" in status.scheduled.reason
    assert judge(status, complete=False) is RunState.STARTING
    began = time.monotonic()
    assert launcher.stop(handle, "graceful") is None
    assert time.monotonic() - began < 1, "Ray was waited for"
    status = launcher.poll(handle)
    assert status.phase == "ended" and judge(status, complete=False) is RunState.STOPPED
    assert launcher.stop(handle, "kill") == Refused("not_running")
    for holder in holders:
        launcher.stop(holder, "kill")
    # Ray ends it once there is a place for it
    wait_for(lambda: ray_cluster.job(job_of(handle))["status"] in ("STOPPED", "FAILED"), 40)
    control = handle.paths.attempt(1)
    assert not control.child.exists() and not control.taken.exists() and not (control.root / SEALED).exists()
    assert judge(ray_launcher(ray_cluster).poll(handle), complete=False) is RunState.STOPPED


def test_one_that_never_fits_is_told(ray_cluster: RayCluster, workspace: Path) -> None:
    launcher = ray_launcher(ray_cluster, cpus=CPUS + 1)
    handle = submitted(launcher, plan_for(workspace, load=600))
    status = end_of(launcher, handle, 60)
    assert status.unused and status.exit is not None
    found = diagnose([], None, str(status.exit.error))
    assert found is not None and found.id == "ray_no_place"


def test_a_graceful_stop_saves(launcher: RayLauncher, workspace: Path) -> None:
    handle = submitted(launcher, plan_for(workspace, steps=2000, delay=0.01))
    wait_ready(handle)
    running = wait_for(lambda: (found := launcher.poll(handle)).scheduled and found.elapsed and found)
    assert running.phase == "running"
    wait_for(lambda: (s := launcher.poll(handle).scheduled) and (s.word, s.nodes) == ("RUNNING", "127.0.0.1"))
    assert launcher.stop(handle, "graceful") is None
    status = end_of(launcher, handle)
    assert status.exit is not None and (status.exit.code, status.exit.stop, status.exit.by) == (0, ("graceful",), None)
    assert (handle.paths.root / "adapter_model.safetensors").exists()


def test_a_stubborn_one_is_killed(launcher: RayLauncher, workspace: Path) -> None:
    handle = submitted(launcher, plan_for(workspace, stubborn=1))
    wait_ready(handle)
    assert launcher.stop(handle, "kill") is None
    status = end_of(launcher, handle)
    assert status.exit is not None and (status.exit.code, status.exit.stop) == (-9, ("kill",))
    assert members(handle) == []


def test_stopped_by_hand(ray_cluster: RayCluster, launcher: RayLauncher, workspace: Path) -> None:
    """By somebody else, with `ray job stop`: it is told as that, and neither as a failure nor as a wish of ours."""
    handle = submitted(launcher, plan_for(workspace, load=600))
    wait_ready(handle, "started")
    ray_cluster.stop_job(job_of(handle))
    status = end_of(launcher, handle)
    assert status.exit is not None and status.exit.by == "signal" and status.wish is None and not status.unused
    assert judge(status, complete=False) is RunState.STOPPED and members(handle) == []


def test_secrets_stand_nowhere_but_in_the_run(
    ray_cluster: RayCluster, launcher: RayLauncher, workspace: Path
) -> None:
    secret = "hf_Zq3abcdefghijklmnop"
    handle = submitted(launcher, plan_for(workspace, secrets=("HF_TOKEN",), dump=1, load=600), {"HF_TOKEN": secret})
    dumped = handle.paths.root / "env.json"
    wait_for(lambda: dumped.exists() and dumped.stat().st_size)
    assert secret in dumped.read_text()
    dumped.unlink()
    assert secret not in json.dumps(ray_cluster.jobs())
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                assert secret.encode() not in (entry / "cmdline").read_bytes()
            except OSError:
                continue
    token = ray_cluster.token_file.read_bytes()
    files = [path for path in workspace.rglob("*") if path.is_file()]
    assert [path for path in files if secret.encode() in path.read_bytes() or token in path.read_bytes()] == []
    logs = [path for path in (ray_cluster.folder / "t").rglob("*.log") if path.is_file()]
    assert [path for path in logs if secret.encode() in path.read_bytes()] == []
    launcher.stop(handle, "kill")
    end_of(launcher, handle)


def test_the_job_has_none_of_this_environment(
    launcher: RayLauncher, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_API_KEY", "abcdefgh")
    odd = {"LFDASH_X": "a $HOME ${PATH} 'b' \"c\" \\n"}
    handle = submitted(launcher, plan_for(workspace, dump=1, steps=1, env=odd))
    assert end_of(launcher, handle).exit.code == 0
    env = json.loads((handle.paths.root / "env.json").read_text())
    assert "MY_API_KEY" not in env and env["LFDASH_X"] == odd["LFDASH_X"] and "LFDASH_TICKET" not in env
    assert env["CUDA_VISIBLE_DEVICES"] == "", "it would see all GPUs"


@pytest.mark.parametrize("name", ["a b", "it's 100% \"q\"", "ü#1: - &x", "$HOME `id`"])
def test_folders_with_odd_names(launcher: RayLauncher, tmp_path: Path, name: str) -> None:
    workspace = tmp_path / f"ws {name}"
    workspace.mkdir()
    handle = submitted(launcher, plan_for(workspace, steps=1, output_dir=f"saves/m/lora/{name}"))
    status = end_of(launcher, handle)
    assert status.exit is not None and status.exit.code == 0, handle.paths.attempt(1).shim_log.read_text()


def test_the_workspace_lies_elsewhere_there(ray_cluster: RayCluster, workspace: Path, tmp_path: Path) -> None:
    """A link stands for another mount."""
    other = tmp_path / "shared"
    other.symlink_to(workspace)
    launcher = ray_launcher(ray_cluster, workspace=str(other))
    handle = submitted(launcher, plan_for(workspace, steps=1))
    status = end_of(launcher, handle)
    assert status.exit is not None and status.exit.code == 0
    assert json.loads(handle.paths.attempt(1).spec.read_text())["cwd"] == str(other)


def test_a_second_attempt_is_a_job_of_its_own(
    ray_cluster: RayCluster, launcher: RayLauncher, workspace: Path
) -> None:
    first = submitted(launcher, plan_for(workspace, fail="exit:3"))
    assert end_of(launcher, first).exit.code == 3
    plan = launcher.plan(replace(plan_for(workspace, steps=1), attempt=2))
    outcome = launcher.submit(plan, record_for(plan), {})
    assert isinstance(outcome, Launched)
    assert end_of(launcher, outcome.handle).exit.code == 0
    assert launcher.poll(outcome.handle).exit.attempt == 2
    ours = {row["submission_id"].rpartition("-")[0] for row in ray_cluster.jobs(workspace)}
    assert ours == {"lfdash-id-r1-1", "lfdash-id-r1-2"}


def test_a_python_that_is_not_there_is_told(ray_cluster: RayCluster, workspace: Path) -> None:
    launcher = ray_launcher(ray_cluster, python="/no/such/python")
    handle = submitted(launcher, plan_for(workspace, steps=1))
    status = end_of(launcher, handle)
    assert status.unused and status.exit is not None and "/no/such/python" in str(status.exit.error)
    assert "Ray: FAILED" in str(status.exit.error) and judge(status, complete=False) is RunState.FAILED


def test_a_wrong_token_is_refused_and_leaves_nothing(
    ray_cluster: RayCluster, workspace: Path, tmp_path: Path
) -> None:
    wrong = tmp_path / "token"
    wrong.write_text("a" * 64)
    wrong.chmod(0o600)
    launcher = ray_launcher(ray_cluster, token_file=str(wrong))
    plan = launcher.plan(plan_for(workspace))
    outcome = launcher.submit(plan, record_for(plan), {})
    assert outcome == Refused("scheduler_refused", {"reason": "Ray refuses the token, or wants one (403)"})
    assert list((workspace / "saves/m/lora").iterdir()) == []
    assert ray_cluster.jobs(workspace) == []
