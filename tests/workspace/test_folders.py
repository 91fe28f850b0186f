"""The workspace's folders, and DeepSpeed's files in it."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lfdash.workspace.folders import Workspace, weights_in
from tests.support import ROOT

DEEPSPEED = ROOT / "configs" / "deepspeed"


def test_folders_are_made_and_files_of_the_user_stay(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "new" / "ws")
    workspace.prepare(DEEPSPEED)
    mine = workspace.deepspeed / "ds_z2_config.json"
    mine.write_text("{}")
    workspace.prepare(DEEPSPEED)
    assert mine.read_text() == "{}"
    assert sorted(path.name for path in workspace.deepspeed.iterdir()) == sorted(p.name for p in DEEPSPEED.iterdir())
    found = {path.name for path in workspace.root.iterdir() if path.is_dir()}
    assert found == {"data", "models", "deepspeed", "saves", "configs", ".lfdash"}


HOLDS = {
    "first": ["adapter_model.safetensors", "adapter_config.json"], "second": ["model-1.safetensors"],
    "third": ["model.safetensors.index.json"], "fourth": ["checkpoint-5/adapter_model.safetensors"],
    "fifth": ["pytorch_model.bin"], "empty": [],
}


def fill(folder: Path) -> None:
    for age, (name, files) in enumerate(HOLDS.items()):
        (folder / name).mkdir(parents=True)
        for file in files:
            (folder / name / file).parent.mkdir(exist_ok=True)
            (folder / name / file).touch()
        os.utime(folder / name, (2e9 - age, 2e9 - age))
    (folder / "file.bin").touch()


def test_folders_with_weights_newest_first(tmp_path: Path) -> None:
    fill(tmp_path)
    assert weights_in(tmp_path) == ["first", "third", "fifth"]
    assert weights_in(tmp_path / "nothing") == []


@pytest.mark.train_env
def test_deepspeed_files_and_weights_are_those_of_llamaboard(tmp_path: Path) -> None:
    fill(tmp_path / "saves" / "m" / "lora")
    script = (
        "from llamafactory.webui.common import create_ds_config; create_ds_config()\n"
        "from llamafactory.webui.control import list_checkpoints; print(list_checkpoints('m', 'lora').choices)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True, text=True, env={**os.environ}
    )
    listed = ast.literal_eval(done.stdout.splitlines()[-1])
    assert sorted(name for name, _ in listed) == sorted(weights_in(tmp_path / "saves" / "m" / "lora"))
    theirs = {path.name: json.loads(path.read_text()) for path in (tmp_path / "llamaboard_cache").glob("*.json")}
    assert {path.name: json.loads(path.read_text()) for path in DEEPSPEED.glob("*.json")} == theirs
