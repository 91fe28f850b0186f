"""The setup of a target on a real Ray: each node's trainer has what its lines set, and a line that fails is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from lfdash.runs.diagnose import diagnose
from lfdash.runs.record import RunState
from lfdash.runs.view import judge
from tests.clusters.test_ray_nodes import ENV
from tests.clusters.test_ray_runs import job_of
from tests.clusters.test_slurm_runs import end_of, submitted
from tests.clusters.test_slurm_setup import found_in, has_found
from tests.support.clusters.launchers import ray_launcher
from tests.support.clusters.ray import RayCluster
from tests.support.runs import fake_cli, members, plan_for, wait_for, wait_ready

pytestmark = pytest.mark.clusters


@pytest.mark.parametrize("nodes", [1, 2])
def test_the_trainer_has_what_it_sets(ray_cluster: RayCluster, workspace: Path, tmp_path: Path, nodes: int) -> None:
    (tmp_path / "env.sh").write_text("activate() { export ACTIVE=$1 OURS=lost; }\necho of setup\n")
    lines = (f"source {tmp_path}/env.sh # ours", "true && activate 'l f'", "ulimit -n 300", "export L=$(ulimit -n)")
    launcher = ray_launcher(ray_cluster, nodes=nodes, setup=lines, env={**ENV, "OURS": "kept"})
    plan = plan_for(workspace, steps=1, chatty=1, dump=1, secrets=("HF_TOKEN",))
    handle = submitted(launcher, plan, {"HF_TOKEN": "hf_Zq3abcdefghijklmnop"})
    status = end_of(launcher, handle)
    console = handle.paths.console.read_text()
    assert status.exit is not None and status.exit.code == 0, console
    assert console.count("started") == nodes and console.count("of setup") == (nodes if nodes > 1 else 0)
    env = json.loads((handle.paths.root / "env.json").read_text())
    assert (env["ACTIVE"], env["OURS"], env["L"], env["HF_TOKEN"]) == ("l f", "kept", "300", "hf_Zq3abcdefghijklmnop")
    shown = yaml.safe_load((handle.paths.root / "ray_job.yaml").read_text())
    assert ray_cluster.job(shown["submission_id"])["entrypoint"] == shown["entrypoint"]


@pytest.mark.parametrize("nodes", [1, 2])
def test_the_program_is_found_where_it_says(
    ray_cluster: RayCluster, workspace: Path, tmp_path: Path, nodes: int
) -> None:
    folder = Path(fake_cli(tmp_path / "env")).parent
    launcher = ray_launcher(ray_cluster, nodes=nodes, **found_in(folder, ENV))
    handle = submitted(launcher, plan_for(workspace, steps=1, chatty=1, dump=1, cli="/not/there/llamafactory-cli"))
    has_found(handle, end_of(launcher, handle), folder)


@pytest.mark.parametrize("nodes", [1, 2])
def test_a_stop_saves_and_one_by_hand_leaves_nothing(ray_cluster: RayCluster, workspace: Path, nodes: int) -> None:
    """The supervisor is the process that Ray watches."""
    launcher = ray_launcher(ray_cluster, nodes=nodes, setup=("true",), env=ENV)
    handle = submitted(launcher, plan_for(workspace, steps=20000, delay=0.01))
    wait_ready(handle, count=nodes)
    assert launcher.stop(handle, "graceful") is None
    status = end_of(launcher, handle, 60)
    assert status.exit is not None and (status.exit.code, status.exit.stop) == (0, ("graceful",))
    other = submitted(launcher, plan_for(workspace, name="r2", steps=20000, delay=0.01))
    wait_ready(other, count=nodes)
    ray_cluster.stop_job(job_of(other))
    status = end_of(launcher, other, 60)
    assert status.exit is not None and status.exit.by == "signal"
    wait_for(lambda: members(other) == [])


@pytest.mark.parametrize("nodes", [1, 2])
def test_a_line_that_fails_is_told(ray_cluster: RayCluster, workspace: Path, nodes: int) -> None:
    line = "conda_activate 'lf' # ours"
    launcher = ray_launcher(ray_cluster, nodes=nodes, setup=("true", line))
    handle = submitted(launcher, plan_for(workspace, steps=1))
    status = end_of(launcher, handle, 60)
    assert judge(status, complete=False) is RunState.FAILED and status.exit is not None
    console = handle.paths.console.read_text().splitlines() if nodes > 1 else []
    found = diagnose(console, status.exit.code, status.exit.error)
    assert found is not None and (found.id, found.params["what"]) == ("setup_line", line), status.exit.error
