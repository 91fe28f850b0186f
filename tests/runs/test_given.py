"""What a run was given: its file, a model card, a spoiled file, nothing; never a secret."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from lfdash.jobs.secret_arguments import HIDDEN
from lfdash.runs.given import GivenArguments, given_arguments
from lfdash.runs.paths import RunPaths

CARD = """---
base_model: m
---
## Training procedure

### Training hyperparameters

The following hyperparameters were used during training:
- learning_rate: 0.002
- train_batch_size: 32
- optimizer: Use OptimizerNames.ADAMW_TORCH_FUSED with betas=(0.9,0.999)
- lr_scheduler_type: cosine
- num_epochs: 4.0

### Training results
- seed: 7
"""


def test_the_file_tells_all(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    paths.training_args.write_text(
        "# environment: CUDA_VISIBLE_DEVICES=1 HF_TOKEN=x\n\nlearning_rate: 5e-5\nhf_hub_token: hf_abc\nrun: "
        "[hf_abcdefghijklmnopqrstuvwxyzabcdefgh]\n"
    )
    found = given_arguments(paths)
    assert found.args == {"learning_rate": 5e-5, "hf_hub_token": HIDDEN, "run": HIDDEN} and found.known
    assert found.env == {"CUDA_VISIBLE_DEVICES": "1", "HF_TOKEN": HIDDEN}
    assert given_arguments(paths) is found
    paths.training_args.write_text("learning_rate: 1e-3\n")
    assert given_arguments(paths).args == {"learning_rate": 1e-3}


def test_a_model_card_tells_a_part(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(CARD)
    found = given_arguments(RunPaths(tmp_path))
    assert found.source == "card" and not found.known
    assert found.args == {
        "learning_rate": 0.002, "per_device_train_batch_size": 32, "lr_scheduler_type": "cosine",
        "num_train_epochs": 4.0,
    }
    (tmp_path / "README.md").write_text("# my model\n- learning_rate: 3\n")
    assert given_arguments(RunPaths(tmp_path)) == GivenArguments()


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    assert given_arguments(paths) == GivenArguments()
    paths.training_args.write_text("a: [1\n")
    assert given_arguments(paths).source == "spoiled"
    paths.training_args.unlink()
    os.mkfifo(paths.training_args)
    assert given_arguments(paths).source in ("spoiled", "")
    assert given_arguments(RunPaths(tmp_path / "gone")) == GivenArguments()


@pytest.mark.parametrize("name", ["training_args.yaml", "README.md"])
@pytest.mark.parametrize("called", ["open", "stat"])
def test_a_file_that_fails_once_is_read_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, called: str
) -> None:
    (tmp_path / name).write_text("learning_rate: 0.002\n" if name.endswith(".yaml") else CARD)
    original = getattr(os, called)

    def fails(path: Any, *args: Any, **named: Any) -> Any:
        if str(path).endswith(name):
            raise OSError(errno.EMFILE, "too many", path)
        return original(path, *args, **named)

    with monkeypatch.context() as broken:
        broken.setattr(os, called, fails)
        assert given_arguments(RunPaths(tmp_path)).source == "spoiled"
    assert given_arguments(RunPaths(tmp_path)).args["learning_rate"] == 0.002


def test_the_configuration_of_an_adapter_tells_its_rank(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 8, "lora_alpha": "x", "use_dora": true}')
    found = given_arguments(RunPaths(tmp_path))
    assert (found.args, found.source) == ({"lora_rank": 8, "use_dora": True}, "card")
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "OFT", "r": 8, "oft_block_size": 32}')
    assert given_arguments(RunPaths(tmp_path)) == GivenArguments(folder={"finetuning_type": "oft"})
    (tmp_path / "README.md").write_text(CARD)
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 8}')
    assert {"learning_rate": 0.002, "lora_rank": 8}.items() <= given_arguments(RunPaths(tmp_path)).args.items()


@pytest.mark.parametrize(
    ("words", "dataset"),
    [
        ("the alpaca_en dataset", "alpaca_en"), ("the a, the b and the c datasets", "a, b, c"),
        ("the a and the b datasets", "a, b"), ("an unknown dataset", None),
    ],
)
def test_a_folder_tells_model_method_and_dataset(tmp_path: Path, words: str, dataset: str | None) -> None:
    paths = RunPaths(tmp_path / "saves" / "Mistral-7B" / "full" / "r")
    paths.root.mkdir(parents=True)
    assert given_arguments(paths).folder == {"model_name_or_path": "Mistral-7B", "finetuning_type": "full"}
    text = f"This model is a fine-tuned version of [m](https://m) on {words}.\nX.\n"
    (paths.root / "README.md").write_text(f"# r\n\n{text}")
    found = given_arguments(paths)
    assert found.folder.get("dataset") == dataset and found.tells and not found.known
    paths.training_args.write_text("dataset: other\n")
    assert given_arguments(paths).folder == {}
