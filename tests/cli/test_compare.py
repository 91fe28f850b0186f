"""`lfdash compare RUN RUN`: what differs, and the numbers side by side."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from lfdash.runs.paths import RunPaths
from tests.support.many import add_plain, add_run, log_rows, write_log
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
    assert ["learning_rate", "1e-05", "0.001"] in lines
    (at,) = [line for line in said.out.splitlines() if line.startswith("loss, at step 40")]
    assert at.startswith("loss, at step 40, smoothed (half-life 2 steps)  ") and len(at.split("  ")[-1].split()) == 1
    assert any(line.startswith("loss, Best (single value)  ") for line in said.out.splitlines())
    assert ["Steps", "60", "40"] in lines and "hf_" not in said.out.replace("hf_hub_token", "")


def test_what_is_given_here_and_the_default_there_is_no_difference(workspace: Path) -> None:
    given = {"learning_rate": 1e-3, "seed": 42, "lora_dropout": 0, "lora_rank": 8}
    add_run(workspace, "all", args=given)
    add_run(workspace, "two", args={"learning_rate": 1e-3, "lora_rank": 16})
    add_run(workspace, "one", args={"learning_rate": 1e-3})
    settings = lfdash("compare", "two", "one", "all").out.partition("\n\n")[0].splitlines()
    assert [line.split() for line in settings[1:]] == [["lora_rank", "16", "(8)", "8"]]
    same = lfdash("compare", "all", "one").out
    assert "These runs have the same settings." in same and "seed" not in same
    assert len(lfdash("compare", "all", "one", "--json").json["settings"]) == 3


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


def test_one_run_is_not_compared(two: Path) -> None:
    for given in (("slow",), ("slow", "slow")):
        said = lfdash("compare", *given)
        assert (said.code, said.out) == (2, "") and "Two or more" in said.err and "slow" in said.err
        told = lfdash("compare", *given, "--json")
        assert told.code == 2 and told.json["refused"] == "compare_one"
    assert lfdash("compare").code == 2


def test_settings_that_are_not_known_are_not_the_same(workspace: Path) -> None:
    for name in ("one", "two"):
        paths = RunPaths(workspace / "saves" / name)
        paths.root.mkdir(parents=True)
        write_log(paths, log_rows(5, 5, random.Random(name)))
    out = lfdash("compare", "one", "two").out
    assert "must be known" in out and "same settings" not in out


def test_a_resumed_run_of_another_machine_took_what_all_its_launches_did(workspace: Path) -> None:
    """The clock of trainer_log.jsonl begins anew with each launch."""
    add_run(workspace, "ours")
    paths = add_plain(workspace, "resumed")
    rows = [
        {"current_steps": step, "total_steps": 40, "loss": 1.0, "elapsed_time": f"0:{minutes:02d}:00"}
        for launch in (range(1, 21), range(21, 41)) for minutes, step in enumerate(launch, 1)
    ]
    write_log(paths, rows)
    compared = {row["what"]: row["values"] for row in lfdash("compare", "ours", "resumed", "--json").json["numbers"]}
    assert compared["duration"][1] == lfdash("show", "resumed", "--json").json["seconds"] == 40 * 60
