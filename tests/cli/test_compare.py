"""`lfdash compare RUN RUN`: what differs, and the numbers side by side."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.many import add_run
from tests.support.terminal import lfdash


@pytest.fixture
def two(workspace: Path) -> Path:
    add_run(workspace, "slow", args={"learning_rate": 1e-5, "lora_rank": 8, "hf_hub_token": "hf_" + "a" * 34})
    add_run(workspace, "fast", args={"learning_rate": 1e-3}, steps=40, total=40)
    return workspace


def test_for_a_person(two: Path) -> None:
    said = lfdash("compare", "slow", "fast")
    lines = [line.split() for line in said.out.splitlines()]
    assert said.code == 0 and lines[0] == ["Settings", "that", "differ", "slow", "fast"]
    assert ["learning_rate", "1e-05", "0.001"] in lines and ["lora_rank", "8", "(8)"] in lines
    (at,) = [line for line in said.out.splitlines() if line.startswith("loss, at step 40")]
    assert at.startswith("loss, at step 40, smoothed (half-life 2 steps)  ") and len(at.split("  ")[-1].split()) == 1
    assert ["Steps", "60", "40"] in lines and "hf_" not in said.out.replace("hf_hub_token", "")


def test_for_a_program(two: Path) -> None:
    said = lfdash("compare", "slow", "fast", "--json").json
    assert [run["name"] for run in said["runs"]] == ["slow", "fast"]
    rows = {row["setting"]: row for row in said["settings"]}
    assert rows["learning_rate"]["values"] == [1e-5, 1e-3] and rows["lora_rank"]["in_effect"] is False
    assert rows["lora_rank"]["how"] == ["given", "default"] and said["equal"] == {"axis": "step", "at": 40.0}
    assert {row["what"] for row in said["numbers"] if row["column"] == "loss"} == {"best", "at", "last"}
    at = {row["column"]: row for row in said["numbers"] if row["what"] == "at"}
    assert (at["loss"]["half_life"], at["loss"]["steps"]) == (2.0, [40.0, 40.0])
    assert (at["eval_loss"]["half_life"], at["eval_loss"]["steps"]) == (None, [40.0, 40.0])


def test_a_value_of_an_earlier_step_says_so(two: Path) -> None:
    """Nothing was evaluated at step 30."""
    add_run(two, "short", steps=30, total=30)
    said = lfdash("compare", "slow", "short")
    (at,) = [line for line in said.out.splitlines() if line.startswith("eval_loss, at step 30")]
    assert at.count("(at step 20)") == 2


def test_a_run_that_does_not_exist(two: Path) -> None:
    said = lfdash("compare", "slow", "nobody")
    assert said.code == 2 and "nobody" in said.err


def test_the_same_run_twice_is_one(two: Path) -> None:
    assert len(lfdash("compare", "slow", "slow", "--json").json["runs"]) == 1
    assert lfdash("compare").code == 2
