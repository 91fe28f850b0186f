"""Rows one at a time are what reading the file whole would give, wherever its pieces end."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any
from unittest import mock

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
    if "\n" not in spoiled:  # else it may be lines under another name
        assert (rows.problem is None) == good, spoiled
    if good:
        assert found == [as_row(value) for value in json.loads(spoiled)]


@given(st.lists(st.lists(st.text("ab,\"'\né ", max_size=5), min_size=2, max_size=4), max_size=5), st.data())
def test_csv_is_what_pythons_own_reader_makes_of_it(records: list[list[str]], data: st.DataObject) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([["x", "y"], *records])
    content = text.getvalue().encode()
    whole = [{str(key): value for key, value in row.items()} for row in csv.DictReader(io.StringIO(text.getvalue()))]
    assert read(content, "a.csv")[0] == whole
    found, rows = read(content, "a.csv", data.draw(st.integers(0, len(content))))
    assert found == whole[: len(found)] and rows.problem is None


def test_of_a_csv_file_every_whole_record_is_given() -> None:
    whole = b'a,b\n1,2\n"3\n3",4\n5,'
    assert [row["a"] for row in read(whole + b"6\n", "a.csv", len(whole))[0]] == ["1", "3\n3"]
    assert [row["a"] for row in read(whole, "a.csv", 12)[0]] == ["1"]


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
