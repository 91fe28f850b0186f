"""Makes a workspace of ten thousand runs in a minute: folders as ended runs leave them, written without any plan."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.many import METHODS, NOTES, TAGS, log_rows

WAYS = ("lora", "full", "freeze", "oft", "galore")  # folders between a model's and its runs
ENDS = ("done",) * 12 + ("stopped",) * 3 + ("failed",) * 4 + ("twice",)  # twice: resumed once
LOST = 400  # one in so many went with its machine
DATASETS = ("alpaca_en", "alpaca_zh", "identity", "alpaca_en,identity", "own")
LOGS = 64  # different trainer logs among all runs


def crowd(workspace: Path, models: int = 20, ways: int = 5, each: int = 100, *, rows: int = 100, seed: int = 0) -> int:
    """Fills saves/<model>/<way>/<run>; how many runs that are. rows: training lines of a log."""
    rng = random.Random(seed)
    logs = [log_text(rows, random.Random(number)) for number in range(LOGS)]
    now, number = time.time(), 0
    for model in range(models):
        for way in WAYS[:ways]:
            for _ in range(each):
                root = workspace / "saves" / f"Qwen2.5-{model}B-Instruct" / way / f"sft-lr{number % 7}-{number:05d}"
                one = Member(workspace, root, number, rng, now - 90_000.0 - 700.0 * number)
                one.write(logs[number % LOGS], state_text(rows if one.end == "done" else rows - 1, rows))
                number += 1
    return number


def log_text(rows: int, rng: random.Random) -> str:
    """A trainer log as LlamaBoard has it written."""
    told = {"remaining_time": "0:10:00", "throughput": 2345.67, "total_tokens": 1_234_567}
    return "".join(json.dumps({**row, **told} if "loss" in row else row) + "\n" for row in log_rows(rows, rows, rng))


def state_text(step: int, most: int) -> str:
    """trainer_state.json."""
    history = [{"epoch": 0.1, "grad_norm": 1.2, "learning_rate": 1e-4, "loss": 1.0, "step": n} for n in range(step)]
    state = {"best_metric": None, "epoch": 3.0, "global_step": step, "log_history": history, "max_steps": most}
    return json.dumps({**state, "num_train_epochs": 3}, indent=2)


class Member:
    """One run of the crowd. began: epoch seconds."""

    def __init__(self, workspace: Path, root: Path, number: int, rng: random.Random, began: float) -> None:
        self.workspace, self.root, self.number, self.rng, self.began = workspace, root, number, rng, began
        self.end = "lost" if number % LOST == LOST - 1 else rng.choice(ENDS)
        self.seconds = rng.uniform(600, 86_000)
        self.folder = str(root.relative_to(workspace))
        self.run_id = f"{20260101 + number // 500}-{number:06x}"

    def write(self, log: str, state: str) -> None:
        """Makes the folder."""
        files: dict[str, str] = {
            "training_args.yaml": self.arguments(),
            "trainer_log.jsonl": log, "console.log": "loading\n" + "{'loss': 1.0, 'grad_norm': 1.0}\n" * 100,
            "running_log.txt": "INFO\n" * 50, "llamaboard_config.yaml": "top.lang: en\n" * 40,
        }
        saved = self.end in ("done", "stopped", "twice")
        if saved:
            files |= {"adapter_model.safetensors": "0" * 512, "adapter_config.json": "{}", "trainer_state.json": state,
                      "README.md": "---\nbase_model: x\n---\n", "tokenizer_config.json": "{}"}
        if self.end == "done":
            loss = round(self.rng.uniform(0.5, 2.0), 4)
            scores = json.dumps({"epoch": 3.0, "train_loss": loss, "train_runtime": 9.5})
            files |= {"all_results.json": scores, "train_results.json": scores}
        if self.end == "failed":
            files["console.log"] += "Traceback (most recent call last):\n  File x\nValueError: Undefined dataset x.\n"
        if self.rng.random() < 0.3:
            tags = self.rng.sample(TAGS, self.rng.randrange(0, 3))
            files["notes.json"] = json.dumps({"version": 1, "note": self.rng.choice(NOTES), "tags": tags})
        for step in (50, 100) if saved else ():
            files[f"checkpoint-{step}/adapter_model.safetensors"] = "0"
        newest = 2 if self.end == "twice" else 1
        for attempt in range(1, newest + 1):
            files |= self.control(attempt)
        if self.end != "lost":
            files["exit.json"] = json.dumps(self.exit(newest))
        files["run.json"] = json.dumps(self.record(newest), indent=2)
        put(self.root, files, self.began + self.seconds)

    def arguments(self) -> str:
        """training_args.yaml: of a sweep over learning rates, ranks, batch sizes and datasets."""
        number = self.number
        args = {
            "model_name_or_path": f"Qwen/{self.root.parts[-3]}", "stage": "sft", "do_train": "true",
            "finetuning_type": METHODS[number % len(METHODS)], "template": "qwen", "dataset": DATASETS[number % 5],
            "cutoff_len": 2048, "learning_rate": ("1.0e-05", "2.0e-05", "5.0e-05", "0.0001", "0.0002")[number % 5],
            "lora_rank": (4, 8, 16, 32, 64)[number // 5 % 5], "lora_alpha": 16, "lora_target": "q_proj,v_proj",
            "per_device_train_batch_size": (1, 2, 4)[number % 3], "gradient_accumulation_steps": 8,
            "num_train_epochs": 3.0, "lr_scheduler_type": "cosine", "warmup_ratio": 0.1, "bf16": "true",
            "logging_steps": 5, "save_steps": 100, "plot_loss": "true", "overwrite_output_dir": "true",
            "seed": number, "output_dir": self.folder, "preprocessing_num_workers": 16, "optim": "adamw_torch",
            "max_grad_norm": 1.0, "report_to": "none", "packing": "false", "ddp_timeout": 180000000,
        }
        return "".join(f"{name}: {value}\n" for name, value in args.items())

    def exit(self, attempt: int) -> dict[str, Any]:
        """exit.json of an attempt."""
        stop = ["graceful"] if self.end == "stopped" or (self.end, attempt) == ("twice", 1) else []
        return {"run_id": self.run_id, "attempt": attempt, "code": int(self.end == "failed"), "error": None,
                "stop": stop, "sent": [], "leftovers": 0, "started": self.began, "ended": self.began + self.seconds,
                "seconds": self.seconds}

    def control(self, attempt: int) -> dict[str, str]:
        """The control files of an attempt."""
        spec = {
            "run_id": self.run_id, "attempt": attempt, "argv": self.argv(), "cwd": str(self.workspace),
            "marker": f"{attempt}:{self.root}", "console": str(self.root / "console.log"),
            "exit": "../../exit.json", "boot_id": "another", "host": os.uname().nodename, "clock": 1.0,
            "console_start": 0, "secrets": [], "before": {"trainer_log.jsonl": None, "trainer_state.json": None},
        }
        child = {"boot_id": "another", "host": os.uname().nodename, "started": self.began, "clock": 2.0,
                 "shim": 1234567, "shim_ticks": 1, "child": 1234568, "child_ticks": 2}
        folder = f"attempts/{attempt:03d}"
        wish = "stop.graceful" if self.exit(attempt)["stop"] else "armed"
        return {f"{folder}/spec.json": json.dumps(spec), f"{folder}/child.json": json.dumps(child),
                f"{folder}/{wish}": "", f"{folder}/lock": "", f"{folder}/shim.log": ""}

    def argv(self) -> list[str]:
        return ["/opt/venv/bin/llamafactory-cli", "train", f"{self.folder}/training_args.yaml"]

    def record(self, attempts: int) -> dict[str, Any]:
        """run.json: only the end of an attempt that was followed by another is written down."""
        def one(number: int) -> dict[str, Any]:
            over = number < attempts
            return {"number": number, "argv": self.argv(), "started": self.began, "devices": ["0"],
                    "env": {"LLAMABOARD_ENABLED": "1", "LLAMABOARD_WORKDIR": self.folder, "CUDA_VISIBLE_DEVICES": "0"},
                    "state": "STOPPED" if over else "STARTING", "stop": "graceful" if over else None,
                    "exit": self.exit(number) if over else None}

        return {
            "version": 1, "run_id": self.run_id, "kind": "train", "name": self.root.name, "launcher": "local",
            "model": self.root.parts[-3], "stage": "sft", "method": METHODS[self.number % len(METHODS)], "secrets": [],
            "attempts": [one(number) for number in range(1, attempts + 1)], "created": self.began,
            "host": os.uname().nodename,
        }


def put(root: Path, files: Mapping[str, str], when: float) -> None:
    """Writes files below a new folder, all of them so old."""
    folders = {str(root), *(os.path.dirname(f"{root}/{name}") for name in files)}
    for folder in sorted(folders):
        os.makedirs(folder, exist_ok=True)
    for name, text in files.items():
        path = f"{root}/{name}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        os.write(descriptor, text.encode())
        os.close(descriptor)
        os.utime(path, (when, when))
    for folder in (*sorted(folders, reverse=True), f"{root}/attempts"):
        if os.path.isdir(folder):
            os.utime(folder, (when, when))


