"""`lfdash data NAME_OR_FILE`: format, entry, rows, usable rows; the rules themselves: tests/data/test_report.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.terminal import lfdash

KEYS = ["format", "entry", "rows", "usable", "left_out", "problems"]


def written(folder: Path, rows: list[object], name: str = "mine.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(rows))
    return path


def test_a_dataset_of_the_workspace(workspace: Path) -> None:
    said = lfdash("data", "demo_sft", "--json")
    assert (said.code, list(said.json)) == (0, KEYS)
    assert said.json == {
        "format": "alpaca", "entry": {"file_name": "demo_sft.json"}, "rows": 600, "usable": 600, "left_out": [],
        "problems": [],
    }


def test_a_file_that_has_no_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LFDASH_WORKSPACE", str(tmp_path / "gone"))  # it needs none
    path = written(tmp_path, [{"question": "q", "answer": "a"}, {"question": "q", "answer": None}])
    said = lfdash("data", path, "--json").json
    assert said["entry"] == {"file_name": "mine.json", "columns": {"prompt": "question", "response": "answer"}}
    assert (said["rows"], said["usable"]) == (2, 1)
    assert said["left_out"] == [{"reason": "no_response", "count": 1, "rows": [2], "what": ""}]
    words = lfdash("data", path)
    assert words.code == 0
    assert "Usable rows                 1\n1 row left out: no answer in text form (row 2)" in words.out


def test_turns_are_counted_too(workspace: Path) -> None:
    said = lfdash("data", "demo_chat", "--json").json
    assert (said["format"], said["rows"], said["usable"]) == ("sharegpt", 200, 200)


def test_what_is_not_known_is_null(workspace: Path) -> None:
    info = workspace / "data" / "dataset_info.json"
    entries = json.loads(info.read_text())
    info.write_text(json.dumps({**entries, "online": {"hf_hub_url": "a/b"}}))
    said = lfdash("data", "online", "--json").json
    assert (said["format"], said["rows"], said["usable"]) == ("alpaca", None, None)
    assert "Usable rows                 unknown" in lfdash("data", "online").out


def test_rows_that_are_left_out_are_named_with_their_reason(workspace: Path) -> None:
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    rows = [{"messages": turns}, {"messages": [{"role": "system", "content": "s"}, *turns]}]
    written(workspace / "data", rows)
    info = workspace / "data" / "dataset_info.json"
    tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    entry = {"file_name": "mine.json", "formatting": "sharegpt", "columns": {"messages": "messages"}, "tags": tags}
    info.write_text(json.dumps({"mine": entry}))
    said = lfdash("data", "mine")
    assert said.code == 0 and said.out.count("left out") == 1
    assert "1 row left out: role “system” has no tag in the entry (row 2)" in said.out
    (problem,) = lfdash("data", "mine", "--json").json["problems"]
    assert (problem["code"], problem["level"]) == ("data_left_out", "warning") and "1 of 2 rows" in problem["message"]


def test_for_a_stage(workspace: Path) -> None:
    said = lfdash("data", "demo_sft", "--stage", "dpo", "--json")
    assert said.code == 1
    (problem,) = said.json["problems"]
    assert list(problem) == ["argument", "level", "code", "message", "fix"]
    assert (problem["code"], problem["level"], problem["argument"], problem["fix"]) == (
        "dataset_unranked", "error", None, None,
    )
    assert said.json["usable"] == 0
    wrong = lfdash("data", "demo_sft", "--stage", "none")
    assert (wrong.code, wrong.out) == (2, "") and "sft" in wrong.err


def test_what_cannot_be_read(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("[")
    said = lfdash("data", tmp_path / "broken.json", "--json")
    assert (said.code, said.json["problems"][0]["code"], said.json["rows"]) == (1, "data_syntax", None)
    (workspace / "data" / "dataset_info.json").write_text("{")
    assert lfdash("data", "demo_sft", "--json").json["problems"][0]["code"] == "datasets_syntax"


def test_neither_a_dataset_nor_a_file(workspace: Path, tmp_path: Path) -> None:
    said = lfdash("data", "nope", "--json")
    assert (said.code, said.json["refused"]) == (2, "data_unknown")
    assert "demo_sft" in lfdash("data", "nope").err
    assert lfdash("data", "nope", "--workspace", tmp_path / "gone").code == 2


