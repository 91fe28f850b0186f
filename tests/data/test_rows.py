"""Rows one at a time are what reading the file whole would give, wherever its pieces end."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfdash.data import rows as module
from lfdash.data.rows import Rows, as_row

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
TEXTS = st.builds(
    lambda values, ascii_, indent: json.dumps(values, ensure_ascii=ascii_, indent=indent),
    st.lists(VALUES, max_size=6), st.booleans(), st.none() | st.integers(0, 2),
)


def read(content: bytes, name: str, most: int | None = None, chunk: int = 5) -> tuple[list[Any], Rows]:
    """The rows of a file of these bytes, read in small pieces."""
    with mock.patch.object(module, "CHUNK", chunk):
        rows = Rows(io.BytesIO(content), Path(name), most)  # type: ignore[arg-type]
        return list(rows), rows


@given(TEXTS, st.integers(1, 40))
def test_an_array_in_pieces_is_the_array(text: str, chunk: int) -> None:
    found, rows = read(text.encode(), "a.json", chunk=chunk)
    assert found == [as_row(value) for value in json.loads(text)]
    assert rows.problem is None and rows.taken == rows.size


@given(TEXTS, st.data())
def test_a_beginning_gives_the_first_rows_and_no_mistake(text: str, data: st.DataObject) -> None:
    content = text.encode()
    most = data.draw(st.integers(0, len(content)))
    found, rows = read(content, "a.json", most)
    whole = [as_row(value) for value in json.loads(text)]
    assert found == whole[: len(found)] and rows.problem is None and rows.taken <= most
    assert rows.cut == (most < len(content)) and (rows.cut or found == whole)


@given(TEXTS, st.data())
def test_a_mistake_is_one_for_whoever_reads_the_whole(text: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(text)))
    more, less = data.draw(st.text('[]{}",: 1\\', max_size=2)), data.draw(st.integers(0, 2))
    spoiled = text[:place] + more + text[place + less :]
    try:
        good = isinstance(json.loads(spoiled), list)
    except ValueError:
        good = False
    found, rows = read(spoiled.encode(), "a.json")
    if spoiled.lstrip(" \t\n\r").startswith("["):  # else it may be objects one after the other
        assert (rows.problem is None) == good, spoiled
    if good:
        assert found == [as_row(value) for value in json.loads(spoiled)]


CELLS = st.text("ab,\"'\né ", max_size=5) | st.sampled_from(
    ["1", "-2.5", "1e3", "NA", "null", "True", "false", "nan", " 7"]
)


@given(st.lists(st.lists(CELLS, min_size=2, max_size=2), min_size=1, max_size=5), st.data())
def test_csv_is_what_pandas_makes_of_it(records: list[list[str]], data: st.DataObject) -> None:
    """Which is what LLaMA-Factory's loader has for CSV files: types of whole columns, and cells that are no value."""
    text = io.StringIO()
    csv.writer(text).writerows([["x", "y"], *records])
    content = text.getvalue().encode()
    whole = pa.Table.from_pandas(pd.read_csv(io.BytesIO(content)), preserve_index=False).to_pylist()
    assert read(content, "a.csv")[0] == whole
    found, rows = read(content, "a.csv", data.draw(st.integers(0, len(content))))
    assert len(found) <= len(whole) and rows.problem is None


def test_of_a_csv_file_every_whole_record_is_given() -> None:
    whole = b'a,b\n1,2\n"3\n3",4\n5,'
    assert [row["a"] for row in read(whole + b"6\n", "a.csv", len(whole))[0]] == ["1", "3\n3"]
    assert [row["a"] for row in read(whole, "a.csv", 12)[0]] == [1]


def test_text_behind_the_rows_that_say_the_type_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CSV_CHUNK", 2)
    found, rows = read(b"a,b\n1,x\n2,y\nz,1\n", "a.csv")
    assert (len(found), rows.problem and rows.problem.code) == (2, "data_csv_kind")
    assert rows.problem is not None and rows.problem.params["line"] == 4 and rows.problem.params["column"] == "a"
    assert read(b"a,b\n1,x\n2,y\n3,1\n", "a.csv")[0][-1] == {"a": 3, "b": "1"}


OBJECTS = [{"a": "x", "b": [1]}, {"a": "y", "b": []}, {"a": "z", "b": [2]}]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
@pytest.mark.parametrize(
    "text",
    [
        json.dumps(OBJECTS), json.dumps(OBJECTS, indent=1), "\n".join(map(json.dumps, OBJECTS)),
        "".join(map(json.dumps, OBJECTS)), "\n".join(json.dumps(row, indent=2) for row in OBJECTS),
        "\ufeff" + "\n".join(map(json.dumps, OBJECTS)), "\n\n" + " ".join(map(json.dumps, OBJECTS)) + "\r\n",
    ],
)
def test_lists_and_objects_are_read_under_either_name(name: str, text: str) -> None:
    """As LLaMA-Factory's loader does (tests/llamafactory/test_loader.py)."""
    found, rows = read(text.encode(), name)
    assert (found, rows.problem) == (OBJECTS, None)


@pytest.mark.parametrize(
    ("text", "code"),
    [("\ufeff" + json.dumps(OBJECTS), "data_bom"), ('"a"\n"b"\n', "data_not_object"), ("[1]\n[2]", "data_syntax"),
     ('{"a": 1},\n{"a": 2}', "data_syntax"), ('{"a": 1}\n{"a": ', "data_syntax")],
)
def test_what_no_loader_reads_is_a_mistake(text: str, code: str) -> None:
    _, rows = read(text.encode(), "a.jsonl")
    assert rows.problem is not None and rows.problem.code == code


def test_objects_over_several_lines_are_read_in_small_files_only(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "\n".join(json.dumps(row, indent=2) for row in OBJECTS).encode()
    monkeypatch.setattr(module, "SPREAD", len(text) - 1)
    found, rows = read(text, "a.jsonl")
    assert found == OBJECTS and rows.problem is not None and rows.problem.code == "data_spread"


def test_the_piece_of_a_row_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "JSON_BATCH", 20)
    rows = Rows(io.BytesIO(b'{"a": 1}\n' * 7), Path("a.jsonl"))
    assert [rows.batch for _ in rows] == [0, 0, 0, 1, 1, 1, 2]


def test_every_line_of_a_text_is_a_row() -> None:
    assert [row["text"] for row in read("a\n\nb\r\nc\u2028d".encode(), "a.txt")[0]] == ["a", "", "b", "c\u2028d"]


@pytest.mark.parametrize("stream", [True, False])
def test_arrow(stream: bool) -> None:
    table, target = pa.table({"a": list(range(200)), "b": [["x"]] * 200}), io.BytesIO()
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(target, table.schema) as writer:
        writer.write_table(table, max_chunksize=70)
    found, rows = read(target.getvalue(), "a.arrow")
    assert found == table.to_pylist() and rows.problem is None
    assert read(target.getvalue()[:200], "a.arrow")[1].problem is not None


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
@given(st.lists(st.dictionaries(st.text(max_size=3), VALUES), min_size=2, max_size=5), st.data())
def test_lines(name: str, values: list[dict[str, Any]], data: st.DataObject) -> None:
    content = "\n".join(json.dumps(value, ensure_ascii=False) for value in values).encode()
    assert read(content, name)[0] == values
    found, rows = read(content, name, data.draw(st.integers(0, len(content))))
    assert found == values[: len(found)] and rows.problem is None


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.csv"])
def test_no_more_is_read_than_one_row_may_have(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST", 1000)
    lines = {"a.json": b'[{"a": 1},\n"', "a.jsonl": b'{"a": 1}\n"', "a.csv": b"a\n1\n"}
    found, rows = read(lines[name] + b"x" * 100_000, name, chunk=100)
    assert rows.problem is not None and rows.problem.code == "data_long"
    assert rows.problem.params["line"] == (3 if name == "a.csv" else 2)
    assert len(found) <= 1 and rows.taken < 15_000  # of text, pieces have 8,192 bytes


def test_what_is_no_text_is_told() -> None:
    for name in ("a.json", "a.jsonl", "a.csv"):
        _, rows = read(b'["\xff"]', name)
        assert rows.problem is not None and rows.problem.code == "data_unreadable"


def test_a_file_that_grows_is_read_as_far_as_it_was() -> None:
    file = io.BytesIO(b'{"a": 1}\n')
    rows = Rows(file, Path("a.jsonl"))  # type: ignore[arg-type]
    file.seek(0, 2)
    file.write(b'{"a": 2}\n')
    assert list(rows) == [{"a": 1}]
