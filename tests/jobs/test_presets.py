"""Presets: read as files, accepted by LLaMA-Factory's own parser. What a CPU can run: llamafactory/test_stages.py."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lfdash.jobs import checks
from lfdash.jobs.args import job_from_args
from lfdash.jobs.environment import Facts
from lfdash.jobs.presets import list_presets, read_preset
from lfdash.llamafactory.catalogue import load_snapshot
from tests.support import PROGRAMS, ROOT

PRESETS = {preset.name: preset for preset in list_presets(ROOT / "configs" / "presets")}


def test_the_demo_comes_first_and_all_have_title_and_advice() -> None:
    assert next(iter(PRESETS)) == "demo"
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
    expected = {"ppo": {"reward_missing"}, "sft_full_galore": {"galore_slow"}}.get(name, set())
    assert {problem.code for problem in checks.problems(job, Facts())} == expected


@pytest.mark.train_env
def test_llamafactorys_parser_takes_every_preset(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "configs" / "deepspeed", tmp_path / "deepspeed")
    jobs = {name: {**preset.args, "output_dir": f"out/{name}"} for name, preset in PRESETS.items()}
    jobs["ppo"]["reward_model"] = "saves/reward"
    jobs["broken"] = {**jobs["dpo"], "pref_lose": 1}  # the check can fail
    file = tmp_path / "jobs.json"
    file.write_text(json.dumps(jobs))
    done = subprocess.run(
        [sys.executable, str(PROGRAMS / "parse_presets.py"), str(file)],
        capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout)
    assert "pref_lose" in said.pop("broken")
    assert said == dict.fromkeys(PRESETS, "")
