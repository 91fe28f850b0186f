"""A good job, and what the world says of it, for the tests of problems."""

from __future__ import annotations

from typing import Any

from lfdash.jobs import checks
from lfdash.jobs.args import job_from_args
from lfdash.jobs.environment import Facts

GOOD: dict[str, Any] = {
    "stage": "sft", "do_train": True, "finetuning_type": "lora", "model_name_or_path": "org/m", "template": "qwen",
    "dataset": "a", "output_dir": "saves/m/lora/r",
}
PPO = {"stage": "ppo", "reward_model": "r", "reward_model_type": "lora"}
FACTS = Facts(datasets=frozenset({"a", "pairs"}), ranking={"a": False, "pairs": True}, roots=("/ws", "/data"))


def codes(args: dict[str, Any], facts: Facts = FACTS) -> set[str]:
    """The codes of what is wrong with a job of these arguments."""
    return {problem.code for problem in checks.problems(job_from_args(args), facts)}
