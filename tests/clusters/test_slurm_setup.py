"""The setup of a target on a real Slurm: the trainer has what its lines set, and a line that fails is told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lfdash.runs.diagnose import diagnose
from lfdash.runs.record import Handle, RunState, Status
from lfdash.runs.view import judge
from tests.clusters.test_slurm_nodes import ENV
from tests.clusters.test_slurm_runs import end_of, submitted
from tests.support.clusters.launchers import slurm_launcher
from tests.support.clusters.slurm import SlurmCluster
from tests.support.runs import fake_cli, plan_for, wait_ready

pytestmark = pytest.mark.clusters


@pytest.mark.parametrize("nodes", [1, 2])
def test_the_trainer_has_what_it_sets(cluster: SlurmCluster, workspace: Path, tmp_path: Path, nodes: int) -> None:
    (tmp_path / "env.sh").write_text("activate() { export ACTIVE=$1 OURS=lost; }\n")
    lines = (f"source {tmp_path}/env.sh # ours", "true && activate lf", "ulimit -n 300", "export LIMIT=$(ulimit -n)")
    launcher = slurm_launcher(cluster, nodes=nodes, setup=lines, env={**ENV, "OURS": "kept"})
    handle = submitted(launcher, plan_for(workspace, steps=1, chatty=1, dump=1))
    status = end_of(launcher, handle)
    assert status.exit is not None and status.exit.code == 0
    assert handle.paths.console.read_text().count("started") == nodes
    env = json.loads((handle.paths.root / "env.json").read_text())
    assert (env["ACTIVE"], env["OURS"], env["LIMIT"]) == ("lf", "kept", "300")


@pytest.mark.parametrize("nodes", [1, 2])
def test_the_program_is_found_where_it_says(
    cluster: SlurmCluster, workspace: Path, tmp_path: Path, nodes: int
) -> None:
    folder = Path(fake_cli(tmp_path / "env")).parent
    launcher = slurm_launcher(cluster, nodes=nodes, **found_in(folder, ENV))
    handle = submitted(launcher, plan_for(workspace, steps=1, chatty=1, dump=1, cli="/not/there/llamafactory-cli"))
    has_found(handle, end_of(launcher, handle), folder)


def found_in(folder: Path, env: Mapping[str, str]) -> dict[str, Any]:
    """Of a target whose setup changes PATH, as `conda activate` does."""
    return {"setup": (f'export PATH="{folder}:$PATH"',), "env": env, "cli": "llamafactory-cli", "python": ""}


def has_found(handle: Handle, status: Status, folder: Path) -> None:
    """The run ended well, with that folder in its PATH."""
    assert status.exit is not None and status.exit.code == 0, handle.paths.console.read_text()
    env = json.loads((handle.paths.root / "env.json").read_text())
    assert str(folder) in env["PATH"].split(":")  # python3 may be a script that puts more before it


def test_a_stop_saves(cluster: SlurmCluster, workspace: Path) -> None:
    """The supervisor is the process that Slurm knows."""
    launcher = slurm_launcher(cluster, setup=("true",))
    handle = submitted(launcher, plan_for(workspace, steps=2000, delay=0.01))
    wait_ready(handle)
    assert launcher.stop(handle, "graceful") is None
    status = end_of(launcher, handle)
    assert status.exit is not None and (status.exit.code, status.exit.stop) == (0, ("graceful",))


@pytest.mark.parametrize("line", ["conda_activate 'lf' # ours", 'echo "open'])
def test_a_line_that_fails_is_told(cluster: SlurmCluster, workspace: Path, line: str) -> None:
    launcher = slurm_launcher(cluster, setup=("true", line))
    handle = submitted(launcher, plan_for(workspace, steps=1))
    status = end_of(launcher, handle)
    assert judge(status, complete=False) is RunState.FAILED and status.exit is not None
    assert not handle.paths.attempt(1).child.exists()
    found = diagnose([], status.exit.code, status.exit.error)
    assert found is not None and (found.id, found.params["what"]) == ("setup_line", line), status.exit.error
