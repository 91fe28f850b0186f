"""Data files: rows, counts, the broken line, what the columns mean, and entries that lose nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lfdash.data import preview as data
from lfdash.data.dataset_info import add_entry, read_dataset_info, unlisted
from lfdash.data.formats import BY_NAME, FORMATS, Mapped, entry, missing, recognise
from lfdash.data.preview import preview
from lfdash.demo import __main__ as demo

STANDARD = {"prompt": "instruction", "query": "input", "response": "output", "messages": "conversations"}


def entry_of(listed: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in listed.items() if key != "file_name"}


def without_standard(found: dict[str, Any]) -> dict[str, Any]:
    """An entry without what LLaMA-Factory takes by itself."""
    columns = {k: v for k, v in found.get("columns", {}).items() if STANDARD.get(k, k) != v}
    rest = {k: v for k, v in found.items() if k != "columns" and (k, v) != ("formatting", "alpaca")}
    return {**rest, **({"columns": columns} if columns else {})}


def test_the_demos_own_files_are_recognised_as_their_entries_say(tmp_path: Path) -> None:
    demo.make_data(tmp_path)
    entries = json.loads((tmp_path / "dataset_info.json").read_text())
    kinds = {}
    for name, listed in entries.items():
        found = preview(tmp_path / listed["file_name"], 5)
        mapped = recognise(found.columns)
        assert len(found.rows) == 5 and found.problem is None
        assert without_standard(entry(mapped, found.rows[0])) == without_standard(entry_of(entries[name]))
        kinds[name] = (mapped.format, found.count)
    assert kinds == {
        "demo_sft": ("alpaca", 600), "demo_chat": ("sharegpt", 200), "demo_pairs": ("chat_pairs", 200),
        "demo_kto": ("chat_kto", 200), "demo_pt": ("text", 150),
    }


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


@pytest.mark.parametrize(
    ("columns", "format_name"),
    [
        (("instruction", "output"), "alpaca"), (("messages",), "sharegpt"), (("conversations", "images"), "sharegpt"),
        (("text",), "text"), (("instruction", "chosen", "rejected"), "pairs"),
        (("conversations", "chosen", "rejected"), "chat_pairs"), (("messages", "label"), "chat_kto"),
        (("prompt", "completion", "label"), "kto"), (("question", "answer"), "alpaca"), (("a", "b"), ""),
        (("prompt",), ""), ((), ""),
    ],
)
def test_columns_and_what_they_mean(columns: tuple[str, ...], format_name: str) -> None:
    assert recognise(columns).format == format_name


def test_turns_of_openai_get_their_tags() -> None:
    mapped = recognise(("messages",))
    assert entry(mapped, {"messages": [{"role": "user", "content": "a"}]})["tags"]["role_tag"] == "role"
    assert "tags" not in entry(mapped, {"messages": [{"from": "human", "value": "a"}]})


def test_what_a_format_still_needs() -> None:
    assert missing(Mapped("pairs", {"prompt": "a"})) == ("chosen", "rejected")
    for item in FORMATS:
        assert missing(Mapped(item.name, dict.fromkeys(item.needed, "x"))) == ()
        assert BY_NAME[item.name].needed


def test_parquet(tmp_path: Path) -> None:
    rows = [{"instruction": f"n{n}", "turns": [{"role": "user", "content": "a"}]} for n in range(20)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    found = preview(tmp_path / "a.parquet", 3)
    assert (found.rows, found.count, found.columns) == (rows[:3], 20, ("instruction", "turns"))
    assert preview(tmp_path / "a.parquet", 0).count == 20


def test_files_that_no_entry_names(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    hidden = ("notes.txt", ".hidden.json", "dataset_info.json", "deep/er/d.json")
    for name in ("a.json", "b.csv", "deep/c.parquet", *hidden):
        (tmp_path / name).write_text("x")
    assert unlisted(tmp_path, ["a.json"]) == ["b.csv", "deep/c.parquet"]


def test_an_entry_is_added_and_the_old_file_kept(tmp_path: Path) -> None:
    info = tmp_path / "dataset_info.json"
    assert add_entry(tmp_path, "first", "a.json", {}) is None
    before = info.read_text()
    assert add_entry(tmp_path, "second", "b.json", {"ranking": True}) is None
    assert read_dataset_info(tmp_path).names == ("first", "second")
    assert (tmp_path / "dataset_info.json.1.old").read_text() == before
    taken = add_entry(tmp_path, "first", "c.json", {})
    assert taken is not None and taken.code == "data_taken"
    for bad in ("", "../x", "a/b", ".x", "a b"):
        refused = add_entry(tmp_path, bad, "c.json", {})
        assert refused is not None and refused.code == "data_name"
    info.write_text("{broken")
    refused = add_entry(tmp_path, "third", "c.json", {})
    assert refused is not None and refused.code == "datasets_syntax"
    assert info.read_text() == "{broken"
