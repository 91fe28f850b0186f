"""What the tests of deleted runs look at, and the disks that they are moved on."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.finished import CONTENT


def is_whole(folder: Path) -> bool:
    """Whether a run's folder has all that was in it."""
    names = {"run.json", "exit.json", "attempts", "checkpoint-5", "training_args.yaml"}
    return folder.is_dir() and set(os.listdir(folder)) == names and (
        (folder / "checkpoint-5" / "model.bin").read_text() == CONTENT
    )


def other_disk(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Lets a folder be on another disk: a rename into it or out of it fails, as the kernel's does."""
    original = os.rename

    def rename(source: Any, target: Any, **more: Any) -> None:
        if Path(source).is_relative_to(folder) != Path(target).is_relative_to(folder):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(source), None, str(target))
        original(source, target, **more)

    monkeypatch.setattr(os, "rename", rename)


def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_point: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("lfdash.files.hit", full)
