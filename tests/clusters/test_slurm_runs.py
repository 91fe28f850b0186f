"""Runs on a real Slurm: what is told of them, how they are stopped, what nobody sees of their secrets."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lfdash.launchers.base import Launched
from lfdash.launchers.slurm import SlurmLauncher
from lfdash.outcomes import Refused
from lfdash.runs.plan import LaunchPlan
from lfdash.runs.record import Handle, RunState, Status
from lfdash.runs.view import judge
from lfdash.supervisor.remote import SEALED
from tests.support.clusters.launchers import slurm_launcher
from tests.support.clusters.slurm import SlurmCluster
from tests.support.runs import ended, members, plan_for, record_for, wait_for, wait_ready

pytestmark = pytest.mark.clusters


def submitted(launcher: SlurmLauncher, plan: LaunchPlan, secrets: dict[str, str] | None = None) -> Handle:
    plan = launcher.plan(plan)
    outcome = launcher.submit(plan, record_for(plan), secrets or {})
    assert isinstance(outcome, Launched), outcome
    return outcome.handle


def end_of(launcher: SlurmLauncher, handle: Handle, seconds: float = 40) -> Status:
    wait_for(lambda: ended(launcher, handle), seconds)
    return launcher.poll(handle)


def full(launcher: SlurmLauncher, workspace: Path) -> list[Handle]:
    """Runs that take all that there is."""
    big = slurm_launcher_like(launcher, memory="4000M")
    found = [submitted(big, plan_for(workspace, name=f"full{number}", load=600)) for number in range(2)]
    for handle in found:
        wait_for(lambda handle=handle: big.poll(handle).phase == "running")
    return found


def slurm_launcher_like(launcher: SlurmLauncher, **changes: Any) -> SlurmLauncher:
    """Another target on the same cluster."""
    target = launcher.target
    assert not isinstance(target, Refused)
    return SlurmLauncher("slurm:lab", lambda name: replace(target, **changes))


def test_one_that_waits_says_why_in_slurm_s_words(launcher: SlurmLauncher, workspace: Path) -> None:
    full(launcher, workspace)
    handle = submitted(launcher, plan_for(workspace, load=600))
    assert launcher.poll(handle).phase == "pending" or launcher.poll(handle).phase == "starting"
    status = wait_for(lambda: (found := launcher.poll(handle)).scheduled and found.scheduled.reason and found)
    assert status.phase == "pending" and status.scheduled.word == "PENDING"
    assert status.scheduled.reason in ("Resources", "Priority")
    assert judge(status, complete=False) is RunState.STARTING
    starts = wait_for(lambda: (s := launcher.poll(handle).scheduled) and s.starts, 60)
    assert starts > time.time()


def test_one_that_waits_is_stopped_and_never_begins(
    cluster: SlurmCluster, launcher: SlurmLauncher, workspace: Path
) -> None:
    holders = full(launcher, workspace)
    handle = submitted(launcher, plan_for(workspace, secrets=("HF_TOKEN",), load=600), {"HF_TOKEN": "abcdefgh"})
    wait_for(lambda: launcher.poll(handle).phase == "pending")
    began = time.monotonic()
    assert launcher.stop(handle, "graceful") is None
    assert time.monotonic() - began < 1, "Slurm was waited for"
    status = launcher.poll(handle)
    assert status.phase == "ended" and judge(status, complete=False) is RunState.STOPPED
    assert launcher.stop(handle, "kill") == Refused("not_running")
    wait_for(lambda: ("CANCELLED", "lfdash-id-r1-1") in [job[1:] for job in cluster.jobs()])
    for holder in holders:
        launcher.stop(holder, "kill")
    wait_for(lambda: not [job for job in cluster.jobs() if job[1] in ("RUNNING", "COMPLETING")], 40)
    control = handle.paths.attempt(1)
    assert not control.child.exists() and not control.taken.exists() and not (control.root / SEALED).exists()
    assert judge(slurm_launcher(cluster).poll(handle), complete=False) is RunState.STOPPED


def test_a_graceful_stop_saves(launcher: SlurmLauncher, workspace: Path) -> None:
    handle = submitted(launcher, plan_for(workspace, steps=2000, delay=0.01))
    wait_ready(handle)
    running = wait_for(lambda: (found := launcher.poll(handle)).scheduled and found.elapsed and found)
    assert running.phase == "running" and (running.scheduled.word, running.scheduled.nodes) == ("RUNNING", "n1")
    assert launcher.stop(handle, "graceful") is None
    status = end_of(launcher, handle)
    assert status.exit is not None and (status.exit.code, status.exit.stop, status.exit.by) == (0, ("graceful",), None)
    assert (handle.paths.root / "adapter_model.safetensors").exists()


def test_a_stubborn_one_is_killed(launcher: SlurmLauncher, workspace: Path) -> None:
    handle = submitted(launcher, plan_for(workspace, stubborn=1))
    wait_ready(handle)
    assert launcher.stop(handle, "kill") is None
    status = end_of(launcher, handle)
    assert status.exit is not None and (status.exit.code, status.exit.stop) == (-9, ("kill",))
    assert members(handle) == []


@pytest.mark.parametrize("waits", [True, False], ids=["waiting", "running"])
def test_canceled_by_hand(cluster: SlurmCluster, launcher: SlurmLauncher, workspace: Path, waits: bool) -> None:
    """By somebody else, with scancel: it is told as that, and neither as a failure nor as a wish of ours."""
    if waits:
        full(launcher, workspace)
    handle = submitted(launcher, plan_for(workspace, load=600))
    wait_for(lambda: launcher.poll(handle).phase == ("pending" if waits else "running"))
    job = wait_for(lambda: launcher.poll(handle).scheduled).job
    cluster.call("scancel", job)
    status = end_of(launcher, handle)
    assert status.exit is not None and status.exit.by == "signal" and status.wish is None and not status.unused
    assert judge(status, complete=False) is RunState.STOPPED
    if waits:
        assert status.exit.error is not None and "CANCELLED" in status.exit.error


def test_a_time_limit_saves_before_it_ends(cluster: SlurmCluster, workspace: Path) -> None:
    launcher = slurm_launcher(cluster, time_limit="1", save_s=55)
    handle = submitted(launcher, plan_for(workspace, steps=20000, delay=0.01))
    wait_ready(handle)
    status = end_of(launcher, handle, 120)
    assert status.exit is not None and (status.exit.code, status.exit.by) == (0, "time_limit")
    assert judge(status, complete=False) is RunState.STOPPED
    assert (handle.paths.root / "adapter_model.safetensors").exists()


@pytest.mark.skipif(os.environ.get("LFDASH_FAULTS") != "long", reason="Slurm looks once a minute: LFDASH_FAULTS=long")
def test_a_time_limit_without_time_to_save(cluster: SlurmCluster, workspace: Path) -> None:
    """Slurm's SIGTERM comes to all processes; then it has killed whoever was left."""
    launcher = slurm_launcher(cluster, time_limit="0:05", save_s=0)
    handle = submitted(launcher, plan_for(workspace, stubborn=1))
    status = end_of(launcher, handle, 150)
    assert status.exit is not None and members(handle) == []
    assert judge(status, complete=False) in (RunState.FAILED, RunState.STOPPED)
    assert status.exit.by == "signal" or "TIMEOUT" in str(status.exit.error)


def test_what_sbatch_refuses_leaves_nothing(cluster: SlurmCluster, workspace: Path) -> None:
    launcher = slurm_launcher(cluster, partition="nowhere")
    plan = launcher.plan(plan_for(workspace, secrets=("HF_TOKEN",)))
    outcome = launcher.submit(plan, record_for(plan), {"HF_TOKEN": "abcdefgh"})
    assert isinstance(outcome, Refused) and outcome.code == "scheduler_refused"
    assert "invalid partition" in outcome.params["reason"].lower()
    assert list((workspace / "saves/m/lora").iterdir()) == []
    assert [job for job in cluster.jobs() if job[1] == "PENDING"] == []


def test_secrets_stand_nowhere_but_in_the_run(cluster: SlurmCluster, launcher: SlurmLauncher, workspace: Path) -> None:
    secret = "hf_Zq3abcdefghijklmnop"
    plan = plan_for(workspace, secrets=("HF_TOKEN",), dump=1, load=600)
    handle = submitted(launcher, plan, {"HF_TOKEN": secret})
    wait_ready(handle, "started")
    wait_for(lambda: (handle.paths.root / "env.json").exists() and (handle.paths.root / "env.json").stat().st_size)
    assert secret in (handle.paths.root / "env.json").read_text()
    (handle.paths.root / "env.json").unlink()
    job = wait_for(lambda: launcher.poll(handle).scheduled).job
    assert secret not in cluster.show(job) and secret not in cluster.call("scontrol", "write", "batch_script", job, "-")
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                assert secret.encode() not in (entry / "cmdline").read_bytes()
            except OSError:
                continue
    places = [workspace, cluster.folder]
    files = [path for place in places for path in place.rglob("*") if path.is_file()]
    assert [path for path in files if secret.encode() in path.read_bytes()] == []
    launcher.stop(handle, "kill")
    end_of(launcher, handle)


def test_the_job_has_none_of_this_environment(
    launcher: SlurmLauncher, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_API_KEY", "abcdefgh")
    monkeypatch.setenv("SBATCH_PARTITION", "nowhere")
    handle = submitted(launcher, plan_for(workspace, dump=1, steps=1, env={"LFDASH_X": "1"}))
    assert end_of(launcher, handle).exit.code == 0
    env = (handle.paths.root / "env.json").read_text()
    assert "MY_API_KEY" not in env and '"LFDASH_X": "1"' in env and "LFDASH_TICKET" not in env


@pytest.mark.parametrize("name", ["a b", "it's 100% \"q\"", "50%j", "ü#1", "back\\slash", "$HOME"])
def test_folders_with_odd_names(launcher: SlurmLauncher, tmp_path: Path, name: str) -> None:
    workspace = tmp_path / f"ws {name}"
    workspace.mkdir()
    handle = submitted(launcher, plan_for(workspace, steps=1, output_dir=f"saves/m/lora/{name}"))
    status = end_of(launcher, handle)
    assert status.exit is not None and status.exit.code == 0, handle.paths.attempt(1).shim_log.read_text()


def test_the_workspace_lies_elsewhere_there(cluster: SlurmCluster, workspace: Path, tmp_path: Path) -> None:
    """A link stands for another mount."""
    other = tmp_path / "shared"
    other.symlink_to(workspace)
    launcher = slurm_launcher(cluster, workspace=str(other))
    handle = submitted(launcher, plan_for(workspace, steps=1))
    assert str(workspace) not in (handle.paths.root / "batch.sh").read_text().replace(str(workspace.parent / "bin"), "")
    status = end_of(launcher, handle)
    assert status.exit is not None and status.exit.code == 0
    assert json.loads(handle.paths.attempt(1).spec.read_text())["cwd"] == str(other)


def test_a_second_attempt_is_a_job_of_its_own(
    cluster: SlurmCluster, launcher: SlurmLauncher, workspace: Path
) -> None:
    first = submitted(launcher, plan_for(workspace, fail="exit:3"))
    assert end_of(launcher, first).exit.code == 3
    plan = launcher.plan(replace(plan_for(workspace, steps=1), attempt=2))
    outcome = launcher.submit(plan, record_for(plan), {})
    assert isinstance(outcome, Launched)
    assert end_of(launcher, outcome.handle).exit.code == 0
    assert launcher.poll(outcome.handle).exit.attempt == 2
    assert {"lfdash-id-r1-1", "lfdash-id-r1-2"} <= {job[2] for job in cluster.jobs()}


def test_a_python_that_is_not_there_is_told(cluster: SlurmCluster, workspace: Path) -> None:
    launcher = slurm_launcher(cluster, python="/no/such/python")
    handle = submitted(launcher, plan_for(workspace, steps=1))
    status = end_of(launcher, handle)
    assert status.unused and status.exit is not None and "/no/such/python" in str(status.exit.error)
    assert "FAILED" in str(status.exit.error) and judge(status, complete=False) is RunState.FAILED
