"""Tokens of rows, counted by the installed LLaMA-Factory with the demo's model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lfdash.llamafactory.locate import Cli, find_cli
from lfdash.llamafactory.sees import Seen, see
from lfdash.llamafactory.token_lengths import SAMPLE, Lengths, count_tokens
from lfdash.outcomes import Refused
from tests.support.page import DEMO

pytestmark = pytest.mark.train_env


def test_every_row_is_counted_and_none_is_cut(demo_workspace: Path, tmp_path: Path) -> None:
    cli = find_cli({})
    assert isinstance(cli, Cli)
    (tmp_path / "models").symlink_to(demo_workspace / "models")
    data = tmp_path / "data"
    data.mkdir()
    rows = [{"instruction": "one two three " * n, "output": "yes"} for n in (1, 10, 100)]
    (data / "rows.json").write_text(json.dumps(rows))
    columns = {"prompt": "instruction", "response": "output"}  # without them LLaMA-Factory wants "input" too
    (data / "dataset_info.json").write_text(json.dumps({"rows": {"file_name": "rows.json", "columns": columns}}))
    found = count_tokens(cli, tmp_path, {**DEMO, "dataset": "rows", "cutoff_len": 16})
    assert isinstance(found, Lengths), found
    short, longer, longest = found.tokens
    assert 100 * 3 < longest < 2000 and short < longer < longest
    assert (found.over(short), found.over(longer), found.over(longest)) == (2, 1, 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "models"]  # nothing is left behind


STAGES = {
    "sft": "demo_sft", "pt": "demo_pt", "rm": "demo_pairs", "dpo": "demo_pairs", "kto": "demo_kto", "ppo": "demo_sft",
}


@pytest.mark.parametrize("packing", [None, True])
@pytest.mark.parametrize("stage", STAGES)
def test_each_stage(preloaded: Cli, demo_workspace: Path, stage: str, packing: bool | None) -> None:
    """Each row's length is that of what the model sees of it."""
    job = {**DEMO, "stage": stage, "dataset": STAGES[stage], "cutoff_len": 5000, "reward_model": "saves/none"}
    found = count_tokens(preloaded, demo_workspace, {**job, **({} if packing is None else {"packing": packing})})
    assert isinstance(found, Lengths), found
    seen = see(preloaded, demo_workspace, {**job, "packing": False}, 5)
    assert isinstance(seen, Seen), seen
    assert len(found.tokens) == seen.rows <= SAMPLE
    own = [[side for side in sample.sides if side.name not in ("kl", "unused")] for sample in seen.samples]
    assert found.tokens[:5] == tuple(max(len(side.ids) for side in sides) for sides in own)


def test_a_count_that_does_not_work_says_why(preloaded: Cli, demo_workspace: Path) -> None:
    found = count_tokens(preloaded, demo_workspace, {**DEMO, "dataset": "nope"})
    assert found == Refused("asked_said", {"reason": "ValueError: Undefined dataset nope in dataset_info.json."})
