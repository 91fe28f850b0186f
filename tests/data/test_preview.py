"""Data files: their first rows, counts, and the broken line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lfdash.data import preview as data
from lfdash.data.preview import preview


@pytest.mark.parametrize(
    ("name", "text", "rows", "count"),
    [
        ("a.json", '[{"x": 1}, {"x": 2}, {"y": 3}]', 2, 3),
        ("a.jsonl", '{"x": 1}\n\n{"x": 2}\n{"x": 3}', 2, 3),
        ("a.json", '{"x": 1}\n{"x": 2}\n{"x": 3}\n', 2, 3),  # lines under JSON's name
        ("a.csv", "x,y\n1,2\n3,4\n5,6\n", 2, 3),
        ("a.json", "[]", 0, 0),
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
        ("a.json", '{"x": 1}', "data_shape", {"reason": "dict"}),
        ("a.json", None, "data_missing", {"file": "a.json"}),
        ("a.parquet", "PAR1", "data_unreadable", {}),
        ("a.txt", "x", "data_no_preview", {}),
        ("a.jsonl", b"\xff\xfe", "data_unreadable", {}),
    ],
)
def test_broken_files_say_where(tmp_path: Path, name: str, text: Any, code: str, params: dict[str, Any]) -> None:
    if text is not None:
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    problem = preview(tmp_path / name).problem
    assert problem is not None and problem.code == code
    assert {key: problem.params[key] for key in params} == params


def test_a_large_array_is_looked_at_from_its_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "big.json"
    path.write_text(json.dumps([{"text": f"row {n}, with [brackets] and \\"} for n in range(500)]))
    monkeypatch.setattr(data, "WHOLE", 1000)
    monkeypatch.setattr(data, "START", 2000)
    found = preview(path, 10)
    assert found.count is None
    assert [row["text"] for row in found.rows][:2] == ["row 0, with [brackets] and \\", "row 1, with [brackets] and \\"]
    assert len(found.rows) == 10


def test_parquet(tmp_path: Path) -> None:
    rows = [{"instruction": f"n{n}", "turns": [{"role": "user", "content": "a"}]} for n in range(20)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    found = preview(tmp_path / "a.parquet", 3)
    assert (found.rows, found.count, found.columns) == (rows[:3], 20, ("instruction", "turns"))
    assert preview(tmp_path / "a.parquet", 0).count == 20
