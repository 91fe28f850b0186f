"""A model's Markdown has no link, image, reference, HTML or directive left; blocks of code stay as they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from lfdash.ui.chat.untrusted import BLANK, harmless, parts
from tests.support import FIXTURES

READER = MarkdownIt("commonmark").enable("table")
HOSTILE = (FIXTURES / "hostile_answer.md").read_text(encoding="utf-8")
SIGNS = [*"[]()!:<>^`a \n\\", "http://evil.example/i.png", "&#91;", "\\<a>"]


def tokens(text: str) -> list[tuple[str, str, str]]:
    """(type, address, shown text) of everything that a reader of Markdown would load or make clickable."""
    found = []
    for block in READER.parse(text):
        children = block.children or []
        for number, token in enumerate(children):
            if token.type in ("image", "link_open", "html_inline"):
                address = str(token.attrs.get("src") or token.attrs.get("href") or "")
                shown = children[number + 1].content if number + 1 < len(children) else ""
                found.append((token.type, address, shown))
        if block.type == "html_block":
            found.append((block.type, "", block.content))
    return found


def test_the_hostile_answer_is_hostile() -> None:
    kinds = {kind for kind, _, _ in tokens(HOSTILE)}
    assert {"image", "link_open", "html_block"} <= kinds


def test_nothing_of_it_is_loaded_or_hidden() -> None:
    for part in parts(HOSTILE):
        if not part.code:
            assert tokens(part.text) == []


@given(st.lists(st.sampled_from(SIGNS), max_size=30).map("".join))
def test_no_text_becomes_an_image_a_link_or_html(text: str) -> None:
    for part in parts(text):
        assert part.code or tokens(part.text) == []


@pytest.mark.parametrize(
    "text",
    [":|red[stop]", ":|blue-badge[Finished]", ":|material/delete:", ":|:|a", "x:|a{b}", "a :|red b", "12:30 a:b http://x"],
)
def test_directives_of_streamlit_are_parted(text: str) -> None:
    assert harmless(text.replace("|", "")) == text.replace("|", BLANK)


def test_blocks_of_code_are_parts_of_their_own() -> None:
    text = "see\n```python\nx = a[0](b)\n```\nand\n~~~\nopen"
    found = [(part.text, part.code, part.language) for part in parts(text)]
    assert found == [("see", False, ""), ("x = a[0](b)", True, "python"), ("and", False, ""), ("open", True, "")]


def test_plain_words_stay_as_they_are() -> None:
    text = "# Title: $\\frac{1}{2} x[0]$\n\n- one **two** `three` 5 > 4\n\n| a | b |\n|---|---|\n| 1 | 2 |"
    assert [part.text for part in parts(text)] == [text]
