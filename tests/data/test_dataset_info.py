"""dataset_info.json: what it lists, and which line of it is broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from lfdash.data.dataset_info import read_dataset_info


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
