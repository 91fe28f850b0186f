"""`lfdash start FILE`: a run that goes on by itself, or the reason why there is none."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest

from tests.cli.test_check import TOKEN, job
from tests.cli.test_ls import COLUMNS
from tests.support import ROOT
from tests.support.runs import wait_for
from tests.support.terminal import DEMO, lfdash

SLOW = '{"steps": 60, "delay": 1}'


def test_a_run_from_start_to_end(workspace: Path) -> None:
    said = lfdash("start", DEMO, "--json")
    assert (said.code, list(said.json)) == (0, COLUMNS)
    assert said.json["state"] in ("STARTING", "RUNNING", "SUCCEEDED") and said.json["name"].startswith("demo-")
    assert lfdash("logs", "-f").out.count("step") == 6
    assert lfdash("show", said.json["id"], "--json").json["state"] == "SUCCEEDED"
    folder = workspace / said.json["folder"]
    assert json.loads((folder / "run.json").read_text())["name"] == said.json["name"]
    assert "LLaMA-Factory job created with lfdash" in (folder / "training_args.yaml").read_text()


def test_the_workspace_is_made(tmp_path: Path, workspace: Path) -> None:
    said = lfdash("start", DEMO, "--workspace", tmp_path / "new")
    assert said.code == 1 and "dataset_info.json" in said.err, "made, as the page makes it, and there are no data"
    assert (tmp_path / "new" / "deepspeed" / "ds_z3_config.json").exists()


def test_problems_keep_it_from_starting(workspace: Path, tmp_path: Path) -> None:
    said = lfdash("start", job(tmp_path, dataset="gone", save_steps=500), "--json")
    assert (said.code, list(said.json)) == (1, ["refused", "message", "problems"])
    assert said.json["refused"] == "problems"
    assert {problem["code"] for problem in said.json["problems"]} == {"dataset_unknown", "few_steps_saving"}
    words = lfdash("start", job(tmp_path, dataset="gone"))
    assert (words.code, words.out) == (1, "")
    assert "error: dataset: " in words.err and words.err.endswith("block the job: 1.\n")
    assert lfdash("ls", "--json").json == []


def test_warnings_are_told_beside_the_run_that_was_started(workspace: Path, tmp_path: Path) -> None:
    old = workspace / "saves" / "m" / "lora" / "old"
    old.mkdir(parents=True)
    (old / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    (old / "adapter_model.safetensors").write_bytes(b"0")
    dead = [{"current_steps": step, "total_steps": 9, "loss": math.nan} for step in range(3, 10)]
    (old / "trainer_log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in dead))
    warned = job(tmp_path, adapter_name_or_path="saves/m/lora/old")
    assert "since step 3, the loss" in lfdash("check", warned).out
    said = lfdash("start", warned)
    assert said.code == 0 and "r1" in said.out and "warning: adapter_name_or_path: " in said.err
    assert "since step 3, the loss of that run was not a number" in said.err


def test_a_name_that_is_taken(workspace: Path, tmp_path: Path) -> None:
    (workspace / "saves" / "m" / "lora" / "r1").mkdir(parents=True)
    said = lfdash("start", job(tmp_path), "--json")
    assert [problem["code"] for problem in said.json["problems"]] == ["name_taken"]


def test_busy_devices_and_beside(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lfdash.engine.defaults.now", partial(datetime, 2026, 1, 2, 3, 4, 5))  # names have the minute
    monkeypatch.setenv("FAKE_ARGS", SLOW)
    first = lfdash("start", DEMO, "--json").json
    said = lfdash("start", DEMO, "--json")
    assert (said.code, said.json["refused"]) == (1, "busy")
    assert first["name"] in said.json["message"]
    assert "--beside" in lfdash("start", DEMO).err
    beside = lfdash("start", DEMO, "--beside", "--json")
    assert beside.code == 0 and beside.json["name"].startswith(first["name"]) and beside.json["name"] != first["name"]


def test_several_at_the_same_moment_are_several_runs(workspace: Path) -> None:
    """All propose the same fresh name; each gets its own."""
    command = [sys.executable, "-m", "lfdash", "start", str(DEMO), "--beside", "--json"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    starts = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    runs = [json.loads(start.communicate(timeout=120)[0]) for start in starts]
    assert [start.returncode for start in starts] == [0] * 4, runs
    assert len({run["id"] for run in runs}) == len({run["folder"] for run in runs}) == 4
    assert {row["id"] for row in lfdash("ls", "--json").json} == {run["id"] for run in runs}


def test_where_nothing_can_be_started(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LFDASH_CLI", "/nowhere/llamafactory-cli")
    said = lfdash("start", DEMO, "--json")
    assert (said.code, said.json["refused"]) == (1, "blocked_variable")
    monkeypatch.setenv("LFDASH_PREVIEW_ONLY", "1")
    assert lfdash("start", DEMO, "--json").json["refused"] == "blocked_preview"


def test_a_token_reaches_the_run_and_no_file(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_ARGS", '{"dump": 1, "steps": 1}')
    said = lfdash("start", job(tmp_path, hf_hub_token=TOKEN))
    assert said.code == 0 and TOKEN not in said.out + said.err
    folder = workspace / "saves" / "m" / "lora" / "r1"
    assert json.loads(wait_for(lambda: text_of(folder / "env.json")))["HF_TOKEN"] == TOKEN
    assert lfdash("logs", "-f").code == 0
    told = [path for path in folder.rglob("*") if path.is_file() and TOKEN in path.read_text(errors="replace")]
    assert [path.name for path in told] == ["env.json"], "what the run itself writes is its own"


def text_of(path: Path) -> str:
    text = path.read_text() if path.exists() else ""
    return text if text.endswith("}") else ""


def test_a_file_whose_name_is_no_runs_name(workspace: Path, tmp_path: Path) -> None:
    path = job(tmp_path).rename(tmp_path / "-my job (1).yaml")
    path.write_text(path.read_text().replace("output_dir: saves/m/lora/r1\n", ""))
    assert lfdash("start", path, "--json").json["name"].startswith("my_job_1-")


def test_who_interrupts_it_is_told_that_it_may_have_started(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """sbatch may take it all the same; a second start would be a second training."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lfdash.engine.facade.Workspace.submit", interrupted)
    said = lfdash("start", DEMO)
    assert said.code == 130 and "it may have been started" in said.err and "lfdash ls" in said.err
