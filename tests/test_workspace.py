"""The workspace's folders, and DeepSpeed's files in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lfdash.workspace import Workspace

DEEPSPEED = Path(__file__).resolve().parents[1] / "configs" / "deepspeed"


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


@pytest.mark.train_env
def test_deepspeed_files_say_what_llamaboard_writes(tmp_path: Path) -> None:
    script = "from llamafactory.webui.common import create_ds_config; create_ds_config()"
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True, env={**os.environ})
    theirs = {path.name: json.loads(path.read_text()) for path in (tmp_path / "llamaboard_cache").glob("*.json")}
    assert {path.name: json.loads(path.read_text()) for path in DEEPSPEED.glob("*.json")} == theirs
