"""What the columns of a data file mean, and the entry that says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lfdash.data.files import data_files
from lfdash.data.formats import BY_NAME, FORMATS, Mapped, entry, missing, recognise
from lfdash.data.survey import survey, survey_of
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
        found = survey(data_files(tmp_path / listed["file_name"]))
        assert found is not None and found.problem is None
        mapped = recognise(found)
        assert without_standard(entry(mapped, found)) == without_standard(entry_of(entries[name]))
        kinds[name] = (mapped.format, found.rows)
    assert kinds == {
        "demo_sft": ("alpaca", 600), "demo_chat": ("sharegpt", 200), "demo_pairs": ("chat_pairs", 200),
        "demo_kto": ("chat_kto", 200), "demo_pt": ("text", 150),
    }


Q, A = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
CHAT = [Q, A]
USUAL: dict[str, Any] = {
    "messages": CHAT, "conversations": CHAT, "label": True, "images": ["a.png"], "chosen": "a", "rejected": "b",
}


@pytest.mark.parametrize(
    ("row", "format_name"),
    [
        (("instruction", "output"), "alpaca"), (("messages",), "sharegpt"), (("conversations", "images"), "sharegpt"),
        (("text",), "text"), (("instruction", "chosen", "rejected"), "pairs"), (("messages", "label"), "chat_kto"),
        (("prompt", "completion", "label"), "kto"), (("question", "answer"), "alpaca"), (("a", "b"), ""),
        (("input", "output"), "alpaca"), (("query", "response"), "alpaca"), ((), ""), (("prompt", "more"), ""),
        ({"messages": CHAT, "chosen": A, "rejected": A}, "chat_pairs"),
        # their values say that they are something else than their names
        ({"prompt": "q", "chosen": [A], "rejected": [A]}, ""), ({"messages": "user: hi", "id": "1"}, ""),
        ({"messages": CHAT, "chosen": "a", "rejected": "b"}, "sharegpt"),
        ({"prompt": "q", "completion": "a", "label": "true"}, "alpaca"),
        ({"prompt": "q", "completion": "a", "label": 1}, "alpaca"),
        ({"instruction": "q", "output": {"text": "a"}}, ""), ({"question": "q", "answer": 4}, ""),
        ({"thread": CHAT, "id": 3}, "sharegpt"), ({"text": "a", "label": "good"}, "text"),
    ],
)
def test_columns_and_what_they_hold(row: tuple[str, ...] | dict[str, Any], format_name: str) -> None:
    if isinstance(row, tuple):
        row = {name: USUAL.get(name, "text") for name in row}
    assert recognise(survey_of([row, row])).format == format_name


def test_columns_that_are_not_what_they_are_called_are_named() -> None:
    row = {"prompt": "q", "completion": "a", "label": "true", "chosen": [A], "answer": 3}
    assert set(recognise(survey_of([row])).odd) == {
        ("kto_tag", "label", "text"), ("chosen", "chosen", "turns"), ("response", "answer", "number"),
    }
    assert recognise(survey_of([{"text": "a", "label": "good"}])).odd == ()  # a mark of nothing


@pytest.mark.parametrize(
    ("row", "columns"),
    [
        ({"instruction": "q", "input": "m", "output": "a"}, {"prompt": "instruction", "query": "input",
                                                              "response": "output"}),
        ({"input": "q", "output": "a"}, {"prompt": "input", "response": "output"}),
        ({"instruction": "q", "output": "a", "history": "earlier"}, {"prompt": "instruction", "response": "output"}),
        ({"instruction": "q", "output": "a", "history": [["a", "b"]], "system": "s"},
         {"prompt": "instruction", "response": "output", "history": "history", "system": "system"}),
        ({"question": "q", "context": "c", "answer": "a", "system": None},
         {"prompt": "question", "query": "context", "response": "answer"}),
    ],
)
def test_each_column_has_one_role(row: dict[str, Any], columns: dict[str, str]) -> None:
    assert recognise(survey_of([row])).columns == columns


def entry_for(*rows: dict[str, Any]) -> dict[str, Any]:
    found = survey_of(rows)
    return entry(recognise(found), found)


def turns(*words: str, role: str = "role", content: str = "content") -> dict[str, Any]:
    return {"messages": [{role: word, content: "x"} for word in words]}


@pytest.mark.parametrize(
    ("words", "tags"),
    [
        (("user", "assistant"), {}),
        (("system", "user", "assistant"), {}),
        (("human", "gpt"), {"user_tag": "human", "assistant_tag": "gpt"}),
        (("developer", "user", "assistant"), {"system_tag": "developer"}),
        (("user", "assistant", "tool", "assistant"), {"observation_tag": "tool"}),
        (("user", "function", "observation", "assistant"),
         {"observation_tag": "observation", "function_tag": "function"}),
        (("user", "assistant", "function", "assistant"), {"observation_tag": "function"}),
        (("user", "function_call", "observation", "assistant"),
         {"observation_tag": "observation", "function_tag": "function_call"}),
        (("Anna", "Boris", "Anna", "Boris"), {"user_tag": "Anna", "assistant_tag": "Boris"}),
    ],
)
def test_every_word_of_the_turns_has_a_tag(words: tuple[str, ...], tags: dict[str, str]) -> None:
    openai = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant",
              "system_tag": "system"}
    assert entry_for(turns("user", "assistant") if not tags else turns(*words), turns(*words))["tags"] == openai | tags


def test_words_of_later_rows_count_too() -> None:
    made = entry_for(*[turns("user", "assistant")] * 60, turns("user", "call", "tool", "assistant"))
    assert (made["tags"]["observation_tag"], made["tags"]["function_tag"]) == ("tool", "call")


def test_sharegpts_own_words_need_no_tags() -> None:
    assert "tags" not in entry_for(turns("system", "human", "gpt", role="from", content="value"))
    made = entry_for(turns("user", "assistant", role="from", content="value"))
    assert made["tags"] == {"role_tag": "from", "content_tag": "value", "user_tag": "user",
                            "assistant_tag": "assistant", "system_tag": "system"}


CALL = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}
RESULT = {"role": "tool", "content": "r"}


@pytest.mark.parametrize(
    ("row", "formatting"),
    [
        ({"messages": [Q, A]}, "sharegpt"), ({"messages": [Q, CALL, RESULT, A]}, "openai"),
        ({"messages": [Q, A, RESULT, RESULT, A]}, "openai"), ({"messages": [Q, A], "tools": [{"name": "f"}]}, "openai"),
        ({"messages": [Q, A], "tools": "[]"}, "sharegpt"),
    ],
)
def test_openais_formatting_only_where_it_must_be(row: dict[str, Any], formatting: str) -> None:
    """It puts words of its own into the system prompts."""
    made = entry_for(row)
    assert made["formatting"] == formatting
    assert ("function_tag" in made["tags"]) == (CALL in row["messages"])


def test_what_a_format_still_needs() -> None:
    assert missing(Mapped("pairs", {"prompt": "a"})) == ("chosen", "rejected")
    for item in FORMATS:
        assert missing(Mapped(item.name, dict.fromkeys(item.needed, "x"))) == ()
        assert BY_NAME[item.name].needed
