"""A console log followed line by line; blocks and errors of it: test_log_reader.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lfdash.runs.console import ConsoleLines, ConsoleTail
from tests.support import FIXTURES


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "console.log"


def test_whole_lines_each_once(log: Path) -> None:
    lines = ConsoleLines(log)
    assert list(lines.read()) == [], "not there yet"
    log.write_bytes(b"one\ntw")
    assert (list(lines.read()), lines.begun) == (["one"], "tw")
    assert list(lines.read()) == []
    with log.open("ab") as file:
        file.write(b"o\n\nthree\n")
    assert (list(lines.read()), lines.begun, lines.restarted) == (["two", "", "three"], "", False)


def test_a_progress_bar_is_one_line_of_its_last_state(log: Path) -> None:
    log.write_bytes(b" 1%|x\r 2%|xx\r 3%|xxx\x1b[0m\n" + b"\r".join(b"%d%%" % n for n in range(10)))
    lines = ConsoleLines(log)
    assert (list(lines.read()), lines.begun) == ([" 3%|xxx"], "9%")


def test_a_bar_of_megabytes_without_an_end_is_kept_small(log: Path) -> None:
    log.write_bytes(b"".join(b"\r%07d" % n for n in range(400_000)))
    lines = ConsoleLines(log)
    assert (list(lines.read()), lines.begun) == ([], "0399999")
    assert len(lines._line) < 100


@pytest.mark.parametrize("replaced", [True, False])
def test_a_log_that_was_cut_or_replaced_is_read_anew(log: Path, replaced: bool) -> None:
    log.write_bytes(b"one\ntwo\nthr")
    lines = ConsoleLines(log)
    list(lines.read())
    if replaced:
        (log.parent / "new").write_bytes(b"another log, longer than the first\n")
        os.replace(log.parent / "new", log)
    else:
        log.write_bytes(b"cut\n")
    assert list(lines.read()) == (["another log, longer than the first"] if replaced else ["cut"])
    assert lines.restarted and lines.begun == ""
    list(lines.read())
    assert not lines.restarted


@pytest.mark.parametrize("name", ["healthy_sft.txt", "failed_torchrun_fail.txt"])
def test_the_same_text_as_the_page_shows(name: str) -> None:
    path = FIXTURES / "console" / name
    tail, lines = ConsoleTail(path), ConsoleLines(path)
    tail.poll()
    text = "\n".join([*lines.read(), lines.begun])
    assert text.rstrip() == "\n".join(tail.blocks()).rstrip()
