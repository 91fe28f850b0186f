"""LlamaBoard, of any version, opens a run of ours for each preset, and saves what it then has in its form."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lfdash.jobs.args import job_from_args
from lfdash.jobs.job import JobConfig
from lfdash.jobs.llamaboard_format import dump_state
from lfdash.jobs.presets import list_presets
from lfdash.llamafactory.locate import Cli
from tests.support import PROGRAMS, ROOT

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


def open_in_board(cli: Cli, folder: Path, lacks: Collection[str] = frozenset()) -> Board:
    """Writes every preset's run folder and lets the LlamaBoard of `cli` open them, in one process.

    lacks: elements that this LlamaBoard has not.
    """
    runs = []
    for name in PRESETS:
        job = job_of(name)
        target = folder / job.folder
        target.mkdir(parents=True)
        (target / "llamaboard_config.yaml").write_text(dump_state(job, lacks=lacks), encoding="utf-8")
        method = str(job.get("top.finetuning_type"))
        runs.append({"model_name": model_of(name), "model_path": "models/m", "method": method, "name": name})
    (folder / "runs.json").write_text(json.dumps(runs))
    command = [str(cli.python), str(PROGRAMS / "board_opens.py"), "runs.json", "results.json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    results = json.loads((folder / "results.json").read_text())
    return Board(dict(zip(PRESETS, results, strict=True)), folder)
