"""The workspace's folders, and DeepSpeed's files in it."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from pathlib import Path

import pytest

from lfdash.llamafactory.locate import Cli
from lfdash.outcomes import Refused
from lfdash.workspace import folders
from lfdash.workspace.folders import Unwritten, Workspace, path_refusal, weights_in
from tests.support import PROGRAMS, ROOT

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


def test_what_a_full_disk_left_empty_is_written_by_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, names = Workspace(tmp_path), tuple(sorted(path.name for path in DEEPSPEED.glob("*.json")))

    def full(path: Path, _text: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(folders, "write_text_atomic", full)
        assert workspace.prepare(DEEPSPEED) == Unwritten(names, os.strerror(errno.ENOSPC))
    assert list(workspace.deepspeed.iterdir()) == [], "no half file, and no empty one"
    (workspace.deepspeed / names[0]).touch()
    assert workspace.prepare(DEEPSPEED) is None
    assert {name: (workspace.deepspeed / name).read_bytes() for name in names} == {
        name: (DEEPSPEED / name).read_bytes() for name in names
    }


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
def test_deepspeed_files_and_weights_are_those_of_llamaboard(preloaded: Cli, tmp_path: Path) -> None:
    fill(tmp_path / "saves" / "m" / "lora")
    command = [preloaded.python, str(PROGRAMS / "board_folders.py"), "m", "lora"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert sorted(json.loads(done.stdout)) == sorted(weights_in(tmp_path / "saves" / "m" / "lora"))
    theirs = {path.name: json.loads(path.read_text()) for path in (tmp_path / "llamaboard_cache").glob("*.json")}
    assert {path.name: json.loads(path.read_text()) for path in DEEPSPEED.glob("*.json")} == theirs


def test_paths_in_which_nothing_can_be_run() -> None:
    assert path_refusal(Path("/a/ws $x {y} \u00e9")) is None
    assert path_refusal(Path("/a/${x}")) == Refused("path_filled", {"path": "/a/${x}"})
    assert path_refusal(Path(os.fsdecode(b"/a/\xff"))) == Refused("path_bytes", {"path": "/a/?"})
