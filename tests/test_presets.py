"""Presets: read as files, accepted by LLaMA-Factory's own parser, and those that a CPU can run are trained."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lfdash.args import job_from_args
from lfdash.job import Facts
from lfdash.presets import list_presets, read_preset
from lfdash.upstream import load_snapshot

ROOT = Path(__file__).resolve().parents[1]
PRESETS = {preset.name: preset for preset in list_presets(ROOT / "configs" / "presets")}
# What LLaMA-Factory 0.9.5 cannot do here, with the preset it concerns; everything else is trained.
NEEDS_MORE = {
    "sft_qlora": "bitsandbytes needs CUDA",
    "sft_full_ds_z3": "deepspeed is not installed",
    "sft_full_galore": "galore-torch is not installed",
    "ppo": "needs another trl",
    "sft_lora_multimodal": "the demo model takes no images",
    "demo": "trained by a test of its own, and in full by the browser test",
}


def small(args: dict[str, Any], stage_folder: str) -> dict[str, Any]:
    """A preset with the demo model put in, cut to two steps on the CPU."""
    cut = {key: value for key, value in args.items() if key not in ("bf16", "warmup_ratio", "num_train_epochs")}
    return {
        **cut, "model_name_or_path": "models/demo-llama", "template": "default", "use_cpu": True, "max_steps": 2,
        "gradient_accumulation_steps": 1, "max_samples": 40, "cutoff_len": 64, "logging_steps": 1,
        "preprocessing_num_workers": 1, "output_dir": f"saves/demo-llama/{stage_folder}", "plot_loss": False,
    }  # fmt: skip


def train(folder: Path, args: dict[str, Any]) -> list[dict[str, Any]]:
    """Trains with the real CLI in a folder to the end; gives the rows of its log."""
    (folder / "job.yaml").write_text(json.dumps(args))
    done = subprocess.run(
        [Path(sys.executable).with_name("llamafactory-cli"), "train", "job.yaml"],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    log = (folder / args["output_dir"] / "trainer_log.jsonl").read_text().splitlines()
    return [json.loads(line) for line in log]


def test_the_demo_comes_first_and_all_have_title_and_advice() -> None:
    assert next(iter(PRESETS)) == "demo"
    assert len(PRESETS) == 13
    for preset in PRESETS.values():
        assert preset.title and preset.advice.endswith(".")
        assert "output_dir" not in preset.args


def test_a_file_without_comments_is_named_after_itself(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("stage: sft\n")
    found = read_preset(path)
    assert (found.title, found.advice, found.text, found.args) == ("mine", "", "stage: sft\n", {"stage": "sft"})


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "demo"])
def test_model_and_template_belong_together(name: str) -> None:
    args = PRESETS[name].args
    models = load_snapshot(ROOT / "configs" / "upstream.json").models.values()
    (model, *_) = [item for item in models if args["model_name_or_path"] in item.paths.values()]
    assert args.get("template", "") == model.template
    assert ("image_max_pixels" in args) == model.multimodal


@pytest.mark.parametrize("name", PRESETS)
def test_only_what_the_user_must_add_is_missing(name: str) -> None:
    job = job_from_args({**PRESETS[name].args, "output_dir": "saves/m/lora/x"})
    expected = {"reward_missing"} if name == "ppo" else set()
    assert {problem.code for problem in job.problems(Facts())} == expected


@pytest.mark.train_env
def test_llamafactorys_parser_takes_every_preset(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "configs" / "deepspeed", tmp_path / "deepspeed")
    jobs = {name: {**preset.args, "output_dir": f"out/{name}"} for name, preset in PRESETS.items()}
    jobs["ppo"]["reward_model"] = "saves/reward"
    jobs["broken"] = {**jobs["dpo"], "pref_lose": 1}  # the check can fail
    file = tmp_path / "jobs.json"
    file.write_text(json.dumps(jobs))
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("parse_presets.py")), str(file)],
        capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout)
    assert "pref_lose" in said.pop("broken")
    assert said == dict.fromkeys(PRESETS, "")


@pytest.mark.train_env
@pytest.mark.parametrize("name", [name for name in PRESETS if name not in NEEDS_MORE])
def test_presets_train_with_the_demo_model(name: str, demo_workspace: Path, tmp_path: Path) -> None:
    for part in ("data", "models"):
        (tmp_path / part).symlink_to(demo_workspace / part)
    args = small(dict(PRESETS[name].args), name)
    if args["stage"] == "pt":
        args.pop("template")
    assert [row["current_steps"] for row in train(tmp_path, args)] == [1, 2, 2]


@pytest.mark.train_env
def test_the_demos_loss_falls_from_guessing_to_half_in_a_quarter_of_it(demo_workspace: Path, tmp_path: Path) -> None:
    for part in ("data", "models"):
        (tmp_path / part).symlink_to(demo_workspace / part)
    args = dict(PRESETS["demo"].args) | {"output_dir": "saves/demo", "plot_loss": False, "max_steps": 25}
    losses = [row["loss"] for row in train(tmp_path, args) if "loss" in row]
    assert len(losses) == 25
    assert losses[0] > 6  # about the logarithm of the vocabulary
    assert sum(losses[-3:]) / 3 < 3.4
    assert (tmp_path / "saves" / "demo" / "adapter_model.safetensors").exists()
