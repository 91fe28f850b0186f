"""What a line is shown as: nothing in it acts on a browser, and no secret of any line or length stays."""

from __future__ import annotations

import pytest

from lfdash.runs.output.shown import HIDDEN, LOOKED_AT, begun, harmless, plain_text, texts
from lfdash.supervisor.mask import redactor

SECRET = "hf_AbCdEfGhIjKlMnOpQrStUvWxYz012345"


@pytest.mark.parametrize(
    ("raw", "want"),
    [
        (b"\x1b[1;31mred\x1b[0m text\r\n", "red text"),
        (b"\x1b]0;a title\x07said\n", "said"),
        (b"a\0b\x07c\x7f\n", "a␀b␇c␡"),
        ("pay \u202e001\u202c now\n".encode(), "pay ⟨U+202E⟩001⟨U+202C⟩ now"),
        ("one\u2028two\u0085\ufeff\n".encode(), "one⟨U+2028⟩two⟨U+0085⟩⟨U+FEFF⟩"),
        ("中文 עברית 👩\u200d💻\n".encode(), "中文 עברית 👩\u200d💻"),
        (b"\xff\xfe bad\n", "\ufffd\ufffd bad"),
        (b"a\tb  \n", "a       b"),
        (b"<script>alert(1)</script>\n", "<script>alert(1)</script>"),
    ],
)
def test_everything_in_it_can_be_seen(raw: bytes, want: str) -> None:
    assert harmless(plain_text(raw)) == want


def test_a_secret_is_hidden_in_whichever_line() -> None:
    hide = redactor([("HF_TOKEN", SECRET)])
    shown = texts([b"token " + SECRET.encode() + b" end\n", b"nothing\n"], hide)
    assert shown == ["token •••HF_TOKEN end", "nothing"]
    assert texts([b"nothing\n", b"more\n"], hide) == ["nothing", "more"]


def test_a_secret_of_several_lines_is_hidden() -> None:
    """Its lines are too short to be known by themselves."""
    hide = redactor([("KEY", "abc\ndef\nghi")])
    assert texts([b"abc\n", b"def\n", b"ghi\n"], hide) == [HIDDEN] * 3


def test_half_a_secret_at_the_end_of_a_line_that_is_written() -> None:
    assert begun(f"token {SECRET[:20]}") == "token …"
    assert begun(" 12%|# | 3/25 [00:01<00:09, 2.3it/s]") == " 12%|# | 3/25 [00:01<00:09, 2.3it/s]"


@pytest.mark.parametrize("before", [b"x " * LOOKED_AT, b"\x1b[31m" * LOOKED_AT, b"y" * 9 + b" y" * LOOKED_AT])
@pytest.mark.parametrize("inside", [1, 5, 9, len(SECRET) - 1, len(SECRET), len(SECRET) + 1])
def test_a_secret_at_which_a_line_is_cut_is_not_shown_in_part(before: bytes, inside: int) -> None:
    def redact(text: str) -> str:
        return text.replace(SECRET, HIDDEN)

    line = before[: LOOKED_AT - inside - 1] + b" " + SECRET.encode() + b" and more\n"
    for raw in (line, line[:LOOKED_AT]):
        (shown,) = texts([raw], redact)
        assert not any(SECRET[:count] in shown for count in range(2, len(SECRET))) and shown.endswith("…")


def test_a_line_that_fits_is_whole() -> None:
    for end in (b"\n", b"\r"):
        assert texts([b"a " * (LOOKED_AT // 2 - 1) + b"b" + end], str) == ["a " * (LOOKED_AT // 2 - 1) + "b"]
    assert texts([b"b" * LOOKED_AT], str) == ["b" * (LOOKED_AT - 4096) + "…"] and texts([b"b" * 9], str) == ["b" * 9]
