"""The eye beside Preview: what the model sees of the form's data, by the real LLaMA-Factory."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Server, drawn

pytestmark = pytest.mark.e2e
MINUTE = 60_000  # ms


def test_the_eye_shows_tokens_and_what_of_them_is_trained_on(page: Page, server: Server) -> None:
    page.click(".st-key-sees_open button")
    dialog = page.get_by_role("dialog")
    tokens = dialog.locator(".lf-sees:not(.key)")
    expect(tokens.locator("i.trained").first).to_be_visible(timeout=3 * MINUTE)
    drawn(page)
    trained = "".join(tokens.locator("i.trained").all_inner_texts())
    masked = "".join(tokens.locator("i:not(.trained):not(.cut)").all_inner_texts())
    assert len(tokens.locator("i.trained").all()) < len(tokens.locator("i").all())
    expect(tokens.locator("i.trained").first).to_have_attribute("title", re.compile(r"\d+"))
    dialog.get_by_text("Conversation", exact=True).click()
    drawn(page)
    said = tokens.locator(".talk").all_inner_texts()
    assert said, "as people read it"
    answer = next(text for text in reversed(said) if text.strip())
    asked = next(text for text in said if text.strip() and text != answer)
    assert "".join(answer.split())[:12] in "".join(trained.split()), "the answer is what is trained on"
    assert "".join(asked.split())[:12] in "".join(masked.split()), "the question is masked"
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
