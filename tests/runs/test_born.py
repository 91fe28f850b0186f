"""When a file was made: not changed by whoever sets its times."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from lfdash.runs import born as module
from lfdash.runs.born import born


def test_a_copy_is_as_old_as_it_is_here(tmp_path: Path) -> None:
    before = time.time() - 1.0  # clocks of file systems are coarse
    path = tmp_path / "log"
    path.write_text("x")
    made = born(path)
    if made is None:
        pytest.skip("this file system does not tell when a file was made")
    os.utime(path, (1e9, 1e9))
    assert born(path) == made and before <= made <= time.time() + 1.0


def test_what_is_not_there_was_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert born(tmp_path / "none") is None
    monkeypatch.setattr(module, "statx", lambda: None)
    assert born(tmp_path / "none") is None
    assert born(tmp_path) == getattr(os.stat(tmp_path), "st_birthtime", None)
