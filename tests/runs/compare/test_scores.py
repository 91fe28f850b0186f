"""Whose weights an evaluation evaluated, by its arguments, and which evaluations belong to some runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lfdash.runs.compare.scores import Evaluation, Origin, Origins, evaluation, of_runs, paths_of, score_names

WORKSPACE = Path("/w")
FOLDERS = {"a": Path("/w/saves/m/lora/a"), "b": Path("/w/saves/m/full/b"), "far": Path("/disk/runs/far")}
EXPORTS = {
    "x": {"adapter_name_or_path": "saves/m/lora/a", "export_dir": "exports/merged"},
    "circle": {"model_name_or_path": "exports/circle", "export_dir": "exports/circle"},
}


@pytest.mark.parametrize(
    ("args", "origin"),
    [
        ({"adapter_name_or_path": "saves/m/lora/a"}, Origin("a")),
        ({"adapter_name_or_path": "./saves/m/lora/../lora/a/"}, Origin("a")),
        ({"adapter_name_or_path": "/w/saves/m/lora/a/checkpoint-20"}, Origin("a", 20)),
        ({"adapter_name_or_path": "hub/first, saves/m/lora/a"}, Origin("a")),
        ({"adapter_name_or_path": ["saves/m/lora/a", "/disk/runs/far"]}, Origin("far")),
        ({"model_name_or_path": "saves/m/full/b/checkpoint-7"}, Origin("b", 7)),
        ({"model_name_or_path": "models/tiny"}, None),
        ({"model_name_or_path": "exports/merged"}, Origin("a")),
        ({"model_name_or_path": "exports/circle"}, None),
        ({"adapter_name_or_path": "saves/m/lora/a/checkpoint-x"}, None),
        ({"adapter_name_or_path": "saves/m/lora/a/checkpoint-²"}, None),
        ({"adapter_name_or_path": 3, "model_name_or_path": None}, None),
        ({"adapter_name_or_path": "saves/m/lora/gone", "model_name_or_path": "saves/m/full/b"}, None),
        ({}, None),
    ],
)
def test_whose_weights(args: dict[str, Any], origin: Origin | None) -> None:
    assert Origins(WORKSPACE, FOLDERS, EXPORTS).of(args) == origin


def test_paths() -> None:
    assert paths_of("a, b,") == ["a", "b"] and paths_of(["a", 3, " "]) == ["a"] and paths_of(None) == []
    assert paths_of("odd, name", lists=False) == ["odd, name"]


def test_what_is_told_of_an_evaluation() -> None:
    args = {"adapter_name_or_path": ["x", "y"], "eval_dataset": ["en", "zh"], "model_name_or_path": "m"}
    expected = Evaluation("e", "eval", None, "y", "en, zh", {"s": 1.0}, "sft")
    assert evaluation("e", "eval", args, {"s": 1.0}, None) == expected
    assert evaluation("e", "eval", {"model_name_or_path": "m", "task": "mmlu_test"}, {}, None).data == "mmlu_test"


@pytest.mark.parametrize(
    ("args", "measure"),
    [
        ({"stage": "dpo", "dataset": "pairs"}, ("dpo", "pairs")), ({"dataset": "demo"}, ("sft", "demo")),
        ({"stage": "dpo"}, None), ({}, None),
    ],
)
def test_only_what_is_measured_alike_is_better_or_worse(args: dict[str, Any], measure: object) -> None:
    assert evaluation("e", "eval", args, {}, None).measure == measure


def test_those_of_the_compared_runs_in_their_order() -> None:
    rows = [
        Evaluation("e1", "of b", Origin("b")), Evaluation("e2", "of a", Origin("a")),
        Evaluation("e3", "of a early", Origin("a", 10)), Evaluation("e4", "of none"),
        Evaluation("e5", "of another", Origin("c")), Evaluation("a", "its own"),
    ]
    assert [one.run_id for one in of_runs(rows, ["a", "b"])] == ["e3", "a", "e2", "e1"]
    assert [one.run_id for one in of_runs(rows, ["e4", "e1"])] == ["e4", "e1"]
    assert of_runs(rows, []) == ()


def test_scores_that_say_how_good_come_first() -> None:
    rows = [
        Evaluation("a", "", scores={"predict_runtime": 1.0, "predict_rouge-l": 2.0, "epoch": 3.0}),
        Evaluation("b", "", scores={"predict_bleu-4": 1.0, "predict_samples_per_second": 2.0}),
    ]
    assert score_names(rows) == (
        "predict_bleu-4", "predict_rouge-l", "predict_runtime", "predict_samples_per_second",
    )
