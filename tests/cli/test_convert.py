"""`lfdash convert FILE`: LlamaBoard's saved form and LLaMA-Factory's YAML, each into the other."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.cli.test_check import TOKEN, job
from tests.support import FIXTURES, ROOT
from tests.support.terminal import DEMO, lfdash


@pytest.fixture(autouse=True)
def no_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It needs none, and makes none."""
    monkeypatch.setenv("LFDASH_WORKSPACE", str(tmp_path / "gone"))


def test_to_llamaboard_and_back(tmp_path: Path) -> None:
    source = ROOT / "configs" / "presets" / "sft_qlora.yaml"
    board = lfdash("convert", source, "--json")
    assert (board.code, list(board.json), board.json["form"]) == (0, ["form", "text"], "llamaboard")
    assert yaml.safe_load(board.json["text"])["top.quantization_bit"] == "4"
    (tmp_path / "board.yaml").write_text(board.json["text"])
    back = lfdash("convert", tmp_path / "board.yaml", "--json")
    assert back.json["form"] == "llamafactory"
    wanted, found = yaml.safe_load(source.read_text()), yaml.safe_load(back.json["text"])
    wanted["preprocessing_num_workers"] = 16  # LlamaBoard has no element for it, and always sends 16
    assert {name: found.get(name) for name in wanted} == wanted, "LlamaBoard's defaults come besides"
    assert not (tmp_path / "gone").exists()


def test_the_text_alone_on_standard_output(tmp_path: Path) -> None:
    said = lfdash("convert", DEMO)
    assert said.code == 0 and yaml.safe_load(said.out)["train.training_stage"] == "Supervised Fine-Tuning"
    (tmp_path / "board.yaml").write_text(said.out)
    back = lfdash("convert", tmp_path / "board.yaml")
    first, *notes = back.err.splitlines()
    assert first == "This is a saved LlamaBoard form; the settings include its defaults."
    assert ["model name" in notes[0], "trust_remote_code" in notes[1], len(notes)] == [True, True, 2]
    assert yaml.safe_load(back.out)["lora_rank"] == 16
    assert lfdash("convert", "-", stdin=said.out).out == back.out


def test_what_llamaboard_has_no_place_for_is_said(tmp_path: Path) -> None:
    said = lfdash("convert", job(tmp_path, hf_hub_token=TOKEN))
    assert "LlamaBoard's form has no field for: output_dir, model_path, hf_token" in said.err
    assert TOKEN not in said.out + said.err


def test_what_cannot_be_converted(tmp_path: Path) -> None:
    path = job(tmp_path, do_train=False, do_predict=True, predict_with_generate=True)
    said = lfdash("convert", path, "--json")
    assert (said.code, said.json["refused"]) == (1, "convert_kind")
    path.write_text("a: [")
    assert lfdash("convert", path, "--json").json["refused"] == "not_opened"


def test_what_is_not_given_stays_llamafactorys_own(tmp_path: Path) -> None:
    """LlamaBoard always sends these; its own defaults would train another model."""
    said = lfdash("convert", job(tmp_path))
    state = yaml.safe_load(said.out)
    wanted = {
        "train.batch_size": 8, "train.gradient_accumulation_steps": 1, "train.lr_scheduler_type": "linear",
        "train.compute_type": "fp32", "train.lora_rank": 8, "train.max_samples": 100000,
    }
    assert {name: state[name] for name in wanted} == wanted


def test_a_command_becomes_yaml(tmp_path: Path) -> None:
    path = tmp_path / "run.sh"
    path.write_text("CUDA_VISIBLE_DEVICES=1 llamafactory-cli train \\\n  --stage dpo --pref_beta 0.2 --seed $SEED\n")
    said = lfdash("convert", path)
    assert yaml.safe_load(said.out) == {"stage": "dpo", "pref_beta": 0.2}
    assert "# environment: CUDA_VISIBLE_DEVICES=1" in said.out and "seed" in said.err


def test_llamaboards_evaluation_becomes_yaml() -> None:
    said = lfdash("convert", FIXTURES / "configurations" / "board_eval.yaml")
    args = yaml.safe_load(said.out)
    assert (args["eval_dataset"], args["do_predict"], args["max_new_tokens"]) == ("demo_sft", True, 512)
