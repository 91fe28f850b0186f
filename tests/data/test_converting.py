"""Why a row is left out, in a word; whether it is, is compared with LLaMA-Factory in
tests/llamafactory/test_converting.py."""

from __future__ import annotations

from typing import Any

import pytest

from lfdash.data.attributes import attributes
from lfdash.data.converting import Converter, Verdict

TAGS = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant",
        "system_tag": "system", "observation_tag": "tool", "function_tag": "call"}


def verdict(words: str, formatting: str = "sharegpt", **more: Any) -> Verdict | None:
    """What becomes of a conversation of these roles."""
    entry = {"formatting": formatting, "columns": {"messages": "m", **{key: key for key in more}}, "tags": TAGS}
    turns = [{"role": word, "content": '{"name": "f", "arguments": {}}'} for word in words.split()]
    return Converter(attributes(entry), "sft").reason({"m": turns, **more})


@pytest.mark.parametrize("formatting", ["sharegpt", "openai"])
@pytest.mark.parametrize(
    ("words", "code", "what"),
    [
        ("user system assistant", "system_later", "system"), ("user assistant system", "system_later", "system"),
        ("assistant user", "turn_order", "assistant"), ("user user assistant", "turn_order", "user"),
        ("system user", "ends_with_question", ""), ("", "no_turns_left", ""), ("system", "no_turns_left", ""),
    ],
)
def test_why_a_conversation_is_left_out(formatting: str, words: str, code: str, what: str) -> None:
    assert verdict(words, formatting) == Verdict(code, what)


@pytest.mark.parametrize("words", ["user assistant", "system user assistant", "user call tool assistant"])
def test_conversations_that_are_taken(words: str) -> None:
    assert verdict(words) is None and verdict(words, "openai") is None


def test_what_ends_llamafactory() -> None:
    assert verdict("user critic") == Verdict("role_untagged", "critic")
    assert verdict("user critic", "openai") == Verdict("role_unknown", "critic", stops=True)
    assert verdict("user assistant", system={"a": 1}) == Verdict("system_not_text", "object", stops=True)
    assert verdict("user assistant", tools="{") == Verdict("tools_not_text", "JSON", stops=True)
    assert verdict("user assistant", tools=[{"name": "f"}]) == Verdict("tools_not_text", "list", stops=True)
    assert verdict("user assistant", "openai", tools=[{"name": "f"}]) is None
