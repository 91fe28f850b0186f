"""A training on two nodes of Ray: torchrun in a bundle of each, one wish for both."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

import lfdash
from lfdash.launchers.ray import RayLauncher
from lfdash.runs.diagnose import diagnose
from lfdash.runs.paths import marker
from lfdash.runs.record import RunState
from lfdash.supervisor.processes import marked
from tests.clusters.test_ray_runs import job_of
from tests.clusters.test_slurm_runs import end_of, submitted
from tests.clusters.test_slurm_workspace import PRESET
from tests.support.clusters.launchers import ray_launcher, ray_target
from tests.support.clusters.ray import RayCluster
from tests.support.runs import members, plan_for, wait_for, wait_ready

pytestmark = pytest.mark.clusters
ENV = {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


@pytest.fixture
def launcher(ray_cluster: RayCluster) -> RayLauncher:
    return ray_launcher(ray_cluster, nodes=2, env=ENV)


def test_each_node_knows_its_place_and_has_the_secrets(launcher: RayLauncher, workspace: Path) -> None:
    plan = plan_for(workspace, steps=1, chatty=1, dump=1, secrets=("HF_TOKEN",), env={"LFDASH_X": "a $HOME"})
    handle = submitted(launcher, plan, {"HF_TOKEN": "hf_Zq3abcdefghijklmnop"})
    status = end_of(launcher, handle)
    assert status.exit is not None and status.exit.code == 0
    assert handle.paths.console.read_text().count("started") == 2
    env = json.loads((handle.paths.root / "env.json").read_text())
    assert env["HF_TOKEN"] == "hf_Zq3abcdefghijklmnop" and env["LFDASH_X"] == "a $HOME" and "USE_RAY" not in env
    assert (env["NNODES"], env["MASTER_ADDR"], env["FORCE_TORCHRUN"]) == ("2", "127.0.0.1", "1")
    assert env["NODE_RANK"] in ("0", "1") and env["CUDA_VISIBLE_DEVICES"] == ""
    assert [path.name for path in handle.paths.attempt(1).root.glob("secrets*")] == []


@pytest.mark.parametrize("level", ["graceful", "term", "kill"])
def test_a_wish_is_for_all_nodes(launcher: RayLauncher, workspace: Path, level: str) -> None:
    handle = submitted(launcher, plan_for(workspace, steps=20000, delay=0.01))
    wait_ready(handle, count=2)
    assert launcher.stop(handle, level) is None
    status = end_of(launcher, handle, 60)
    assert status.exit is not None and status.exit.stop == (level,)
    wait_for(lambda: members(handle) == [])
    assert (status.exit.code == 0) is (level == "graceful")
    assert (handle.paths.root / "adapter_model.safetensors").exists() is (level == "graceful")


def test_a_part_that_dies_ends_the_others(launcher: RayLauncher, workspace: Path) -> None:
    handle = submitted(launcher, plan_for(workspace, steps=20000, delay=0.01))
    wait_ready(handle, count=2)
    words = {pid: Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") for pid in marked(marker(handle.paths, 1))}
    parts = [pid for pid, argv in words.items() if len(argv) > 2 and argv[2].endswith(b"llamafactory-cli")]
    assert len(parts) == 2, words
    os.kill(parts[0], signal.SIGKILL)
    status = end_of(launcher, handle, 60)
    assert status.exit is not None and status.exit.code not in (0, None)
    wait_for(lambda: members(handle) == [])


def test_stopped_by_hand(ray_cluster: RayCluster, launcher: RayLauncher, workspace: Path) -> None:
    handle = submitted(launcher, plan_for(workspace, steps=20000, delay=0.01))
    wait_ready(handle, count=2)
    ray_cluster.stop_job(job_of(handle))
    status = end_of(launcher, handle, 60)
    assert status.exit is not None and status.exit.by == "signal"
    wait_for(lambda: members(handle) == [])


def test_nodes_that_are_not_there_are_told(ray_cluster: RayCluster, workspace: Path) -> None:
    launcher = ray_launcher(ray_cluster, nodes=3)
    handle = submitted(launcher, plan_for(workspace, steps=1))
    status = end_of(launcher, handle, 60)
    assert status.exit is not None and status.exit.code not in (0, None)
    found = diagnose(handle.paths.console.read_text().splitlines(), status.exit.code)
    assert found is not None and found.id == "ray_no_place", handle.paths.console.read_text()


@pytest.mark.train_env
def test_a_real_training_on_two_nodes(
    ray_cluster: RayCluster, demo_workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LLaMA-Factory under torchrun, by gloo."""
    monkeypatch.delenv("LFDASH_CLI", raising=False)
    root = tmp_path / "workspace"
    shutil.copytree(demo_workspace, root, symlinks=True)
    workspace = lfdash.open(root)
    registry = workspace.services.registry
    assert registry.targets.put(ray_target(ray_cluster, nodes=2, env=ENV), None) is None
    run = workspace.start(PRESET, {"max_steps": 4, "logging_steps": 1}, target="pool")
    assert isinstance(run, lfdash.Run), run
    wait_for(lambda: (registry.refresh(), registry.get(run.id).state)[1] is RunState.SUCCEEDED, 240)
    view = registry.get(run.id)
    assert json.loads((view.path / "trainer_state.json").read_text())["global_step"] == 4
    console = view.paths.console.read_text()
    assert all(f"Process rank: {rank}, world size: 2" in console for rank in (0, 1))
