"""What a folder of the plain CLI tells of its run."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lfdash.runs.metadata import RunMetadata, of_plain, of_record
from lfdash.runs.paths import RunPaths
from lfdash.runs.view import view_plain
from tests.support.runs import plan_for, record_for

CARD = """---
library_name: peft
license: other
base_model: Qwen/Qwen2.5-7B-Instruct
tags:
- base_model:adapter:Qwen/Qwen2.5-7B-Instruct
- llama-factory
- {method}
---
# sft
"""


def test_our_record_is_taken_at_its_word(tmp_path: Path) -> None:
    assert of_record(record_for(plan_for(tmp_path / "w"))) == RunMetadata("train", "m", "sft", "lora")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("stage: dpo\ndo_train: true\nmodel_name_or_path: Qwen/Qwen2.5-7B\nfinetuning_type: full\n",
         RunMetadata("train", "Qwen2.5-7B", "dpo", "full")),
        ("stage: sft\ndo_predict: true\nmodel_name_or_path: models/x/\nfinetuning_type: lora\n",
         RunMetadata("eval", "x", "sft", "lora")),
        ("export_dir: out\nmodel_name_or_path: a\\b\n", RunMetadata("export", "b", "", "")),
        ("stage: [sft]\nfinetuning_type: 3\n", RunMetadata()),
        ("{", RunMetadata()),
        ("", RunMetadata()),
    ],
)
def test_its_arguments(tmp_path: Path, text: str, found: RunMetadata) -> None:
    (tmp_path / "training_args.yaml").write_text(text)
    assert of_plain(RunPaths(tmp_path)) == found


def test_the_adapter_then_the_card_then_the_place(tmp_path: Path) -> None:
    folder = tmp_path / "saves" / "llama3-8b" / "lora" / "sft"
    folder.mkdir(parents=True)
    assert of_plain(RunPaths(folder)) == RunMetadata("train", "llama3-8b", "", "lora")
    (folder / "README.md").write_text(CARD.format(method="freeze"))
    assert of_plain(RunPaths(folder)) == RunMetadata("train", "Qwen2.5-7B-Instruct", "", "freeze")
    adapter = {"base_model_name_or_path": "meta/Llama-3-8B", "peft_type": "OFT"}
    (folder / "adapter_config.json").write_text(json.dumps(adapter))
    assert of_plain(RunPaths(folder)) == RunMetadata("train", "Llama-3-8B", "", "oft")


@pytest.mark.parametrize("name", ["adapter_config.json", "README.md", "training_args.yaml"])
@pytest.mark.parametrize("content", [b"[1]", b"\xff\xfe", b"[" * 100_000, b"---\n---\n", b'{"peft_type": {}}'])
def test_garbage_tells_nothing(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert of_plain(RunPaths(tmp_path)) == RunMetadata()


def test_a_run_right_below_saves_names_no_model(tmp_path: Path) -> None:
    folder = tmp_path / "saves" / "lora" / "r1"
    folder.mkdir(parents=True)
    assert of_plain(RunPaths(folder)) == RunMetadata()


@pytest.mark.timeout(10)
@pytest.mark.parametrize("name", ["adapter_config.json", "README.md", "training_args.yaml"])
def test_a_pipe_tells_nothing_and_is_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    assert of_plain(RunPaths(tmp_path)) == RunMetadata()


def test_a_link_to_a_plain_file_is_read(tmp_path: Path) -> None:
    """A model that was fetched from a hub is a folder of links."""
    (tmp_path / "blob").write_text(json.dumps({"base_model_name_or_path": "meta/Llama-3-8B"}))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "adapter_config.json").symlink_to(tmp_path / "blob")
    assert of_plain(RunPaths(tmp_path / "run")).model == "Llama-3-8B"


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        (["predict_results.json", "all_results.json"], "eval"), (["eval_results.json"], "eval"),
        (["eval_results.json", "train_results.json"], "train"), (["all_results.json"], "train"), ([], "train"),
        (["predict_results.json", "adapter_config.json"], "train"),
    ],
)
def test_a_copied_evaluation_is_known_by_what_a_training_would_have_left(
    tmp_path: Path, files: list[str], kind: str
) -> None:
    for name in files:
        (tmp_path / name).write_text("{}")
    (tmp_path / "trainer_log.jsonl").write_text('{"current_steps": 5, "total_steps": 5}\n')
    assert of_plain(RunPaths(tmp_path)).kind == kind
    assert view_plain(tmp_path.parent, RunPaths(tmp_path)).kind == kind  # so it is shown on that page
    (tmp_path / "training_args.yaml").write_text("model_name_or_path: m\ndo_train: true\n")
    assert of_plain(RunPaths(tmp_path)).kind == "train"
    assert view_plain(tmp_path.parent, RunPaths(tmp_path)).kind == "train"


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({"all_results.json": {"predict_bleu-4": 3.0, "predict_runtime": 1.0}}, "eval"),
        ({"all_results.json": {"eval_accuracy": 0.5, "epoch": 1.0}}, "eval"),
        ({"all_results.json": {"train_loss": 1.0, "eval_loss": 2.0}}, "train"),
        ({"all_results.json": {"train_loss": 1.0, "eval_loss": 2.0}, "eval_results.json": {"eval_loss": 2.0}}, "train"),
        ({"all_results.json": {"epoch": 1.0}}, "train"),
    ],
)
def test_what_a_copied_run_was_is_known_by_the_names_of_its_results(
    tmp_path: Path, files: dict[str, dict[str, float]], kind: str
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    (tmp_path / "trainer_log.jsonl").write_text('{"current_steps": 5, "total_steps": 5}\n')
    assert of_plain(RunPaths(tmp_path)).kind == view_plain(tmp_path.parent, RunPaths(tmp_path)).kind == kind


def test_a_training_that_was_measured_and_did_not_end_is_a_training(tmp_path: Path) -> None:
    (tmp_path / "predict_results.json").write_text("{}")
    (tmp_path / "trainer_log.jsonl").write_text('{"current_steps": 5, "total_steps": 9, "loss": 1.0}\n')
    assert of_plain(RunPaths(tmp_path)).kind == "train"
