"""What is told of an answer."""

from __future__ import annotations

from lfdash.engine.chat.conversation import Answer
from lfdash.ui.chat.transcript import failed_words


def test_a_reason_without_words_is_told_by_its_code() -> None:
    later = Answer("0123456789ab", "chat", state="failed", code="of_a_later_version")
    assert "of_a_later_version" in failed_words(later)
    assert "401" not in failed_words(Answer("0123456789ab", "chat", state="failed", code="chat_denied"))
