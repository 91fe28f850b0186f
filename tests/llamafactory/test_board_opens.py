"""LlamaBoard opens our runs and we open its files: through its own functions and its own form."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lfdash.jobs.args import build_args, job_from_args
from lfdash.jobs.importing import read_config
from lfdash.jobs.job import JobConfig
from lfdash.jobs.llamaboard_format import dump_state
from lfdash.jobs.presets import list_presets
from lfdash.llamafactory.locate import Cli
from tests.support import PROGRAMS, ROOT

pytestmark = pytest.mark.train_env
PRESETS = {p.name: p for p in list_presets(ROOT / "configs" / "presets")}
# The board names its own files for DeepSpeed, always trusts remote code, and never hands these over to a run.
ELSEWHERE = {"deepspeed", "trust_remote_code", "hub_model_id", "ddp_timeout", "preprocessing_num_workers"}
IMAGES = "Qwen2.5-VL-7B-Instruct"
EXTRA = {"weight_decay": 0.01, "lr_scheduler_kwargs": {"min_lr": 1e-6}, "freeze_vision_tower": False}


def job_of(name: str) -> JobConfig:
    """A preset as a run of one's own model, with arguments that LlamaBoard has no element for."""
    args = {**PRESETS[name].args, "model_name_or_path": "models/m", **EXTRA}
    method = args.get("finetuning_type", "lora")
    return job_from_args({**args, "output_dir": f"saves/{model_of(name)}/{method}/{name}"})


def model_of(name: str) -> str:
    """A name by which LlamaBoard knows whether the model takes images."""
    return IMAGES if "multimodal" in name else "Custom"


@dataclass(frozen=True)
class Board:
    """What LlamaBoard made of our runs, and the folder with the files that it saved then."""

    results: dict[str, dict[str, Any]]
    folder: Path


@pytest.fixture(scope="module")
def board(preloaded: Cli, tmp_path_factory: pytest.TempPathFactory) -> Board:
    """Writes every preset's run folder and lets LlamaBoard open them, in one process."""
    folder = tmp_path_factory.mktemp("board")
    runs = []
    for name in PRESETS:
        job = job_of(name)
        target = folder / job.folder
        target.mkdir(parents=True)
        (target / "llamaboard_config.yaml").write_text(dump_state(job), encoding="utf-8")
        method = str(job.get("top.finetuning_type"))
        runs.append({"model_name": model_of(name), "model_path": "models/m", "method": method, "name": name})
    (folder / "runs.json").write_text(json.dumps(runs))
    command = [preloaded.python, str(PROGRAMS / "board_opens.py"), "runs.json", "results.json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    results = json.loads((folder / "results.json").read_text())
    return Board(dict(zip(PRESETS, results, strict=True)), folder)


@pytest.mark.parametrize("name", PRESETS)
def test_llamaboard_opens_a_run_of_ours(board: Board, name: str) -> None:
    """It finds the folder by its name, takes every element, and would run what we ran."""
    ours = build_args(job_of(name))
    theirs = board.results[name]["args"]
    assert board.results[name]["found"] > 50
    wanted = {key: value for key, value in ours.items() if key not in ELSEWHERE and value is not False}
    assert {key: theirs.get(key) for key in wanted} == wanted
    assert ("deepspeed" in theirs) == ("deepspeed" in ours)


@pytest.mark.parametrize("name", PRESETS)
def test_we_open_what_llamaboard_saved(board: Board, name: str) -> None:
    """The file that it saves from its form gives the arguments that it would run."""
    text = (board.folder / f"{name}-board.yaml").read_text(encoding="utf-8")
    loaded = read_config(text, lambda model: model == IMAGES)
    assert (loaded.kind, loaded.unknown) == ("llamaboard", ())
    found = build_args(loaded.job)
    not_in_its_files = {"model_name_or_path", "output_dir"}
    theirs = board.results[name]["args"]
    wanted = {key: value for key, value in theirs.items() if key not in ELSEWHERE | not_in_its_files}
    assert {key: found.get(key) for key in wanted} == wanted
