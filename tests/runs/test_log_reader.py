"""Files that grow: every whole line once, and their last rows."""

from __future__ import annotations

import json
import math
import os
import random
from pathlib import Path

import pytest

from lfdash.files import read_plain
from lfdash.runs.console import tracker_link
from lfdash.runs.log_reader import Cursor, read_last, read_new, tail_bytes
from lfdash.runs.output.log import RunLog
from tests.support import FIXTURES


def line(number: int) -> bytes:
    return json.dumps({"current_steps": number, "loss": 1.0 / number}).encode() + b"\n"


def test_every_row_comes_once_however_the_file_is_written(tmp_path: Path) -> None:
    path, chance = tmp_path / "log.jsonl", random.Random(7)
    data = b"".join(line(number) for number in range(1, 301))
    cursor, rows, done = Cursor(), [], 0
    while done < len(data):
        size = chance.randint(1, 400)
        with path.open("ab") as file:
            file.write(data[done : done + size])
        done += size
        new, cursor = read_new(path, cursor)
        rows += new
    assert [row["current_steps"] for row in rows] == list(range(1, 301))
    assert (cursor.bad, cursor.generation, cursor.rest) == (0, 0, b"")
    assert read_new(path, cursor) == ([], cursor)


def test_a_line_that_is_not_whole_waits_and_one_that_lacks_its_newline_comes_once(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(line(1) + line(2)[:-2])
    rows, cursor = read_new(path, Cursor())
    assert len(rows) == 1
    for more, steps in ((line(2)[-2:-1], [2]), (b"\n", []), (line(3)[:-1], [3]), (b"\n" + line(4), [4]), (b"", [])):
        with path.open("ab") as file:
            file.write(more)
        rows, cursor = read_new(path, cursor)
        assert [row["current_steps"] for row in rows] == steps and cursor.bad == 0


def test_a_missing_file_gives_nothing_and_garbage_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    assert read_new(path, Cursor()) == ([], Cursor())
    path.write_bytes(b"not json\n[1, 2]\n\xff\xfe\n\n\0\0\0" + line(1))
    rows, cursor = read_new(path, Cursor())
    assert [row["current_steps"] for row in rows] == [1]
    assert cursor.bad == 3


def test_bare_nan_and_infinity_are_numbers() -> None:
    rows, cursor = read_new(FIXTURES / "logs" / "nan.jsonl", Cursor())
    assert math.isnan(rows[1]["loss"]) and cursor.bad == 0


@pytest.mark.parametrize("keep_inode", [True, False])
@pytest.mark.parametrize("after", [1, 2, 3, 9])
def test_a_truncated_or_replaced_file_is_read_from_its_start(tmp_path: Path, keep_inode: bool, after: int) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(line(1) + line(2) + line(3))
    _, cursor = read_new(path, Cursor())
    if not keep_inode:
        (tmp_path / "new").write_bytes(b"")
        os.replace(tmp_path / "new", path)
    path.write_bytes(b"".join(line(number) for number in range(5, 5 + after)))  # 3 lines: the same size
    rows, cursor = read_new(path, cursor)
    assert [row["current_steps"] for row in rows] == list(range(5, 5 + after))
    assert cursor.generation == 1


def test_a_replacement_that_begins_the_same_is_seen_by_its_inode(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(line(1) * 20)
    _, cursor = read_new(path, Cursor())
    (tmp_path / "new").write_bytes(line(1) * 21)
    os.replace(tmp_path / "new", path)
    rows, cursor = read_new(path, cursor)
    assert (len(rows), cursor.generation) == (21, 1)


def test_a_file_cut_to_a_beginning_of_itself_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"".join(line(number) for number in range(1, 31)))
    _, cursor = read_new(path, Cursor())
    os.truncate(path, len(b"".join(line(number) for number in range(1, 16))))
    rows, cursor = read_new(path, cursor)
    assert (len(rows), cursor.generation) == (15, 1)


def test_the_last_rows_are_whole(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"".join(line(number) for number in range(1, 100)) + b'{"current_steps": 1')
    rows = read_last(path, 500)
    assert rows[-1]["current_steps"] == 99 and 5 < len(rows) < 15
    assert tail_bytes(path, 500).startswith(b"{")
    assert read_last(tmp_path / "missing") == []


def test_a_link_or_a_pipe_in_a_runs_folder_is_not_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text('{"current_steps": 1}\n')
    link, pipe = tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(secret)
    os.mkfifo(pipe)  # opening one waits for a writer, for ever
    for path in (link, pipe, tmp_path):
        assert tail_bytes(path, 100) == b"" and read_last(path) == []
        assert not RunLog(path).poll() and tracker_link(path) is None
        assert read_new(path, Cursor())[0] == []
        with pytest.raises(OSError):
            read_plain(path)
    assert read_last(secret) == [{"current_steps": 1}] and read_plain(secret).startswith("{")
