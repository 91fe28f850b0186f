"""What we read of a file is what LLaMA-Factory's loader (datasets) reads of it: as many rows, or none as well."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lfdash.data.usable import check_path
from tests.support import PROGRAMS

pytestmark = pytest.mark.train_env

ROW = {"instruction": "q", "input": "", "output": "a"}
LONG = {**ROW, "output": "x" * 1000}
ONE, BOM = json.dumps(ROW), "\ufeff"
SPREAD = json.dumps(ROW, indent=2) + "\n"
JSON = {
    "array": json.dumps([ROW, ROW]), "array_bom": BOM + json.dumps([ROW, ROW]), "lines": f"{ONE}\n{ONE}\n",
    "lines_bom": f"{BOM}{ONE}\n{ONE}\n", "joined": ONE * 3, "joined_bom": BOM + ONE * 3, "spread": SPREAD * 3,
    "spread_large": (json.dumps(LONG, indent=2) + "\n") * 1000, "joined_large": json.dumps(LONG) * 1000,
    "one": ONE, "one_spread": SPREAD, "wrapped": json.dumps({"data": [ROW, ROW]}), "texts": json.dumps(["a", "b"]),
    "text_lines": '"a"\n"b"\n', "list_lines": "[1]\n[2]\n", "lists": json.dumps([["a", "b"], ["c", "d"]]),
    "commas": f"{ONE},\n{ONE}\n", "behind": json.dumps([ROW]) + "x", "blank_first": f"\n\n{ONE}\n\n{ONE}", "empty": "",
    "empty_array": "[]", "blank": " \n", "crlf": f"{ONE}\r\n{ONE}\r\n", "cut": f"{ONE}\n{ONE[:20]}",
    "mixed_lines": '{"a": "x"}\n{"a": 1}', "mixed": '[{"a": "x"}, {"a": 1}]', "mixed_truth": '[{"a": 1}, {"a": true}]',
    "mixed_within": '[{"m": [{"c": "x"}]}, {"m": [{"c": ["y"]}]}]', "numbers": '{"a": 1}\n{"a": 1.5}',
    "keys_within": '[{"m": [{"c": "x"}]}, {"m": [{"d": "y"}]}]', "nulls": '{"a": null}\n{"a": "x"}\n{}',
    "late": "\n".join([json.dumps({"a": "x" * 2000})] * 6000 + ['{"a": "x", "b": "y"}']),
    "late_within": "\n".join([json.dumps({"a": [{"b": "x" * 2000}]})] * 6000 + ['{"a": [{"b": "x", "c": "y"}]}']),
    "early": "\n".join(['{"b": "y"}'] + [json.dumps({"a": "x" * 2000})] * 6000),
}
CSV = {
    "numbers": "q,a\nx,4\nx,5\n", "mixed": "q,a\nx,4\nx,y\n", "none": "q,a\nx,NA\nx,\n\nx,y\n",
    "bom": f"{BOM}q,a\nx,y\n",
    "short": "q,a\nx\nx,y\n", "long": "q,a\nx,y\nx,y,z\n", "quotes": 'q,a\n"x ""y"" z","x\ny"\n', "empty": "",
    "head": "q,a\n", "late": "q,a\n" + "x,1\n" * 10_001 + "x,y\n", "late_number": "q,a\n" + "x,y\n" * 10_000 + "x,1\n",
}
TXT = {"lines": "a\n\nb\r\nc", "odd": "a\x0bb\u2028c\rd\n", "empty": ""}


def make(folder: Path) -> None:
    """Writes every file."""
    for suffix, files in (("json", JSON), ("jsonl", JSON), ("csv", CSV), ("txt", TXT)):
        for name, text in files.items():
            (folder / f"{name}.{suffix}").write_bytes(text.encode())
    for name in ("utf16.csv", "utf16.jsonl"):
        (folder / name).write_bytes(ONE.encode("utf-16"))
    table, target = pa.table({"a": ["x", "y", None]}), io.BytesIO()
    with pa.ipc.new_stream(target, table.schema) as writer:
        writer.write_table(table)
    (folder / "stream.arrow").write_bytes(target.getvalue())
    pq.write_table(table, folder / "table.parquet")


def test_rows_of_files_of_every_kind(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    make(folder)
    command = [sys.executable, str(PROGRAMS / "loaded_files.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=True)
    theirs = {name: rows if isinstance(rows, int) else None for name, rows in json.loads(done.stdout).items()}
    ours = {path.name: rows_of(path) for path in folder.iterdir()}
    assert {name: (ours[name], rows) for name, rows in theirs.items() if ours[name] != rows} == {}
    assert len(theirs) > 80 and sum(rows is None for rows in theirs.values()) > 30


def rows_of(path: Path) -> int | None:
    """The rows that we say a file has; None where we say that it cannot be read."""
    unreadable = {"data_types", "data_late", "data_empty"}
    found = check_path(path, "x", {"columns": {}}, "ppo")
    if found.rows is None or any(problem.code in unreadable for problem in found.problems):
        return None
    return found.rows
