"""A training on two nodes: torchrun on each, one wish for both."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

import lfdash
from lfdash.launchers.slurm import SlurmLauncher
from lfdash.runs.paths import marker
from lfdash.runs.record import RunState
from lfdash.supervisor.processes import marked
from tests.clusters.test_slurm_runs import end_of, submitted
from tests.clusters.test_slurm_workspace import PRESET, target_on
from tests.support.clusters.launchers import slurm_launcher
from tests.support.clusters.slurm import SlurmCluster
from tests.support.runs import members, plan_for, wait_for, wait_ready

pytestmark = pytest.mark.clusters
ENV = {"MASTER_ADDR": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


@pytest.fixture
def launcher(cluster: SlurmCluster) -> SlurmLauncher:
    return slurm_launcher(cluster, nodes=2, env=ENV)


def test_each_node_knows_its_place(launcher: SlurmLauncher, workspace: Path) -> None:
    handle = submitted(launcher, plan_for(workspace, steps=1, chatty=1))
    status = end_of(launcher, handle)
    assert status.exit is not None and status.exit.code == 0
    assert handle.paths.console.read_text().count("started") == 2


@pytest.mark.parametrize("level", ["graceful", "term", "kill"])
def test_a_wish_is_for_all_nodes(launcher: SlurmLauncher, workspace: Path, level: str) -> None:
    handle = submitted(launcher, plan_for(workspace, steps=20000, delay=0.01))
    wait_ready(handle, count=2)
    seen = wait_for(lambda: (s := launcher.poll(handle).scheduled) and s.nodes and s)
    assert seen.nodes == "n[1-2]"
    assert launcher.stop(handle, level) is None
    status = end_of(launcher, handle, 60)
    assert status.exit is not None and status.exit.stop == (level,) and members(handle) == []
    assert (status.exit.code == 0) is (level == "graceful")
    assert (handle.paths.root / "adapter_model.safetensors").exists() is (level == "graceful")


def test_a_part_that_dies_ends_the_others(launcher: SlurmLauncher, workspace: Path) -> None:
    handle = submitted(launcher, plan_for(workspace, steps=20000, delay=0.01))
    wait_ready(handle, count=2)
    words = {pid: Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") for pid in marked(marker(handle.paths, 1))}
    parts = [pid for pid, argv in words.items() if len(argv) > 2 and argv[2].endswith(b"llamafactory-cli")]
    assert len(parts) == 2, words
    os.kill(parts[0], signal.SIGKILL)
    status = end_of(launcher, handle, 60)
    assert status.exit is not None and status.exit.code not in (0, None) and members(handle) == []


def test_a_job_that_is_canceled_is_told_as_that(
    cluster: SlurmCluster, launcher: SlurmLauncher, workspace: Path
) -> None:
    handle = submitted(launcher, plan_for(workspace, steps=20000, delay=0.01))
    wait_ready(handle, count=2)
    cluster.call("scancel", wait_for(lambda: launcher.poll(handle).scheduled).job)
    status = end_of(launcher, handle, 60)
    assert status.exit is not None and status.exit.by == "signal" and members(handle) == []


@pytest.mark.train_env
def test_a_real_training_on_two_nodes(
    cluster: SlurmCluster, demo_workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LLaMA-Factory under torchrun, by gloo."""
    monkeypatch.delenv("LFDASH_CLI", raising=False)
    root = tmp_path / "workspace"
    shutil.copytree(demo_workspace, root, symlinks=True)
    workspace = lfdash.open(root)
    registry = workspace.services.registry
    assert registry.targets.put(target_on(cluster, memory="3000M", nodes=2, env=ENV), None) is None
    run = workspace.start(PRESET, {"max_steps": 4, "logging_steps": 1}, target="lab")
    assert isinstance(run, lfdash.Run), run
    wait_for(lambda: (registry.refresh(), registry.get(run.id).state)[1] is RunState.SUCCEEDED, 240)
    view = registry.get(run.id)
    assert json.loads((view.path / "trainer_state.json").read_text())["global_step"] == 4
    console = view.paths.console.read_text()
    assert all(f"Process rank: {rank}, world size: 2" in console for rank in (0, 1))
