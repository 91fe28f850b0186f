"""dataset_info.json: what it lists, which line of it is broken, and entries that lose nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from lfdash.data.dataset_info import add_entry, read_dataset_info, unlisted


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
        ("[]", "datasets_shape", {"reason": "list"}),
        ('{"a": "file.json"}', "datasets_entry", {"name": "a"}),
        ("\xff".encode("latin-1"), "datasets_unreadable", {}),
        (None, "datasets_missing", {}),
        ('{"a": ' + "[" * 100_000, "datasets_unreadable", {}),
        ('{"a": {"n": ' + "9" * 5000 + "}}", "datasets_unreadable", {}),
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
    assert found.problem.code == "datasets_unreadable"


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
