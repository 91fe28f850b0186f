"""What the model sees is what LLaMA-Factory prints of its first example at the beginning of a real run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lfdash.llamafactory.locate import Cli
from lfdash.llamafactory.sees import MOST, Seen, Side, see
from lfdash.outcomes import Refused
from tests.support.sees import SYSTEM, arguments, make_data, printed

pytestmark = pytest.mark.train_env

TEMPLATES = (
    "default", "llama3", "qwen", "qwen3", "chatml", "gemma", "mistral", "alpaca", "glm4", "deepseekcoder", "llama2",
    "vicuna",
)  # glm4 ends answers at the next turn (efficient_eos), qwen3 thinks, mistral and llama2 have no turn of the system's
PACKED = {"packing": True, "cutoff_len": 100}
CASES: dict[str, dict[str, Any]] = {
    **{f"sft {name}": {"dataset": "talk", "template": name} for name in TEMPLATES},
    **{f"tools {name}": {"dataset": "tools", "template": name} for name in ("default", "llama3", "qwen", "glm4")},
    **{f"long {name}": {"dataset": "long", "template": name, "cutoff_len": 64} for name in ("qwen", "glm4", "mistral")},
    "history": {"dataset": "long", "template": "qwen", "cutoff_len": 64, "mask_history": True},
    "history qwen3": {"dataset": "talk", "template": "qwen3", "mask_history": True},
    "prompt": {"dataset": "talk", "template": "qwen", "train_on_prompt": True},
    "no thinking": {"dataset": "talk", "template": "qwen3", "enable_thinking": False},
    "no template": {"dataset": "talk", "template": None},
    "packing": PACKED,
    "neat packing": {**PACKED, "neat_packing": True},
    "packing by two": {**PACKED, "preprocessing_num_workers": 2},
    "split": {"val_size": 0.2, "seed": 3},
    "interleaved": {"dataset": "talk,demo_sft", "mix_strategy": "interleave_over", "interleave_probs": "0.1,0.9"},
    "streaming": {"streaming": True, "preprocessing_num_workers": None, "max_samples": None, "dataset": "demo_sft"},
    "few": {"max_samples": 3, "system": None, "default_system": "Be short."},
    "pt": {"stage": "pt", "dataset": "demo_pt", "packing": False, "cutoff_len": 16},
    "pt packed": {"stage": "pt", "dataset": "demo_pt", "cutoff_len": 64},
    "pt llama3": {"stage": "pt", "dataset": "demo_pt", "template": "llama3"},
    "rm": {"stage": "rm", "dataset": "pairs", "template": "qwen"},
    "dpo": {"stage": "dpo", "dataset": "pairs", "template": "llama3", "cutoff_len": 64},
    "dpo glm4": {"stage": "dpo", "dataset": "pairs", "template": "glm4", "cutoff_len": 64},
    "kto": {"stage": "kto", "dataset": "demo_kto", "template": "qwen"},
    "kto glm4": {"stage": "kto", "dataset": "demo_kto", "template": "glm4"},
    "ppo": {"stage": "ppo", "dataset": "demo_sft", "template": "qwen", "reward_model": "saves/none"},
}


@pytest.fixture(scope="module")
def home(demo_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("sees"), demo_workspace)


def seen(cli: Cli, home: Path, changes: dict[str, Any], rows: int = 3) -> Seen:
    """The answer, which is one."""
    found = see(cli, home, arguments(changes), rows)
    assert isinstance(found, Seen), found
    return found


def first(cli: Cli, home: Path, changes: dict[str, Any]) -> Side:
    """The first sequence."""
    return seen(cli, home, changes).samples[0].sides[0]


def codes(side: Side) -> dict[str, Any]:
    return dict(side.findings)


@pytest.mark.parametrize("name", CASES)
def test_it_is_what_a_run_prints(preloaded: Cli, home: Path, tmp_path: Path, name: str) -> None:
    args = arguments(CASES[name])
    there = printed(preloaded, home, tmp_path / "run", args)
    sides = {side.name: side for side in seen(preloaded, home, CASES[name]).samples[0].sides}
    if args["stage"] in ("rm", "dpo"):
        names = {"chosen_": "chosen", "rejected_": "rejected"}
    else:
        names = {"": {"kto": "answer", "ppo": "prompt"}.get(args["stage"], "")}
    for prefix, side in names.items():
        assert sides[side].ids == there[f"{prefix}input_ids"]
        assert there[f"{prefix}inputs"].startswith(sides[side].text)
        assert sides[side].text.strip()
        if args["stage"] == "ppo":
            assert sides["unused"].ids == there["label_ids"] and set(sides["prompt"].labels) == {-100}
        elif args["stage"] == "pt":  # it prints none
            assert sides[side].labels == sides[side].ids
        else:
            assert sides[side].labels == there[f"{prefix}label_ids"]
