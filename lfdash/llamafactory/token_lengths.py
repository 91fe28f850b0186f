"""How long the rows of a dataset are in tokens, counted by LLaMA-Factory itself, outside of the web process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lfdash.llamafactory.ask import Answers, ask_json
from lfdash.llamafactory.locate import Cli
from lfdash.outcomes import Refused

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


def count_tokens(
    cli: Cli, workspace: Path, job: Mapping[str, Any], env: Mapping[str, str] | None = None,
    warm: Answers | None = None,
) -> Lengths | Refused:
    """Counts the tokens of at most SAMPLE rows of each dataset of a job (LLaMA-Factory's arguments).

    warm: is asked first. Refused: as `ask`.
    """
    args = {name: job[name] for name in NEEDED if name in job}
    args |= {"do_train": True, "use_cpu": True, "max_samples": SAMPLE, "preprocessing_num_workers": 1}
    answer = ask_json(cli, "lengths", args, timeout=TIMEOUT, cwd=workspace, env=env, warm=warm)
    return answer if isinstance(answer, Refused) else Lengths(tuple(answer["lengths"]))
