"""How long the rows of a dataset are in tokens, counted by LLaMA-Factory itself, outside of the web process."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lfdash.llamafactory.locate import Cli
from lfdash.runs.plan import UNSET

SCRIPT = Path(__file__).with_name("scripts") / "lengths.py"
SAMPLE = 1000  # rows that are counted of each dataset, at most
TIMEOUT = 300  # seconds; the imports take 8 idle, a tokenizer from a hub some more
# What a count needs of a job; the rest (optimizer, saving, devices) cannot change a length.
NEEDED = (
    "model_name_or_path", "stage", "dataset", "dataset_dir", "template", "train_on_prompt", "mask_history",
    "enable_thinking", "trust_remote_code", "cache_dir", "image_max_pixels", "image_min_pixels", "video_max_pixels",
    "video_min_pixels", "default_system", "tool_format", "use_fast_tokenizer", "add_tokens", "add_special_tokens",
)


@dataclass(frozen=True)
class Lengths:
    """Tokens of each counted row, in the order of the rows."""

    tokens: tuple[int, ...]

    def over(self, cutoff: int) -> int:
        """How many rows are longer than a cutoff: their end would be cut off."""
        return sum(length > cutoff for length in self.tokens)


@dataclass(frozen=True)
class NotCounted:
    """The count did not work; reason and code as those of `CheckFailed`."""

    reason: str
    code: Literal["said", "python", "time", "exit"] = "said"


def count_tokens(
    cli: Cli, workspace: Path, job: Mapping[str, Any], env: Mapping[str, str] | None = None
) -> Lengths | NotCounted:
    """Counts the tokens of at most SAMPLE rows of each dataset of a job (LLaMA-Factory's arguments)."""
    if cli.python is None:
        return NotCounted(cli.path, "python")
    args = {name: job[name] for name in NEEDED if name in job}
    args |= {"do_train": True, "use_cpu": True, "max_samples": SAMPLE, "preprocessing_num_workers": 1}
    inherited = {key: value for key, value in os.environ.items() if key not in UNSET}
    try:
        done = subprocess.run(
            [cli.python, str(SCRIPT)], input=json.dumps(args), capture_output=True, text=True, timeout=TIMEOUT,
            cwd=workspace, env={**inherited, **(env or {})},
        )
        if done.returncode == 0:
            return Lengths(tuple(json.loads(done.stdout)["lengths"]))
    except subprocess.TimeoutExpired:
        return NotCounted(str(TIMEOUT), "time")
    except (OSError, ValueError) as error:
        return NotCounted(str(error))
    lines = done.stderr.strip().splitlines()
    return NotCounted(lines[-1]) if lines else NotCounted(str(done.returncode), "exit")
