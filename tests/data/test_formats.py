"""What the columns of a data file mean, and the entry that says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

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
