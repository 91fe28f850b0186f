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
    assert any(line[:4] == ["loss,", "at", "step", "40"] and len(line) == 6 for line in lines)
    assert ["Steps", "60", "40"] in lines and "hf_" not in said.out.replace("hf_hub_token", "")


def test_for_a_program(two: Path) -> None:
    said = lfdash("compare", "slow", "fast", "--json").json
    assert [run["name"] for run in said["runs"]] == ["slow", "fast"]
    rows = {row["setting"]: row for row in said["settings"]}
    assert rows["learning_rate"]["values"] == [1e-5, 1e-3] and rows["lora_rank"]["in_effect"] is False
    assert rows["lora_rank"]["how"] == ["given", "default"] and said["equal"] == {"axis": "step", "at": 40.0}
    assert {row["what"] for row in said["numbers"] if row["column"] == "loss"} == {"best", "at", "last"}


def test_a_run_that_does_not_exist(two: Path) -> None:
    said = lfdash("compare", "slow", "nobody")
    assert said.code == 2 and "nobody" in said.err


def test_the_same_run_twice_is_one(two: Path) -> None:
    assert len(lfdash("compare", "slow", "slow", "--json").json["runs"]) == 1
    assert lfdash("compare").code == 2
