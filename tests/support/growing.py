"""Folders of runs as plain `llamafactory-cli` leaves them, that go on when a test says so."""

from __future__ import annotations

import hashlib
import json
import math
import os
from pathlib import Path
from typing import Any

TOTAL = 400  # steps that are planned


def row(step: int, total: int = TOTAL) -> dict[str, Any]:
    """A line of a trainer log: a loss that falls with noise, as many tokens a step as usual."""
    tokens = 1000 * step + step % 7
    seconds = 1.3 * step
    loss = 0.8 + 2 * math.exp(-step / 80) + 0.1 * (step % 5)
    return {
        "current_steps": step, "total_steps": total, "loss": round(loss, 4),
        "lr": 1e-4 * (1 - step / total), "epoch": round(4 * step / total, 4), "total_tokens": tokens,
        "throughput": round(tokens / seconds, 2),
    }


class GrowingRun:
    """A run below a workspace whose log grows. name: of its folder; total: steps that are planned."""

    def __init__(self, workspace: Path, name: str, total: int = TOTAL) -> None:
        self.path = workspace / "saves/demo-llama/lora" / name
        self.path.mkdir(parents=True)
        self.name, self.total, self.steps = name, total, 0
        relative = self.path.relative_to(workspace).as_posix()
        self.run_id = "cli-" + hashlib.sha256(relative.encode()).hexdigest()[:12]

    def go_on(self, steps: int) -> GrowingRun:
        """So many steps more, with an evaluation each twenty; and what the console prints of them."""
        rows = []
        for step in range(self.steps + 1, self.steps + steps + 1):
            rows.append(row(step, self.total))
            if step % 20 == 0:
                told = {"current_steps": step, "total_steps": self.total, "epoch": rows[-1]["epoch"]}
                rows.append(told | {"eval_loss": round(rows[-1]["loss"] + 0.05, 4)})
        self.steps += steps
        with (self.path / "trainer_log.jsonl").open("a", encoding="utf-8") as log:
            log.writelines(json.dumps(one) + "\n" for one in rows)
        with (self.path / "console.log").open("a", encoding="utf-8") as console:
            console.writelines(f"step {one['current_steps']}\n" for one in rows)
        return self

    def touch(self) -> GrowingRun:
        """Something was written just now: it goes on."""
        for name in ("trainer_log.jsonl", "console.log"):
            os.utime(self.path / name)
        return self

    def checkpoint(self, step: int) -> GrowingRun:
        """A folder of a checkpoint."""
        (self.path / f"checkpoint-{step}").mkdir()
        return self
