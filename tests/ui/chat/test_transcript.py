"""What is told of an answer."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from lfdash.engine.chat.conversation import Answer, Conversation, Turn
from lfdash.engine.chat_data import exported
from lfdash.ui.chat.transcript import MOST_DRAWN, failed_words, figures, shortened
from lfdash.ui.shared.text import pair


def test_a_reason_without_words_is_told_by_its_code() -> None:
    later = Answer("0123456789ab", "chat", state="failed", code="of_a_later_version")
    assert "of_a_later_version" in failed_words(later)
    assert "401" not in failed_words(Answer("0123456789ab", "chat", state="failed", code="chat_denied"))


SAID = Answer("0123456789ab", "chat", state="done", text="x" * 400, first_s=0.2, seconds=4.2)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "4.2 s · 400 characters, 100/s"),
        ({"text": "No", "seconds": 0.203}, "0.2 s · 2 characters"),  # 667 a second, by chance
        ({"seconds": 0.6}, "0.6 s · 400 characters"),
        ({"text": "x" * 39}, "4.2 s · 39 characters"),
        ({"prompt_tokens": 20, "answer_tokens": 42}, "4.2 s · 42 tokens for 20 · 10.0 tokens/s"),
        ({"prompt_tokens": 20, "answer_tokens": 9}, "4.2 s · 9 tokens for 20"),
        ({"prompt_tokens": 20, "answer_tokens": 42, "seconds": 0.4}, "0.4 s · 42 tokens for 20"),
    ],
)
def test_only_what_is_long_enough_has_a_rate(changes: dict[str, Any], told: str) -> None:
    assert figures(replace(SAID, **changes)) == told


def test_the_export_has_the_tokens_that_were_told() -> None:
    counted = replace(SAID, prompt_tokens=20, answer_tokens=42)
    talk = Conversation("0123456789ab", turns=(Turn("a", answers=(counted,)), Turn("b", answers=(SAID,))))
    (row,) = map(json.loads, exported(talk, talk.columns).splitlines())
    assert row["usage"] == [{"prompt_tokens": 20, "completion_tokens": 42}, None]
    streamed = replace(talk, turns=talk.turns[1:])
    assert set(json.loads(exported(streamed, talk.columns))) == {"conversations"}


def test_a_very_long_text_is_drawn_shortened() -> None:
    assert shortened("x" * MOST_DRAWN) == ("x" * MOST_DRAWN, 0)
    drawn, left = shortened("a" * 2_500_000 + "z" * 2_500_000)
    assert left == 5_000_000 - MOST_DRAWN and len(drawn) < MOST_DRAWN + 20
    assert (drawn.count("a"), drawn.count("z")) == (MOST_DRAWN // 2, MOST_DRAWN // 2)


def test_a_chat_of_which_nothing_is_known_has_no_colon() -> None:
    assert (pair("chat-1", ""), pair("chat-1", "demo-llama")) == ("chat-1", "chat-1: demo-llama")
