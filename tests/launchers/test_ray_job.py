"""What Ray is given for a run: what is previewed, and what a shell makes of it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from lfdash.launchers.ray import RayLauncher
from lfdash.launchers.ray_job import job_id, job_text, memory_bytes
from lfdash.outcomes import Refused
from lfdash.runs.paths import RunPaths
from lfdash.runs.plan import LaunchPlan, make_plan
from lfdash.targets.target import Target
from tests.support import GOLDEN

TARGETS = {
    "plain": Target("pool", "ray", address="http://head:8265"),
    "whole": Target(
        "pool", "ray", address="https://head/ray", token_file="/home/me/.ray/auth_token", workspace="/shared/team/ws",
        cli="/opt/lf/bin/llamafactory-cli", memory="64G", cpus=16, gpus=4, env={"OMP_NUM_THREADS": "8"}, save_s=300,
    ),
    "setup": Target("pool", "ray", address="http://head:8265", gpus=1, setup=(". /opt/env.sh", "conda activate lf")),
    "setup_nodes": Target(
        "pool", "ray", address="http://head:8265", nodes=2, gpus=1,
        setup=(". /opt/env.sh", "conda activate 'lf' # ours"),
    ),
    "nodes": Target("pool", "ray", address="http://head:8265", nodes=2, cpus=8, gpus=4, memory="64G"),
}


def plan_of(**changes: Any) -> LaunchPlan:
    given: dict[str, Any] = {
        "run_id": "abc", "args": {"stage": "sft"}, "env": {"HF_HUB_OFFLINE": "1", "X": "a $HOME 'b'"},
        "secrets": ("HF_TOKEN",), "files": {}, "cli": "/home/me/venv/bin/llamafactory-cli",
        "cwd": "/home/me/work space", "output_dir": "saves/m/lora/it's a run",
    }
    return make_plan(**{**given, **changes})


def body_of(target: Target, **changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(job_text(plan_of(**changes), target))
    return found


@pytest.mark.parametrize("name", TARGETS)
def test_golden_job(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lfdash.launchers.ray_job.supervisor_folder", lambda: ".lfdash/supervisor/0")
    text = job_text(plan_of(), TARGETS[name])
    golden = GOLDEN / "ray" / f"{name}.yaml"
    assert text == golden.read_text(encoding="utf-8"), f"if this is meant: write it to {golden}"


def test_the_text_is_what_is_sent_and_json_can_hold_it() -> None:
    """Each value is a text, a number or a table of those: nothing that YAML makes of a text."""
    body = body_of(TARGETS["whole"], run_id="2026-11-28", env={"A": "yes", "B": "1e3", "C": "null\n", "D": "ü\t#"})
    assert json.loads(json.dumps(body)) == body
    assert body["submission_id"].startswith("lfdash-2026-11-28-1-")
    assert body["runtime_env"] == {"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": "300"}}


@pytest.mark.parametrize(
    ("target", "changes", "gpus"),
    [
        (Target("p", "ray"), {}, 1), (Target("p", "ray", gpus=0), {}, 0), (Target("p", "ray", gpus=4), {}, 4),
        (Target("p", "ray", gpus=4), {"env": {"LFDASH_GPUS": "2"}}, 2),
        (Target("p", "ray"), {"env": {"CUDA_VISIBLE_DEVICES": "2,3"}}, 2),
        (Target("p", "ray", gpus=4), {"args": {"stage": "sft", "use_cpu": True}}, 0),
        (Target("p", "ray"), {"args": {"stage": "sft", "use_cpu": True}}, 0),
    ],
)
def test_gpus_are_always_asked_for(target: Target, changes: dict[str, Any], gpus: int) -> None:
    body = body_of(target, **changes)
    assert body["entrypoint_num_gpus"] == gpus and body["entrypoint_num_cpus"] >= 1
    assert ("export CUDA_VISIBLE_DEVICES=''" in body["entrypoint"]) is (gpus == 0)


def test_a_job_is_called_by_what_it_does() -> None:
    plan, target = plan_of(), TARGETS["plain"]
    assert job_id(plan, target) == job_id(plan_of(), target)
    others = [replace(plan, attempt=2), replace(plan, run_id="b"), replace(plan, cwd="/other"), plan_of(env={"X": "1"})]
    ids = {job_id(one, target) for one in (plan, *others)} | {job_id(plan, TARGETS["whole"])}
    assert len(ids) == 6
    assert job_id(plan, replace(target, token_file="/x", address="http://b")) == job_id(plan, target)


def test_memory_in_bytes() -> None:
    assert (memory_bytes("64G"), memory_bytes("512"), memory_bytes("3000M")) == (64 << 30, 512 << 20, 3000 << 20)


def test_a_shell_starts_the_supervisor_with_the_environment(tmp_path: Path) -> None:
    root = tmp_path / "it's 100% $HOME"
    plan = plan_of(cwd=str(root), cli=str(tmp_path / "b in" / "llamafactory-cli"))
    python = tmp_path / "python"
    code = "import json, os, sys\njson.dump([sys.argv, dict(os.environ)], sys.stdout)"
    python.write_text(f"#!{sys.executable}\n{code}\n")
    python.chmod(0o755)
    folder = RunPaths(root / plan.output_dir).attempt(1).root
    folder.mkdir(parents=True)
    body = yaml.safe_load(job_text(plan, replace(TARGETS["plain"], python=str(python))))
    # as Ray does it (job_supervisor.py)
    bare = {"PATH": "/usr/bin:/bin", "USE_RAY": "1"}
    done = subprocess.run(["/bin/sh", "-c", body["entrypoint"]], env=bare, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    argv, env = json.loads((folder / "shim.log").read_text())
    assert argv[1:3] == ["-I", "-S"] and argv[4] == str(folder) and argv[5] == "--"
    assert argv[6:] == list(plan.argv)
    assert env["X"] == "a $HOME 'b'" and "USE_RAY" not in env and env["PATH"].startswith(str(tmp_path / "b in"))
    assert body["submission_id"].endswith(env["LFDASH_TICKET"]) and "HF_TOKEN" not in body["entrypoint"]


def test_use_ray_is_refused() -> None:
    plan = plan_of(env={"USE_RAY": "1"})
    assert RayLauncher().fits(plan, TARGETS["plain"]) == Refused("ray_use_ray", {"name": "pool"})
    plan, target = plan_of(), replace(TARGETS["plain"], env={"USE_RAY": "1"})
    assert RayLauncher().fits(plan, target) == Refused("ray_use_ray", {"name": "pool"})
    assert RayLauncher().fits(plan, TARGETS["plain"]) is None
