"""dataset_info.json: what it lists, which line of it is broken, and entries that lose nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lfdash.data.cache import DataCache
from lfdash.data.dataset_info import (
    Unlisted,
    add_entry,
    read_dataset_info,
    replace_entry,
    unlisted,
    without_source,
)
from lfdash.data.report import report_entry
from lfdash.locales import available, problem_in


def test_entries_in_order_with_their_ranking(tmp_path: Path) -> None:
    (tmp_path / "dataset_info.json").write_text('{"b": {"ranking": true}, "a": {"file_name": "a.json"}}')
    found = read_dataset_info(tmp_path)
    assert found.names == ("b", "a")
    assert found.ranking == {"b": True, "a": False}
    assert found.problem is None


@pytest.mark.parametrize(
    ("text", "code", "params"),
    [
        ('{\n "a": {},\n "b": {"x": }\n}', "datasets_syntax", {"line": 3}),
        ("[]", "datasets_shape", {"kind": "list"}),
        ("\xff".encode("latin-1"), "datasets_unreadable", {}),
        (None, "datasets_missing", {}),
        ('{"a": ' + "[" * 100_000, "datasets_deep", {"name": "a"}),
        ('{"a": {"n": ' + "9" * 5000 + "}}", "datasets_digits", {"name": "a"}),
        ("[" * 100_000, "datasets_deep", {"name": "–"}),
    ],
)
def test_broken_files(tmp_path: Path, text: str | bytes | None, code: str, params: dict[str, object]) -> None:
    path = tmp_path / "dataset_info.json"
    if text is not None:
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    found = read_dataset_info(tmp_path)
    assert found.names == ()
    assert found.problem is not None
    assert found.problem.code == code
    assert {key: found.problem.params[key] for key in params} == params
    assert found.problem.params["file"] == str(path)


def test_a_folder_that_no_system_call_takes() -> None:
    found = read_dataset_info(Path("data\x00"))
    assert found.problem is not None
    assert found.problem.code == "datasets_missing"


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ('"a": "file.json"', "datasets_entry"), ('"a": {"columns": []}', "datasets_value"),
        ('"a": {"columns": null}', "datasets_value"), ('"a": {"formatting": 5}', "datasets_value"),
        ('"a": {"tags": [1]}', "datasets_value"), ('"a": {"file_name": ["a"]}', "datasets_value"),
        ('"a": {"file_name": null}', "datasets_value"), ('"\\ud800": {}', "datasets_half"),
        ('"a": {"file_name": "\\ud800.json"}', "datasets_half"),
        ('"a": {"x": ' + "[" * 99 + "]" * 99 + "}", "datasets_deep"),
    ],
)
def test_an_entry_that_cannot_be_used_leaves_the_others(tmp_path: Path, entry: str, code: str) -> None:
    (tmp_path / "dataset_info.json").write_text(f'{{"one": {{"file_name": "1.json"}}, {entry}, "two": {{}}}}')
    found = read_dataset_info(tmp_path)
    assert found.problem is None and found.names == ("one", "two") == tuple(found.entries)
    (problem,) = found.unfit.values()
    assert problem.code == code and problem.params["file"] == str(tmp_path / "dataset_info.json")
    for language in available():
        problem_in(language, problem).encode()
    assert set(found.unfit) == ({"\\ud800"} if entry.startswith('"\\') else {"a"})


def test_an_entry_that_says_no_place_of_its_rows_is_told(tmp_path: Path) -> None:
    entries = {"none": {"subset": ["a"]}, "online": {"ms_hub_url": "a/b"}, "file": {"file_name": "a.json"}}
    (tmp_path / "dataset_info.json").write_text(json.dumps(entries))
    assert [name for name, entry in entries.items() if without_source(name, entry)] == ["none"]
    cache = DataCache(tmp_path)
    found = {name: cache.usable(".", name, "sft") for name in ("none", "online", "nobody")}
    assert found["online"] is found["nobody"] is None and found["none"] is not None and found["none"].found is not None
    (problem,) = found["none"].found.problems
    assert (problem.code, problem.level) == ("data_no_source", "error")
    assert all("dataset_info.json" in problem_in(language, problem) for language in available())
    assert report_entry(None, "none", entries["none"]).problems[0] == problem


def test_what_comes_from_elsewhere_needs_no_file(tmp_path: Path) -> None:
    (tmp_path / "dataset_info.json").write_text('{"a": {"hf_hub_url": "a/b", "file_name": null}}')
    assert read_dataset_info(tmp_path).names == ("a",)


def test_what_can_be_read_of_a_broken_file_is_listed(tmp_path: Path) -> None:
    """The page shows it; LLaMA-Factory reads nothing of it, so the problem stays."""
    (tmp_path / "dataset_info.json").write_text('{"one": {"file_name": "1.json"} , "two" : [[' + "9" * 5000)
    found = read_dataset_info(tmp_path)
    assert found.names == ("one",) and found.problem is not None and found.problem.params["name"] == "two"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_plain_file_is_refused_at_once(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "dataset_info.json")
    for found in (read_dataset_info(tmp_path), read_dataset_info(tmp_path, tmp_path / "dataset_info.json")):
        assert found.problem is not None and found.problem.code == "datasets_unreadable"
    refused = add_entry(tmp_path, "name", "a.json", {})
    assert refused is not None and refused.code == "datasets_unreadable"


def test_a_link_is_followed_only_by_whoever_has_not_followed_it(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text('{"a": {}}')
    (tmp_path / "dataset_info.json").symlink_to("other.json")
    assert read_dataset_info(tmp_path).names == ("a",)
    assert read_dataset_info(tmp_path, tmp_path / "other.json").names == ("a",)
    assert read_dataset_info(tmp_path, tmp_path / "dataset_info.json").problem is not None


def test_halves_of_characters_of_other_entries_are_kept(tmp_path: Path) -> None:
    (tmp_path / "dataset_info.json").write_text('{"\\ud800": {}, "é": {}}')
    assert add_entry(tmp_path, "new", "a.json", {}) is None
    text = (tmp_path / "dataset_info.json").read_text()
    assert text.isascii() and list(json.loads(text)) == ["\ud800", "é", "new"]


def test_a_name_that_no_entry_can_hold(tmp_path: Path) -> None:
    (tmp_path / "a.json").touch()
    (tmp_path / os.fsdecode(b"b\xff.json")).touch()
    assert unlisted(tmp_path, ()) == Unlisted(("a.json",), ("b\\udcff.json",))


def test_files_that_no_entry_names(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    hidden = ("notes.md", ".hidden.json", "dataset_info.json", "deep/er/d.json")
    for name in ("a.json", "b.csv", "deep/c.parquet", *hidden):
        (tmp_path / name).write_text("x")
    assert unlisted(tmp_path, ["a.json"]) .names == ("b.csv", "deep/c.parquet")


def test_a_folder_of_data_is_one_dataset(tmp_path: Path) -> None:
    for name in ("books/a.txt", "books/b.txt", "mixed/a.txt", "mixed/b.json", "one/a.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    found = unlisted(tmp_path, []).names
    assert [name for name in found if "." not in name] == ["books"]
    assert "books" not in unlisted(tmp_path, ["books/"]).names


def test_an_entry_is_replaced_and_the_old_file_kept(tmp_path: Path) -> None:
    info = tmp_path / "dataset_info.json"
    info.write_text(json.dumps({"a": {"file_name": "a.json"}, "b": {"file_name": "b.json"}}))
    assert replace_entry(tmp_path, "a", {"file_name": "a.json", "formatting": "sharegpt"}) is None
    assert json.loads(info.read_text()) == {
        "a": {"file_name": "a.json", "formatting": "sharegpt"}, "b": {"file_name": "b.json"},
    }
    assert json.loads((tmp_path / "dataset_info.json.1.old").read_text())["a"] == {"file_name": "a.json"}
    gone = replace_entry(tmp_path, "c", {})
    assert gone is not None and gone.code == "data_gone" and "c" not in json.loads(info.read_text())


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
