"""Whether a model is a mixture of experts: its config.json says it, else its name."""

from __future__ import annotations

import re

from lfdash.jobs.environment import Facts
from lfdash.jobs.rules import Args

# "8x7B", "A3B" (the weights that a token uses), "MoE", and families that are known to be mixtures
NAMES = re.compile(
    r"(?<![a-z0-9])(\d+x\d+(\.\d+)?b|a\d+(\.\d+)?[bm]|\w*moe\w*|dbrx|mixtral|gpt-oss|llama-4|kimi-k2|minimax-m\d"
    r"|deepseek-(v2|v3|r1)(?!.*(distill|qwen|llama))|glm-4\.\d(?!v-flash|-9b))(?![a-z])",
    re.IGNORECASE,
)


def has_experts(args: Args, facts: Facts) -> bool:
    """Whether the model of a job is a mixture of experts, as far as that can be told."""
    if facts.model is not None:
        return facts.model.experts > 1
    return bool(NAMES.search(str(args.get("model_name_or_path") or "").rsplit("/", 1)[-1]))
