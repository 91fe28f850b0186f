"""Texts of others inside Markdown. What Streamlit's front-end makes of them is in tests/e2e/test_hostile.py."""

from __future__ import annotations

import pytest

from lfdash.ui.shared.text import JOINER, markdown_safe


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plain words, 1.5 and a-b/c", "plain words, 1.5 and a-b/c"), ("a_b*c`d", "a\\_b\\*c\\`d"),
        ("[a](b) <c> {d}", "\\[a\\](b) \\<c\\> \\{d\\}"), ("$x$ #h :red[a] ~~b~~ a|b \\", None),
        (":material/home:", "\\:material\\/home\\:"), ("&lt;", "\\&lt;"),
        ("http://a.b", f"http\\://{JOINER}a.b"), ("www.a.b", f"www{JOINER}.a.b"), ("a@b.c", f"a{JOINER}@b.c"),
        ("a --flag", f"a -{JOINER}-flag"), ("a -> b", f"a -{JOINER}\\> b"), ("a <= b", f"a \\<{JOINER}= b"),
        ("- a\n1. b\n+ c", f"{JOINER}- a\n{JOINER}1. b\n{JOINER}+ c"),
    ],
)
def test_what_is_markup_is_escaped(text: str, safe: str | None) -> None:
    got = markdown_safe(text)
    assert got == safe or safe is None
    assert got.replace(JOINER, "").replace("\\\\", "\0").replace("\\", "").replace("\0", "\\") == text
