"""The batch script: what is previewed, what sbatch reads, what a shell makes of it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lfdash.launchers.slurm_script import (
    array_script,
    asked_for,
    batch_script,
    gpus_of,
    limit_s,
    supervisor_files,
    supervisor_folder,
    unfit,
)
from lfdash.runs.plan import LaunchPlan, make_plan
from lfdash.targets.target import Target
from tests.support import GOLDEN

SCRIPTS = GOLDEN / "slurm"
TARGETS = {
    "plain": Target("lab", "slurm"),
    "whole": Target(
        "lab", "slurm", cli="/opt/lf/bin/llamafactory-cli", workspace="/shared/team/ws", modules=("cuda/12.4", "gcc"),
        partition="gpu", account="proj", qos="long", constraint="a100&nvlink", time_limit="1-12:00:00", memory="64G",
        cpus=16, gpus=4, gpu_type="a100", save_s=300, extra=("--exclusive", "--mail-type=END"),
    ),
    "apptainer": Target(
        "lab", "slurm", cli="llamafactory-cli", container="/images/lf.sif", runner="apptainer", gpus=1, python="python3"
    ),
    "nodes": Target("lab", "slurm", nodes=2, cpus=8, gpus=4),
    "setup": Target(
        "lab", "slurm", cli="llamafactory-cli", modules=("gcc",), env={"A": "1"},
        setup=("source ~/miniconda3/etc/profile.d/conda.sh", "conda activate 'lf' # ours"),
    ),
    "pyxis": Target("lab", "slurm", cli="llamafactory-cli", container="nvcr.io#x/y:1", runner="pyxis", gpus=1),
}


def plan_of(**changes: Any) -> LaunchPlan:
    given: dict[str, Any] = {
        "run_id": "abc", "args": {"stage": "sft"}, "env": {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "3"},
        "secrets": ("HF_TOKEN",), "files": {}, "cli": "/home/me/venv/bin/llamafactory-cli",
        "cwd": "/home/me/work space", "output_dir": "saves/m/lora/it's a run",
    }
    return make_plan(**{**given, **changes})


def words(text: str) -> list[str]:
    """The options of a script."""
    return [line.removeprefix("#SBATCH ") for line in text.splitlines() if line.startswith("#SBATCH")]


@pytest.mark.parametrize("name", [*TARGETS, "odd"])
def test_golden_script(name: str) -> None:
    plan = plan_of(output_dir="saves/m/lora/100%") if name == "odd" else plan_of()
    text = batch_script(plan, TARGETS.get(name, TARGETS["plain"]))
    text = text.replace(supervisor_folder(), ".lfdash/supervisor/DIGEST")
    path = SCRIPTS / f"{name}.sh"
    if os.environ.get("LFDASH_GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
    assert subprocess.run(["bash", "-n"], input=text, text=True).returncode == 0


def test_no_secret_is_named_in_it() -> None:
    assert "HF_TOKEN" not in batch_script(plan_of(), TARGETS["whole"])


def test_a_shell_reads_it_as_it_was_meant(tmp_path: Path) -> None:
    """Whatever the paths and the values hold."""
    plan = plan_of(
        env={"A": "it's $HOME `x` \"y\" \\ \n z"}, cwd=str(tmp_path / "a 'b' $c"), cli=str(tmp_path / "my cli")
    )
    show = "import json, os, sys; print(json.dumps([sys.argv[1:], os.environ['A'], os.environ.get('RANK')]))"
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\nexec python3 -c {shlex.quote(show)} \"$@\"\n")
    python.chmod(0o755)
    text = batch_script(plan, Target("lab", "slurm", python=str(python)))
    done = subprocess.run(["bash"], input=text, text=True, capture_output=True, env={**os.environ, "RANK": "7"})
    argv, value, rank = json.loads(done.stdout)
    folder = f"{plan.cwd}/{plan.output_dir}/attempts/001"
    program = f"{plan.cwd}/{supervisor_folder()}/lfdash/supervisor/__main__.py"
    assert argv == ["-I", "-S", program, folder, "--", *plan.argv]
    assert (value, rank) == (plan.env["A"], None)


@pytest.mark.parametrize(
    ("args", "env", "target_gpus", "gpus"),
    [
        ({}, {}, 2, 2), ({}, {}, None, 1), ({}, {}, 0, 0), ({"use_cpu": True}, {}, 2, 0),
        ({"use_cpu": True}, {}, None, 0), ({}, {"LFDASH_GPUS": "4"}, 2, 4),
        ({}, {"CUDA_VISIBLE_DEVICES": "0,1,2"}, 1, 3),
        ({}, {"CUDA_VISIBLE_DEVICES": ""}, 1, 0),
    ],
)
def test_a_job_asks_for_its_own_gpus(
    args: dict[str, Any], env: dict[str, str], target_gpus: int | None, gpus: int
) -> None:
    plan, target = plan_of(args={"stage": "sft", **args}, env=env), Target("lab", "slurm", gpus=target_gpus)
    assert gpus_of(plan, target) == gpus
    gres = [word for word in words(batch_script(plan, target)) if "gres" in word]
    assert gres == ([f"--gres=gpu:{gpus}"] if gpus else [])
    assert "CUDA_VISIBLE_DEVICES" not in batch_script(plan, target)


@pytest.mark.parametrize(
    ("limit", "seconds"),
    [
        ("", 86400), ("5", 300), ("5:30", 330), ("1:00:00", 3600), ("2-3", 183600), ("1-0:30", 88200),
        ("1-12:00:05", 129605),
    ],
)
def test_a_time_limit_is_read_as_sbatch_reads_it(limit: str, seconds: int) -> None:
    assert limit_s(Target("lab", "slurm", time_limit=limit)) == seconds


def test_a_short_job_is_not_told_to_stop_as_it_starts() -> None:
    target = Target("lab", "slurm", time_limit="2", save_s=120)
    assert "--signal=B:USR1@60" in words(batch_script(plan_of(), target))


def test_an_array_asks_for_what_each_of_its_jobs_would(tmp_path: Path) -> None:
    target = TARGETS["whole"]
    plans = [plan_of(run_id=f"id{number}", output_dir=f"saves/{name}") for number, name in enumerate(("a", "it's b"))]
    text = array_script(plans, target, "lfdash-sweep-x", 1)
    own = {option for option in words(batch_script(plans[0], target)) if option in set(asked_for(plans[0], target))}
    assert own <= set(words(text)) and "--array=0-1%1" in words(text) and "--job-name=lfdash-sweep-x" in words(text)
    assert "exec bash -l ../../batch.sh" in text and "HF_TOKEN" not in text


@pytest.mark.parametrize("more", [{"modules": ("gcc",)}, {"setup": ("conda activate lf",)}, {"cli": "by-path"}])
def test_what_needs_a_login_shell_has_one(more: dict[str, Any]) -> None:
    """Also where an array starts it."""
    plain, target = Target("lab", "slurm"), Target("lab", "slurm", **more)
    assert batch_script(plan_of(), plain).startswith("#!/bin/bash\n")
    assert batch_script(plan_of(), target).startswith("#!/bin/bash -l\n")
    assert "exec bash -l ../../batch.sh" in array_script([plan_of()], target, "x", 1)


@pytest.mark.parametrize("place", [0, 1])
def test_a_job_of_an_array_runs_the_script_of_its_own_run(tmp_path: Path, place: int) -> None:
    plans = [plan_of(run_id=name, cwd=str(tmp_path), output_dir=f"saves/{name}") for name in ("a", "it's $b")]
    for plan in plans:
        folder = tmp_path / plan.output_dir
        (folder / "attempts" / "001").mkdir(parents=True)
        (folder / "batch.sh").write_text('echo "$PWD" $$\n')
    script = tmp_path / "array.sh"
    script.write_text(array_script(plans, TARGETS["plain"], "x", 2))
    with subprocess.Popen(["bash", str(script)], env={**os.environ, "SLURM_ARRAY_TASK_ID": str(place)}) as shell:
        assert shell.wait(10) == 0
    folder = tmp_path / plans[place].output_dir / "attempts" / "001"
    said = (folder / "shim.log").read_text()
    assert said == f"{folder} {shell.pid}\n", "the batch process itself, which signals reach"


def test_a_later_attempt_is_another_job() -> None:
    text = batch_script(replace(plan_of(), attempt=2), TARGETS["plain"])
    assert "--job-name=lfdash-abc-2" in words(text) and "attempts/002" in text


@pytest.mark.parametrize(
    ("changes", "odd"),
    [
        ({}, None), ({"cwd": "/a\nb"}, "/a\nb"), ({"output_dir": "a\rb"}, "a\rb"), ({"env": {"A": "b\0"}}, "b\0"),
        ({"env": {"A": "b\nc"}}, None),
    ],
)
def test_what_no_script_can_hold(changes: dict[str, Any], odd: str | None) -> None:
    assert unfit(plan_of(**changes), TARGETS["plain"]) == odd


def test_the_supervisor_is_whole_and_alone(tmp_path: Path) -> None:
    """As a node has it: nothing of lfdash but its own files."""
    for name, content in supervisor_files().items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "attempt").mkdir()
    (tmp_path / "attempt" / "spec.json").write_text("{}")
    done = subprocess.run(
        ["python3", "-I", "-S", str(tmp_path / "lfdash/supervisor/__main__.py"), str(tmp_path / "attempt")],
        capture_output=True, text=True, env={"PATH": os.environ["PATH"]},
    )
    assert "already started once" in done.stderr, done.stderr
