"""alerts.jsonl: whole lines or none, whatever is in it."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfdash.runs.alerts import file
from lfdash.runs.alerts.alert import Alert
from lfdash.runs.paths import RunPaths
from tests.support.alerts import unreadable

ONE = Alert("nan", "id-r1", "r1", 1, "", 12, 1.5e9, {"loss": "1", "count": 3, "share": 0.5})


def test_what_is_added_is_read_in_order(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    two = replace(ONE, rule="stall", occasion="40", step=None, run="ラン “1”")
    assert file.alerts_of(paths) == ()
    for alert in (ONE, two):
        file.append(paths.alerts, alert)
    assert file.alerts_of(paths) == (ONE, two)


@given(st.binary(max_size=200))
def test_odd_lines_are_passed_over_and_hide_nothing(garbage: bytes) -> None:
    lines = garbage.decode("utf-8", "replace").split("\n")
    assert list(file.parse([*lines, file.line_of(ONE), *lines])) == [ONE]


def test_a_line_that_a_full_disk_cut_does_not_spoil_the_next(tmp_path: Path) -> None:
    path = RunPaths(tmp_path).alerts
    path.write_text(file.line_of(ONE) + file.line_of(replace(ONE, rule="stall"))[:30])
    file.append(path, replace(ONE, rule="overfit"))
    assert [alert.rule for alert in file.read(path)] == ["nan", "overfit"]


def test_a_disk_that_is_full_within_a_character_spoils_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, write = RunPaths(tmp_path).alerts, os.write
    file.append(path, replace(ONE, run="训练"))
    left = [file.line_of(replace(ONE, rule="stall", run="训练")).encode().index("训".encode()) + 1]

    def short(descriptor: int, data: bytes) -> int:
        if not left:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data[: left.pop()])

    with monkeypatch.context() as patch, pytest.raises(OSError):
        patch.setattr(os, "write", short)
        file.append(path, replace(ONE, rule="stall", run="训练"))
    assert [alert.rule for alert in file.read(path)] == ["nan"]
    file.append(path, replace(ONE, rule="overfit"))
    assert [alert.rule for alert in file.read(path)] == ["nan", "overfit"]


@pytest.mark.parametrize("failure", [errno.EMFILE, errno.EIO, errno.EACCES])
def test_a_read_that_fails_is_not_no_alerts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: int) -> None:
    paths = RunPaths(tmp_path)
    file.append(paths.alerts, ONE)
    for read in (file.alerts_of, file.badges):
        with unreadable(monkeypatch, failure), pytest.raises(OSError):
            read(paths)
    (tmp_path / "folder").mkdir()
    assert file.read(tmp_path / "folder") == () and file.read(tmp_path / "none") == ()


def test_of_a_very_large_file_the_newest_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = RunPaths(tmp_path).alerts
    for step in range(20):
        file.append(path, replace(ONE, step=step))
    monkeypatch.setattr(file, "LARGEST", len(file.line_of(replace(ONE, step=19))) * 5 + 9)
    assert [alert.step for alert in file.read(path)] == [15, 16, 17, 18, 19]


@pytest.mark.parametrize("when", [-1.0, 1e15, float("nan")])
def test_a_time_that_no_calendar_has_is_no_alert(when: float) -> None:
    assert list(file.parse([file.line_of(replace(ONE, time=when)), file.line_of(ONE)])) == [ONE]


def test_a_link_or_a_pipe_is_not_written_to(tmp_path: Path) -> None:
    target, link, pipe = tmp_path / "target", tmp_path / "link", tmp_path / "pipe"
    target.touch()
    link.symlink_to(target)
    os.mkfifo(pipe)
    for path in (link, pipe):
        with pytest.raises(OSError):
            file.append(path, ONE)
    assert target.read_text() == ""


def test_badges_are_of_the_newest_attempt_in_the_order_of_the_rules(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    assert file.badges(paths) == ()
    for alert in (ONE, replace(ONE, rule="overfit"), replace(ONE, rule="stall"), replace(ONE, rule="diverged")):
        file.append(paths.alerts, alert)
    assert file.badges(paths) == ("nan", "diverged", "overfit")
    file.append(paths.alerts, replace(ONE, rule="plateau", attempt=2))
    assert file.badges(paths) == ("plateau",)


def test_a_line_names_all_that_a_program_needs(tmp_path: Path) -> None:
    file.append(RunPaths(tmp_path).alerts, ONE)
    assert json.loads(RunPaths(tmp_path).alerts.read_text()) == {
        "rule": "nan", "run_id": "id-r1", "run": "r1", "attempt": 1, "occasion": "", "step": 12, "time": 1.5e9,
        "params": {"loss": "1", "count": 3, "share": 0.5},
    }
