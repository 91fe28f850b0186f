"""The disk fails, or is full, while something is submitted and while it runs: nothing is left behind, and what is told
of a run is true."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lfdash.launchers.base import Array, ArrayTask, Launched
from lfdash.launchers.slurm_array import SlurmArrays
from lfdash.outcomes import Refused
from lfdash.runs.record import RunState
from lfdash.runs.view import judge
from lfdash.supervisor.failpoints import VARIABLE
from tests.clusters.test_slurm_runs import end_of, submitted
from tests.support.clusters.launchers import slurm_launcher
from tests.support.clusters.slurm import SlurmCluster
from tests.support.runs import fake_cli, plan_for, record_for, wait_ready

pytestmark = pytest.mark.clusters
ERRORS = {"ENOSPC": "disk", "EDQUOT": "disk", "EROFS": "readonly"}


@pytest.fixture
def arrays(cluster: SlurmCluster) -> SlurmArrays:
    return slurm_launcher(cluster)


def files(workspace: Path) -> list[Path]:
    return [path for path in workspace.rglob("*") if path.is_file() and ".lfdash" not in path.parts]


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("point", ["folder.before_rename", "scheduler.sealed"])
def test_an_error_while_a_run_is_submitted(
    cluster: SlurmCluster, arrays: SlurmArrays, workspace: Path, point: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, before = arrays.plan(plan_for(workspace, steps=1)), len(cluster.jobs())
    with monkeypatch.context() as patch:
        patch.setenv(VARIABLE, f"{point}=error:{name}")
        outcome = arrays.submit(plan, record_for(plan), {})
    assert isinstance(outcome, Refused) and outcome.code == ERRORS[name], outcome
    assert files(workspace) == [] and len(cluster.jobs()) == before
    outcome = arrays.submit(plan, record_for(plan), {})
    assert isinstance(outcome, Launched)
    ended = end_of(arrays, outcome.handle).exit
    assert ended is not None and ended.code == 0


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("point", ["folder.before_rename", "array.run_made", "array.made"])
def test_an_error_while_an_array_is_submitted(
    cluster: SlurmCluster, arrays: SlurmArrays, workspace: Path, point: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = [arrays.plan(plan_for(workspace, name=f"r{number}", steps=1)) for number in range(3)]
    tasks = [ArrayTask(plan, record_for(plan), {}) for plan in plans]
    array = Array("lfdash-sweep-x", 2, workspace / ".lfdash" / "x.sh")
    before = len(cluster.jobs())
    with monkeypatch.context() as patch:
        patch.setenv(VARIABLE, f"{point}=error:{name}")
        outcome = arrays.submit_array(array, tasks)
    assert isinstance(outcome, Refused) and outcome.code == ERRORS[name], outcome
    assert files(workspace) == [] and len(cluster.jobs()) == before
    outcome = arrays.submit_array(array, tasks)
    assert not isinstance(outcome, Refused)
    codes = [ended.code for launched in outcome if (ended := end_of(arrays, launched.handle).exit) is not None]
    assert codes == [0, 0, 0]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A workspace on a file system of 1 MB."""
    root = tmp_path / "small"
    root.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(root)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"a file system cannot be mounted here: {done.stderr.strip()}")
    yield root
    subprocess.run(["umount", "-l", str(root)], check=True)


def fill(root: Path) -> None:
    with (root / "filler").open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue


def test_a_disk_that_fills_while_it_runs(
    cluster: SlurmCluster, arrays: SlurmArrays, small: Path, tmp_path: Path
) -> None:
    """The training fails of it, and its end is written down all the same."""
    cli = fake_cli(tmp_path)
    handle = submitted(arrays, plan_for(small, cli=cli, steps=100000, delay=0.01))
    wait_ready(handle)
    fill(small)
    status = end_of(arrays, handle)
    assert status.exit is not None and status.exit.code == 1
    assert judge(status, complete=False) is RunState.FAILED
    assert os.stat(handle.paths.exit).st_size > 0


def test_a_disk_that_is_full_takes_no_run(
    cluster: SlurmCluster, arrays: SlurmArrays, small: Path, tmp_path: Path
) -> None:
    cli = fake_cli(tmp_path)
    fill(small)
    plan, before = arrays.plan(plan_for(small, cli=cli, steps=1)), len(cluster.jobs())
    outcome = arrays.submit(plan, record_for(plan), {})
    assert isinstance(outcome, Refused) and outcome.code == "disk" and len(cluster.jobs()) == before
    (small / "filler").unlink()
    outcome = arrays.submit(plan, record_for(plan), {})
    assert isinstance(outcome, Launched)
    ended = end_of(arrays, outcome.handle).exit
    assert ended is not None and ended.code == 0
