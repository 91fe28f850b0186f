"""Makes workspaces with any number of runs, without running anything: folders as runs leave them."""

from __future__ import annotations

import json
import math
import os
import random
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from lfdash.launchers import folder
from lfdash.outcomes import Refused
from lfdash.runs.paths import RunPaths
from lfdash.runs.plan import make_plan
from lfdash.runs.record import Exit, RunRecord, RunState

MODELS = ("Qwen2.5-7B-Instruct", "Llama-3.1-8B-Instruct", "Qwen2.5-0.5B", "gemma-2-9b-it", "demo-llama")
STAGES = ("sft", "sft", "sft", "dpo", "kto", "pt", "rm")
METHODS = ("lora", "lora", "lora", "full", "freeze")
ENDS = (RunState.SUCCEEDED,) * 6 + (RunState.FAILED, RunState.STOPPED, RunState.STOPPED)
TAGS = ("baseline", "ablation", "paper", "to check", "lr sweep")
NOTES = (
    "Lower learning rate than the baseline; watch the evaluation loss after step 60.",
    "Data without duplicates.\nAsk Ming before deleting.",
    "Good candidate for the release.",
)
ERRORS = ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", "ValueError: Undefined dataset x.")


def log_rows(steps: int, total: int, rng: random.Random, began: float = 0.0) -> list[dict[str, Any]]:
    """Rows of a trainer log: a loss that falls with noise, an evaluation every twenty steps."""
    start, floor, pace = rng.uniform(1.5, 3.5), rng.uniform(0.3, 1.1), rng.uniform(0.5, 4.0)
    rows = []
    for step in range(1, steps + 1):
        loss = floor + (start - floor) * math.exp(-4 * step / total) + rng.gauss(0, 0.04)
        seconds = int(began + step * pace)
        row = {
            "current_steps": step, "total_steps": total, "loss": round(loss, 4), "lr": 1e-4 * (1 - step / total),
            "epoch": round(3 * step / total, 2), "percentage": round(100 * step / total, 2),
            "elapsed_time": f"{seconds // 3600}:{seconds % 3600 // 60:02d}:{seconds % 60:02d}",
        }
        rows.append(row)
        if step % 20 == 0:
            rows.append({"current_steps": step, "total_steps": total, "eval_loss": round(loss + 0.08, 4)})
    return rows


def write_log(paths: RunPaths, rows: list[dict[str, Any]]) -> None:
    """A trainer log."""
    paths.trainer_log.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_notes(paths: RunPaths, note: str = "", tags: tuple[str, ...] = ()) -> None:
    """The notes of a run."""
    paths.notes.write_text(json.dumps({"version": 1, "note": note, "tags": list(tags)}), encoding="utf-8")


def add_run(
    workspace: Path, name: str, *, state: RunState = RunState.SUCCEEDED, steps: int = 60, total: int = 60,
    model: str = "demo-llama", stage: str = "sft", method: str = "lora", kind: str = "train", age: float = 3600.0,
    seed: int = 0, args: Mapping[str, Any] | None = None, checkpoints: tuple[int, ...] = (),
) -> RunPaths:
    """A run of ours that is over. age: seconds since its start."""
    output_dir = f"saves/{model}/{method}/{name}"
    given = {
        "model_name_or_path": f"models/{model}", "stage": stage, "do_train": kind == "train",
        "do_predict": kind == "eval", "finetuning_type": method, "dataset": "demo_sft", "template": "llama3",
        "output_dir": output_dir, "learning_rate": 0.0002, **(args or {}),
    }
    text = yaml.safe_dump({key: value for key, value in given.items() if value is not False}, sort_keys=False)
    plan = make_plan(
        run_id=f"id-{name}", args={}, env={}, secrets=(), files={"training_args.yaml": text}, cli="llamafactory-cli",
        cwd=str(workspace), output_dir=output_dir,
    )
    record = RunRecord.new(plan, kind=kind, name=name, model=model, stage=stage, method=method)
    paths = folder.make(plan, record)
    assert not isinstance(paths, Refused), paths
    rng = random.Random(f"{seed}-{name}")
    if kind == "train":
        write_log(paths, log_rows(steps, total, rng))
    began = time.time() - age
    code = {RunState.SUCCEEDED: 0, RunState.STOPPED: 0, RunState.FAILED: 1}[state]
    stop = ("graceful",) if state is RunState.STOPPED else ()
    seconds = steps * rng.uniform(1, 200)
    ended = Exit(record.run_id, 1, code, None, stop, started=began, ended=began + seconds, seconds=seconds)
    if state is RunState.FAILED:
        last = rng.choice(ERRORS)
        paths.console.write_text(f"loading\nTraceback (most recent call last):\n  File x\n{last}\n", encoding="utf-8")
    if state is not RunState.FAILED:
        (paths.root / "adapter_model.safetensors").write_bytes(b"0" * 2048)
        adapter = {"base_model_name_or_path": f"models/{model}", "peft_type": "LORA"}
        (paths.root / "adapter_config.json").write_text(json.dumps(adapter))
        state_file = {"global_step": steps, "max_steps": total, "log_history": []}
        paths.trainer_state.write_text(json.dumps(state_file), encoding="utf-8")
    for step in checkpoints:
        (paths.root / f"checkpoint-{step}").mkdir()
        (paths.root / f"checkpoint-{step}" / "model.bin").write_bytes(b"0" * 4096)
    paths.exit.write_text(json.dumps(ended.__dict__), encoding="utf-8")
    record = replace(record, created=began, host=os.uname().nodename)
    done = record.with_last(started=began, state=state, stop=stop[0] if stop else None, exit=ended)
    paths.record.write_text(done.to_json(), encoding="utf-8")
    return paths


def add_plain(workspace: Path, name: str, model: str = "llama3-8b", method: str = "lora", steps: int = 40) -> RunPaths:
    """A run of the plain CLI that ended two hours ago; its files have the times at which they were written."""
    paths = RunPaths(workspace / "saves" / model / method / name)
    paths.root.mkdir(parents=True)
    write_log(paths, [*log_rows(steps, steps, random.Random(name)), {"current_steps": steps, "total_steps": steps}])
    (paths.root / "adapter_model.safetensors").write_bytes(b"0" * 2048)
    for path in (*paths.root.iterdir(), paths.root):
        os.utime(path, (time.time() - 7200,) * 2)
    os.utime(paths.root / "adapter_model.safetensors", (time.time() - 10800,) * 2)
    return paths


def add_pointers(workspace: Path, name: str) -> RunPaths:
    """A run as a clone has it whose large files git-lfs has not fetched."""
    paths = add_plain(workspace, name)
    for path in list(paths.root.iterdir()):
        path.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 4242\n")
    return paths


def fill(workspace: Path, count: int, *, steps: int = 200, seed: int = 0) -> None:
    """So many runs of many kinds, the newest some minutes old."""
    rng = random.Random(seed)
    for number in range(count):
        state = rng.choice(ENDS)
        total = rng.choice((steps, steps, steps // 2))
        made = total if state is RunState.SUCCEEDED else rng.randrange(1, total)
        kind = "eval" if rng.random() < 0.08 else "train"
        stage = rng.choice(STAGES)
        paths = add_run(
            workspace, f"{stage}-{rng.choice(('base', 'long', 'lr2', 'mix'))}-{number:04d}", state=state, steps=made,
            total=total, model=rng.choice(MODELS), stage=stage, method=rng.choice(METHODS), kind=kind,
            age=600.0 + 5000.0 * number, seed=seed, checkpoints=tuple(range(50, made, 50)),
        )
        if rng.random() < 0.4:
            tags = tuple(rng.sample(TAGS, rng.randrange(0, 3)))
            write_notes(paths, rng.choice(NOTES) if rng.random() < 0.6 else "", tags)
