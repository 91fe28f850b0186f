"""Texts of others inside Markdown. What Streamlit's front-end makes of them is in tests/e2e/test_hostile.py."""

from __future__ import annotations

import pytest

from lfdash.engine.comparison import Subject
from lfdash.ui.compare.runs import names_of
from lfdash.ui.shared.text import JOINER, isolated, markdown_safe, t


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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("run \u8bad\u7ec3 \u00e9", "run \u8bad\u7ec3 \u00e9"), ("\u202ebidi", "\u2068\u202ebidi\u2069"),
        ("\u05e9\u05dc\u05d5\u05dd 1", "\u2068\u05e9\u05dc\u05d5\u05dd 1\u2069"),
        ("a\u2069\u2069\u202eb", "\u2068a\u202eb\u2069"),  # it may not end what isolates it
        ("a\u2067b", "\u2068a\u2067b\u2069\u2069"), ("\u2068\u202ea\u2069", "\u2068\u2068\u202ea\u2069\u2069"),
        ("\u202ea\nb", "\u2068\u202ea\u2069\n\u2068b\u2069"),
    ],
)
def test_a_name_turns_nothing_around_but_itself(text: str, shown: str) -> None:
    assert isolated(text) == markdown_safe(text) == shown


def test_every_text_isolates_what_is_put_into_it() -> None:
    name = "\u202ebidi"
    assert isolated(name) in t("ui.compare_drop", name=name)
    assert names_of([Subject("id", 0, name)]) == {"id": isolated(name)}
