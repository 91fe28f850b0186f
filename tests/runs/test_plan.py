"""The plan: its text, pasted into a shell, does what the plan does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lfdash.runs.plan import UNSET, LaunchPlan, make_plan
from tests.support import GOLDEN

PLAN = GOLDEN / "plan.txt"


def plan_of(**changes: Any) -> LaunchPlan:
    given: dict[str, Any] = {
        "run_id": "abc", "args": {"stage": "sft"}, "env": {}, "secrets": (), "files": {}, "cli": "llamafactory-cli",
        "cwd": "/home/me/work space", "output_dir": "saves/m/lora/r",
    }
    return make_plan(**{**given, **changes})


def test_golden_text() -> None:
    text = str(plan_of(env={"CUDA_VISIBLE_DEVICES": "0,1", "FORCE_TORCHRUN": "1"}, secrets=("SWANLAB_API_KEY",)))
    if os.environ.get("LFDASH_GOLDEN") == "write":
        PLAN.parent.mkdir(exist_ok=True)
        PLAN.write_text(text + "\n", encoding="utf-8")
    assert text + "\n" == PLAN.read_text(encoding="utf-8")


def test_what_llamafactory_needs_is_set_and_what_misleads_it_is_not_inherited() -> None:
    plan = plan_of(env={"FORCE_TORCHRUN": "1"})
    assert plan.env == {"FORCE_TORCHRUN": "1", "LLAMABOARD_ENABLED": "1", "LLAMABOARD_WORKDIR": "saves/m/lora/r"}
    assert plan.unset == tuple(name for name in UNSET if name != "FORCE_TORCHRUN")
    assert {"LOCAL_RANK", "RANK", "WORLD_SIZE", "USE_V1", "USE_RAY", "USE_KT", "USE_MCA"} <= set(plan.unset)
    assert "OMP_NUM_THREADS" not in plan.unset and "OMP_NUM_THREADS" not in plan.env
    assert plan.argv == ("llamafactory-cli", "train", "saves/m/lora/r/training_args.yaml")


def test_the_arguments_become_the_file_unless_it_is_given() -> None:
    plan = plan_of(args={"b": 1, "a": "ü"}, files={"llamaboard_config.yaml": "x: 1\n"})
    assert list(plan.files) == ["training_args.yaml", "llamaboard_config.yaml"]
    assert yaml.safe_load(plan.files["training_args.yaml"]) == {"b": 1, "a": "ü"}
    assert plan_of(files={"training_args.yaml": "z: 1\n"}).files == {"training_args.yaml": "z: 1\n"}


def test_the_text_runs_as_pasted(tmp_path: Path) -> None:
    """With everything a shell could stumble over, a secret set in that shell, and variables to be removed."""
    folder = tmp_path / "a 'quoted' $HOME dir"
    folder.mkdir()
    cli = tmp_path / "my cli"
    show = "import json, os, sys; print(json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]))"
    cli.write_text(f"#!{sys.executable} -IS\n{show}\n")
    cli.chmod(0o755)
    plan = plan_of(
        cli=str(cli), cwd=str(folder), env={"A": 'x y "$HOME" `id`', "EMPTY": ""}, secrets=("KEY",), output_dir="o p/q"
    )
    inherited = {**os.environ, "KEY": "se cret", "LOCAL_RANK": "1"}
    done = subprocess.run(["sh", "-c", str(plan)], capture_output=True, text=True, env=inherited, check=True)
    argv, cwd, env = json.loads(done.stdout)
    assert (folder / "o p/q/training_args.yaml").read_text() == plan.files["training_args.yaml"]
    assert (argv, cwd) == (["train", "o p/q/training_args.yaml"], str(folder))
    assert {name: env[name] for name in plan.env} == plan.env
    assert env["PATH"] == f"{tmp_path}:{os.environ['PATH']}"
    assert env["KEY"] == "se cret" and "LOCAL_RANK" not in env
    assert "se cret" not in str(plan)


def test_a_plan_does_not_change() -> None:
    with pytest.raises(AttributeError):
        plan_of().cwd = "/"  # type: ignore[misc]
