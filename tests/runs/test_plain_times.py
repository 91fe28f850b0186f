"""When a run of the plain CLI began: of one that was copied its files have the time of the copying."""

from __future__ import annotations

import json
import os
import time
from datetime import datetime
from pathlib import Path

import pytest

from lfdash.runs import plain
from lfdash.runs.paths import RunPaths
from lfdash.runs.plain_times import HEAD, first_stamp
from lfdash.runs.view import RunView, view_plain

TOOK = 1200.0  # seconds that the lines of `run_in` took
BEGAN = datetime(2025, 3, 6, 8, 42, 56).timestamp()  # of this machine's zone
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:9f\nsize 45778\n"


def run_in(folder: Path, monkeypatch: pytest.MonkeyPatch, *, made_before: float | None) -> RunPaths:
    """A folder with the log of a training of 20 minutes. made_before: seconds between the making of the file here and
    its last change; None = not known."""
    rows = [{"current_steps": n, "total_steps": 20, "loss": 2.0, "elapsed_time": f"0:{n:02d}:00"} for n in range(1, 21)]
    paths = RunPaths(folder)
    paths.trainer_log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    changed = paths.trainer_log.stat().st_mtime
    monkeypatch.setattr(plain, "born", lambda _: None if made_before is None else changed - made_before)
    return paths


def viewed(paths: RunPaths) -> RunView:
    return view_plain(paths.root, paths)


@pytest.mark.parametrize("made_before", [TOOK, 2 * TOOK, None])
def test_a_run_that_was_logged_here_began_before_its_last_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made_before: float | None
) -> None:
    paths = run_in(tmp_path, monkeypatch, made_before=made_before)
    paths.running_log.write_text("[INFO|2025-03-06 08:42:56] file.py:1 >> of another machine's zone\n")
    assert viewed(paths).started == pytest.approx(paths.trainer_log.stat().st_mtime - TOOK, abs=1)


@pytest.mark.parametrize("made_before", [0.0, 30.0, -86400.0])
def test_nobody_knows_when_a_copied_run_began_unless_its_output_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made_before: float
) -> None:
    paths = run_in(tmp_path, monkeypatch, made_before=made_before)
    assert (viewed(paths).started, viewed(paths).ended, viewed(paths).elapsed_s) == (None, None, TOOK)
    paths.running_log.write_text("[INFO|2025-03-06 08:42:56] configuration_utils.py:699 >> loading\n")
    assert (viewed(paths).started, viewed(paths).ended) == (BEGAN, None)


def test_a_copy_that_kept_the_times_of_its_files_is_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = run_in(tmp_path, monkeypatch, made_before=-86400.0)
    changed = paths.trainer_log.stat().st_mtime
    checkpoint = tmp_path / "checkpoint-5"
    checkpoint.mkdir()
    os.utime(checkpoint, (changed, changed))
    assert viewed(paths).started is None, "all at once"
    os.utime(checkpoint, (changed - 900.0,) * 2)
    assert viewed(paths).started == pytest.approx(changed - TOOK, abs=1)


def test_a_pointer_of_git_lfs_has_no_time_of_the_run(tmp_path: Path) -> None:
    for name in ("trainer_log.jsonl", "running_log.txt"):
        (tmp_path / name).write_text(POINTER)
    assert (viewed(RunPaths(tmp_path)).started, viewed(RunPaths(tmp_path)).ended) == (None, None)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("no time\n[INFO|2025-03-06 08:42:56] a.py:1 >> x\n[INFO|2025-03-06 09:00:00] a.py:1 >> y\n", True),
        ("[INFO|configuration_utils.py:766] 2025-03-06 08:42:56,145 >> loading\n", True),
        ("[WARNING|2025-03-06 08:42:56] llamafactory.hparams.parser:149 >> bf16\n", True),
        ("03/06/2025 08:42:56 - INFO - llamafactory.hparams.parser - Process rank: 0\n", True),
        ("[INFO|2025-02-31 08:42:56] a.py:1 >> no such day\n", False),
        ("a text of 2025-03-06 08:42:56 in the middle\n", False),
        ("[INFO|2199-03-06 08:42:56] a.py:1 >> to come\n", False),
        ("x" * HEAD + "\n[INFO|2025-03-06 08:42:56] a.py:1 >> too far\n", False),
        ("", False),
    ],
)
def test_the_first_time_of_an_output(tmp_path: Path, text: str, told: bool) -> None:
    paths = RunPaths(tmp_path)
    assert first_stamp(paths, time.time()) is None
    paths.running_log.write_text(text)
    assert first_stamp(paths, time.time()) == (BEGAN if told else None)
    paths.console.write_text("[INFO|2025-03-06 08:42:57] a.py:1 >> the console comes first\n")
    assert first_stamp(paths, time.time()) == BEGAN + 1
