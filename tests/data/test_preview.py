"""Data files: their first rows, counts, and the broken line."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lfdash.data import preview as data
from lfdash.data.preview import Counted, count_rows, preview
from lfdash.locales import available, problem_in


@pytest.mark.parametrize(
    ("name", "text", "rows", "count"),
    [
        ("a.json", '[{"x": 1}, {"x": 2}, {"y": 3}]', 2, 3),
        ("a.jsonl", '{"x": 1}\n\n{"x": 2}\n{"x": 3}', 2, 3),
        ("a.json", '{"x": 1}\n{"x": 2}\n{"x": 3}\n', 2, 3),  # lines under JSON's name
        ("a.csv", "x,y\n1,2\n3,4\n5,6\n", 2, 3),
        ("a.json", "[]", 0, 0),
        ("a.json", "", 0, 0),
        ("a.json", '{"x": 1}', 1, 1),
        ("a.txt", "one\n\nthree", 2, 3),
    ],
)
def test_first_rows_and_count(tmp_path: Path, name: str, text: str, rows: int, count: int) -> None:
    (tmp_path / name).write_text(text)
    found = preview(tmp_path / name, 2)
    assert (len(found.rows), found.count, found.problem) == (rows, count, None)


@pytest.mark.parametrize(
    ("name", "text", "code", "params"),
    [
        ("a.json", '[\n{"x": 1},\n{"x": }\n]', "data_syntax", {"line": 3}),
        ("a.jsonl", '{"x": 1}\n{"x": \n', "data_syntax", {"line": 2}),
        ("a.json", "1", "data_not_object", {"line": 1, "kind": "number"}),
        ("a.json", b'\xef\xbb\xbf[{"x": 1}]', "data_bom", {}),
        ("a.csv", "x,y\n1,2\n1,2,3\n", "data_cells", {"line": 3, "cells": 3, "head": 2}),
        ("a.json", None, "data_missing", {"file": "a.json"}),
        ("a.parquet", "PAR1", "data_unreadable", {}),
        ("a.md", "x", "data_no_preview", {}),
        ("a.jsonl", b"\xff\xfe", "data_unreadable", {}),
    ],
)
def test_broken_files_say_where(tmp_path: Path, name: str, text: Any, code: str, params: dict[str, Any]) -> None:
    if text is not None:
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    problem = preview(tmp_path / name).problem
    assert problem is not None and problem.code == code
    assert {key: problem.params[key] for key in params} == params


def test_only_the_beginning_of_a_large_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each kind: the first rows are right, and nobody says how many there are; a look at all of them does."""
    monkeypatch.setattr(data, "START", 2000)
    rows = [{"text": f"row {n}, é, with [brackets], \"quotes\" and \\"} for n in range(500)]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    cells = io.StringIO()
    csv.writer(cells).writerows([["text"], *([row["text"]] for row in rows)])
    for name, text in (
        ("a.json", json.dumps(rows, ensure_ascii=False, indent=1)), ("b.json", lines), ("a.jsonl", lines),
        ("a.csv", cells.getvalue()),
    ):
        path = tmp_path / name
        path.write_text(text)
        for limit in (10, 1000):
            found = preview(path, limit)
            assert (found.count, found.problem) == (None, None) and 10 <= len(found.rows) < 100
            assert list(found.rows) == rows[: len(found.rows)]
        for start in range(2000, 2100):  # also in the middle of a character
            monkeypatch.setattr(data, "START", start)
            assert preview(path, 1000).problem is None
        assert count_rows(path) == Counted(500)


def test_parquet(tmp_path: Path) -> None:
    rows = [{"instruction": f"n{n}", "turns": [{"role": "user", "content": "a"}]} for n in range(20)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    found = preview(tmp_path / "a.parquet", 3)
    assert (found.rows, found.count, found.columns) == (rows[:3], 20, ("instruction", "turns"))
    assert preview(tmp_path / "a.parquet", 0).count == 20


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_a_first_row_that_is_too_long_to_be_shown_is_counted(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "START", 1 << 20)
    rows = ['{"a": "' + "x" * (3 << 20) + '"}', '{"a": "y"}']
    (tmp_path / name).write_text("\n".join(rows) if name == "a.jsonl" else f"[{','.join(rows)}]")
    found = preview(tmp_path / name)
    assert (found.rows, found.count, found.problem) == ((), None, None)
    assert found.warning is not None and found.warning.code == "data_first_long" and found.warning.params["mb"] == 1
    assert count_rows(tmp_path / name) == Counted(2)


def test_a_spoiled_parquet_file_is_told(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": list(range(1000)), "b": ["x" * 20] * 1000}), tmp_path / "good.parquet")
    good, chance = (tmp_path / "good.parquet").read_bytes(), random.Random(11)
    for number in range(150):
        spoiled = bytearray(good)
        for _ in range(chance.choice((1, 3, 10))):
            spoiled[chance.randrange(len(spoiled))] = chance.randrange(256)
        (tmp_path / "a.parquet").write_bytes(spoiled[: chance.randrange(len(good))] if number % 10 == 0 else spoiled)
        found = preview(tmp_path / "a.parquet", 3)
        assert found.problem is None or found.problem.code == "data_unreadable"


HOSTILE = [
    ("a.json", '[{"a": 1}, {"a": ' + "9" * 5000 + "}]", "data_digits", {"line": 1}),
    ("a.jsonl", '{"a": 1}\n{"a": ' + "9" * 5000 + "}\n", "data_digits", {"line": 2}),
    ("a.json", "\n" + "[" * 200_000, "data_deep", {"line": 2}),
    ("a.jsonl", '{"a": 1}\n' + "[" * 200_000, "data_deep", {"line": 2}),
    ("a.json", '[{"a": 1}\n{"a": 2}]', "data_syntax", {"line": 2}),
    ("a.json", '[{"a": 1},\n\n]', "data_syntax", {"line": 3}),
    ("a.json", '[{"a": 1}]\nx', "data_syntax", {"line": 2}),
    ("a.json", "\0" * 1000, "data_syntax", {"line": 1}),
]


@pytest.mark.parametrize(("name", "text", "code", "params"), HOSTILE)
def test_hostile_contents_name_file_and_line(
    tmp_path: Path, name: str, text: str, code: str, params: dict[str, Any]
) -> None:
    (tmp_path / name).write_text(text)
    found, counted = preview(tmp_path / name), count_rows(tmp_path / name)
    assert found.problem is not None and found.count is None and counted == Counted(None, found.problem)
    assert found.problem.code == code and {"file": name, **params}.items() <= found.problem.params.items()
    assert [problem_in(language, found.problem) for language in available()]


@pytest.mark.parametrize(
    ("text", "code", "params", "shown"),
    [
        ('[{"a": "x"}, {"b": ["\\ud800"]}]', "data_half", {"row": 2}, 2),
        ('[{"\\udfff": "x"}]', "data_half", {"row": 1}, 1),
        ('[{"a": "x"}, {"b": ' + "[" * 99 + "]" * 99 + "}]", "data_deep_row", {"row": 2}, 1),
    ],
)
def test_odd_rows_are_named_and_counted(
    tmp_path: Path, text: str, code: str, params: dict[str, Any], shown: int
) -> None:
    (tmp_path / "a.json").write_text(text)
    found = preview(tmp_path / "a.json")
    assert found.problem is None and found.count == len(json.loads(text)) and len(found.rows) == shown
    assert found.warning is not None and found.warning.code == code and params.items() <= found.warning.params.items()
    assert [problem_in(language, found.warning) for language in available()]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.csv", "a.parquet"])
@pytest.mark.parametrize(
    "make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero"), lambda path: path.symlink_to("/dev/tty")]
)
def test_pipes_devices_and_folders_are_refused_at_once(
    tmp_path: Path, name: str, make: Callable[[Path], object]
) -> None:
    make(tmp_path / name)
    for path in (tmp_path / name, (tmp_path / name).resolve().with_suffix(tmp_path.joinpath(name).suffix)):
        found = preview(path)
        codes = ("data_unreadable", "data_missing", "data_folder_empty")
        assert found.problem is not None and found.problem.code in codes
        assert count_rows(path) == Counted(None, found.problem)


def test_a_file_that_never_ends_is_read_as_far_as_it_says(tmp_path: Path) -> None:
    """/proc/self/mem is a plain file to the system, and cannot be read at its beginning."""
    (tmp_path / "a.json").symlink_to("/proc/self/mem")
    assert preview(tmp_path / "a.json").problem is not None


BOUNDED = """
import resource, sys
from pathlib import Path
from lfdash.data.preview import count_rows, preview
from lfdash.data.report import report_file
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]),) * 2)
path = Path(sys.argv[1])
first = preview(path)
print(len(first.rows), first.count, count_rows(path))
report_file(path)
"""


def in_little_memory(path: Path, more: int = 200 << 20) -> str:
    """What a process says of a file that may take `more` bytes beside what Python itself takes."""
    own = 1 << 30  # of addresses, which threads of numpy and pyarrow reserve
    command = [sys.executable, "-c", BOUNDED, str(path), str(own + more)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.csv"])
def test_a_line_of_gigabytes_takes_little_memory(tmp_path: Path, name: str) -> None:
    """Of 3 GB (sparse, so that no disk is filled) no more is read than one row may have."""
    path = tmp_path / name
    head = {"a.json": b'["', "a.jsonl": b'{"a": 1}\n"', "a.csv": b"a,b\n1,2\n"}[name]
    with path.open("wb") as file:
        file.write(head)
        file.truncate(3 << 30)
    said = in_little_memory(path)
    assert "None Counted(rows=None" in said
    assert ("data_syntax" if name == "a.json" else "data_long") in said  # JSON has no zeros within its strings
