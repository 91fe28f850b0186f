"""`lfdash check FILE`: its shape, key by key; what is opened, what is filled in, and what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support import FIXTURES, ROOT
from tests.support.terminal import DEMO, lfdash

KEYS = ["kind", "opened", "args", "env", "problems", "notes"]
PROBLEM = ["argument", "level", "code", "message", "fix"]
TOKEN = "hf_" + "a1B2" * 9


def written(folder: Path, text: str, name: str = "mine.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def job(folder: Path, **changes: Any) -> Path:
    """A training in the demo's workspace, with changes."""
    args = {
        "model_name_or_path": "org/m", "stage": "sft", "do_train": True, "finetuning_type": "lora",
        "dataset": "demo_sft", "template": "default", "output_dir": "saves/m/lora/r1", "max_steps": 20,
        "logging_steps": 1, "save_steps": 10, **changes,
    }
    return written(folder, "".join(f"{name}: {value}\n" for name, value in args.items()))


def test_a_good_job(workspace: Path, tmp_path: Path) -> None:
    said = lfdash("check", job(tmp_path), "--json")
    assert (said.code, said.err) == (0, "")
    assert list(said.json) == KEYS
    assert (said.json["kind"], said.json["opened"], said.json["env"]) == ("train", True, {})
    assert (said.json["problems"], said.json["notes"]) == ([], [])
    assert said.json["args"] == {
        "model_name_or_path": "org/m", "stage": "sft", "do_train": True, "finetuning_type": "lora",
        "dataset": "demo_sft", "template": "default", "output_dir": "saves/m/lora/r1", "max_steps": 20,
        "logging_steps": 1, "save_steps": 10,
    }
    words = lfdash("check", job(tmp_path))
    assert (words.code, words.out) == (0, "No problems found.\n")


def test_problems_by_argument_with_their_fix(workspace: Path, tmp_path: Path) -> None:
    path = job(tmp_path, dataset="gone", bf16=True, evaluation_strategy="steps")
    said = lfdash("check", path, "--json")
    assert said.code == 1
    assert all(list(problem) == PROBLEM for problem in said.json["problems"])
    found = {problem["code"]: problem for problem in said.json["problems"]}
    assert (found["dataset_unknown"]["argument"], found["dataset_unknown"]["fix"]) == ("dataset", None)
    assert found["argument_renamed"]["fix"] == {"evaluation_strategy": None, "eval_strategy": "steps"}
    assert found["argument_renamed"]["level"] == "error"
    assert "evaluation_strategy" in found["argument_renamed"]["message"]
    assert said.json["args"]["evaluation_strategy"] == "steps", "before any fix"
    words = lfdash("check", path)
    assert words.code == 1
    assert "(fix: evaluation_strategy= eval_strategy=steps)" in words.out


def test_a_warning_alone_is_fine(workspace: Path, tmp_path: Path) -> None:
    said = lfdash("check", job(tmp_path, save_steps=500), "--json")
    assert [problem["level"] for problem in said.json["problems"]] == ["warning"]
    assert said.code == 0
    assert "warning: save_steps: " in lfdash("check", job(tmp_path, save_steps=500)).out


@pytest.mark.parametrize(
    ("text", "code"), [("a: [", "yaml_bracket"), ("- a", "list"), ("", "empty"), ("a: 1\na: 2", "twice_at")]
)
def test_what_cannot_be_opened(workspace: Path, tmp_path: Path, text: str, code: str) -> None:
    said = lfdash("check", written(tmp_path, text), "--json")
    assert said.code == 1
    assert list(said.json) == KEYS
    (problem,) = said.json["problems"]
    assert list(problem) == PROBLEM
    assert (problem["code"], problem["level"], problem["argument"], problem["fix"]) == (code, "error", None, None)
    assert problem["message"].startswith("mine.yaml cannot be opened: ")
    assert {key: said.json[key] for key in KEYS if key != "problems"} == {
        "kind": None, "opened": False, "args": {}, "env": {}, "notes": [],
    }
    words = lfdash("check", written(tmp_path, text))
    assert (words.code, words.out) == (1, "") and words.err.startswith("lfdash: mine.yaml cannot be opened")


def test_no_text_at_all(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\x00")
    said = lfdash("check", tmp_path / "x.yaml", "--json")
    assert (said.code, said.json["opened"], said.json["problems"][0]["code"]) == (1, False, "encoding")
    assert lfdash("check", tmp_path / "gone.yaml").code == 2


def test_what_is_filled_in_is_said(workspace: Path) -> None:
    said = lfdash("check", ROOT / "configs" / "presets" / "sft_lora.yaml", "--json").json
    assert "bf16" not in said["args"]
    assert said["args"]["output_dir"].startswith("saves/Qwen2.5-7B-Instruct/lora/sft_lora-")
    assert said["notes"] == [
        "No GPU was found, so the compute type is fp32 instead of bf16.",
        f"No output folder is set, so it will be {said['args']['output_dir']}",
    ]


def test_changes_on_top(workspace: Path, tmp_path: Path) -> None:
    changes = ("--set", "max_steps=2", "--set", "learning_rate=1e-4", "--set", "template=", "--set", "lora_target=q,v")
    said = lfdash("check", job(tmp_path), *changes, "--set", "freeze_vision_tower=no", "--json").json
    assert (said["args"]["max_steps"], said["args"]["learning_rate"]) == (2, 1e-4)
    assert "template" not in said["args"] and said["args"]["lora_target"] == "q,v"
    assert said["args"]["freeze_vision_tower"] is False, "as in a file"
    for word in ("max_steps", "=2", "a b=1", "a=[1"):
        wrong = lfdash("check", job(tmp_path), "--set", word)
        assert (wrong.code, wrong.out) == (2, "") and "--set" in wrong.err


def test_from_standard_input(workspace: Path, tmp_path: Path) -> None:
    said = lfdash("check", "-", "--json", stdin=job(tmp_path).read_text())
    assert said.json == lfdash("check", job(tmp_path), "--json").json
    broken = lfdash("check", "-", stdin="a: [")
    assert broken.code == 1 and broken.err.startswith("lfdash: YAML cannot be opened")


def test_an_evaluation_and_an_environment(workspace: Path, tmp_path: Path) -> None:
    text = "# environment: CUDA_VISIBLE_DEVICES=0\n" + job(tmp_path).read_text()
    assert lfdash("check", written(tmp_path, text), "--json").json["env"] == {"CUDA_VISIBLE_DEVICES": "0"}
    path = job(tmp_path, do_train=False, do_predict=True, predict_with_generate=True, eval_dataset="demo_sft")
    assert lfdash("check", path, "--json").json["kind"] == "eval"


def test_a_token_is_in_no_answer(workspace: Path, tmp_path: Path) -> None:
    path = job(tmp_path, hf_hub_token=TOKEN, ms_hub_token="m0delsc0pe", report_to=TOKEN)
    for words in (("check", path), ("check", path, "--json"), ("preview", path), ("preview", path, "--json")):
        said = lfdash(*words)
        assert TOKEN not in said.out + said.err and "m0delsc0pe" not in said.out + said.err
        assert "hf_hub_token" in said.out + said.err, "it is said what became of it"


def test_llamaboards_form(workspace: Path, tmp_path: Path) -> None:
    text = lfdash("convert", DEMO).out.replace("top.model_name: null", "top.model_name: Qwen2.5-0.5B-Instruct")
    said = lfdash("check", written(tmp_path, text), "--json").json
    assert said["opened"] and said["args"]["model_name_or_path"] == "Qwen/Qwen2.5-0.5B-Instruct"
    assert said["notes"][0] == "This is a saved LlamaBoard form; the settings include its defaults."


def test_in_the_terminals_language(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_MESSAGES", "ru_RU.UTF-8")
    assert lfdash("check", job(tmp_path)).out == "Проблем не найдено.\n"
    said = lfdash("check", job(tmp_path, dataset="gone"), "--json").json
    assert "dataset_info.json" in said["problems"][0]["message"] and "нет" in said["problems"][0]["message"]


def test_a_command_and_the_file_that_it_names(workspace: Path, tmp_path: Path) -> None:
    good = job(tmp_path)
    path = written(tmp_path, f"#!/bin/bash\nNCCL_DEBUG=INFO llamafactory-cli train {good.name} seed=3\n", "run.sh")
    said = lfdash("check", path, "--json")
    assert (said.code, said.json["args"]["seed"], said.json["args"]["dataset"]) == (0, 3, "demo_sft")
    assert said.json["notes"] == ["Environment variables that were left out: NCCL_DEBUG"]
    good.unlink()
    (problem,) = lfdash("check", path, "--json").json["problems"]
    assert problem["code"] == "command_file" and good.name in problem["message"]


def test_a_file_that_is_no_job(workspace: Path) -> None:
    said = lfdash("check", FIXTURES / "configurations" / "accelerate.yaml")
    assert said.code == 1
    assert said.err.count("Accelerate") == 1 and len(said.err.splitlines()) == 1


def test_a_file_that_windows_saved(workspace: Path, tmp_path: Path) -> None:
    path = job(tmp_path)
    path.write_bytes(path.read_text().encode("utf-16"))
    assert lfdash("check", path, "--json").code == 0


NEEDS = {"report_to": "wandb", "optim": "adamw_8bit"}


def test_packages_are_asked_for_where_no_dashboard_ever_did(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = {"packages": {"wandb": "0.20"}}
    monkeypatch.setattr("lfdash.llamafactory.probe.identity", lambda _cli: json.dumps(installed))
    said = lfdash("check", job(tmp_path, **NEEDS))
    assert said.code == 1 and "bitsandbytes" in said.out and "wandb" not in said.out


def test_packages_that_nobody_can_be_asked_for_are_said_to_be_unknown(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LFDASH_CLI", str(tmp_path / "no-such-cli"))
    said = lfdash("check", job(tmp_path, **NEEDS), "--json")
    (note,) = said.json["notes"]
    assert said.code == 0 and "not looked at" in note and "bitsandbytes, wandb" in note
    assert note in lfdash("check", job(tmp_path, **NEEDS)).out
    assert lfdash("check", job(tmp_path), "--json").json["notes"] == [], "it needs none"
