"""Lines of a log as they can be shown: text without colours, without secrets, and without anything that a browser or a
terminal would act upon."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

Redact = Callable[[str], str]

MOST = 4000  # characters of a line that are shown
LOOKED_AT = 1 << 15  # bytes of a line that are looked at: what is shown and searched
HIDDEN = "•••"
# colours, moves of the cursor, titles of a window
ESCAPE = re.compile(r"\x1b(?:\[[0-?]{0,40}[ -/]{0,9}[@-~]|\][^\x07\x1b\n]{0,999}(?:\x07|\x1b\\)|[@-Z\\^_=>])")
# what is not seen, or turns the direction of what is: control characters, and marks of direction and of lines
UNSEEN = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")
# the same without control characters, and all that has no width: joiners, soft hyphens, tags (Unicode's category Cf)
INVISIBLE = re.compile(
    "[\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
TAB = 8
# the end of a line that is still written may be half of a secret
BEGUN = re.compile(r"[\w+/=.~-]{6,}$")
LONGEST_WORD = 4096  # characters at the end of a line that was cut; a secret is not longer


def plain_text(raw: bytes, most: int = LOOKED_AT) -> str:
    """What a line says, without its end and without colours. most: bytes of it."""
    text = raw[:most].rstrip(b"\r\n").decode("utf-8", "replace")
    return ESCAPE.sub("", text) if "\x1b" in text else text


def texts(lines: Sequence[bytes], redact: Redact) -> list[str]:
    """What lines say, as it can be shown; LOOKED_AT bytes of each."""
    plain = [plain_text(raw) for raw in lines]
    hidden = without_secrets(plain, redact)
    return [harmless(cut_off(text) if is_cut(raw) else text) for raw, text in zip(lines, hidden, strict=True)]


def is_cut(raw: bytes) -> bool:
    """Whether a line has, or had, more bytes than are looked at."""
    return len(raw) >= LOOKED_AT and raw[LOOKED_AT - 1] not in b"\r\n"


def cut_off(text: str) -> str:
    """A line that was cut, without its last word, which may be the first half of a secret."""
    head, end = text[:-LONGEST_WORD], text[-LONGEST_WORD:]
    words = end.rstrip().rsplit(maxsplit=1)
    return f"{head}{end[: end.rindex(words[-1])] if len(words) > 1 else ''}…" if words else text


def without_secrets(plain: list[str], redact: Redact) -> list[str]:
    """Lines without secrets, those of several lines too."""
    whole = "\n".join(plain)
    if redact(whole) == whole:
        return plain
    hidden = [redact(text) for text in plain]
    whole = "\n".join(hidden)
    return hidden if redact(whole) == whole else [HIDDEN] * len(plain)


def harmless(text: str) -> str:
    """A line in which everything can be seen: a control character as its picture, other unseen ones by their number."""
    text = UNSEEN.sub(visible, text.rstrip()) if not text.isascii() or not text.isprintable() else text.rstrip()
    return text.expandtabs(TAB) if "\t" in text else text


def visible(found: re.Match[str]) -> str:
    """What stands for a character that is not seen."""
    code = ord(found[0])
    if code == 0x7F:
        return "\u2421"
    return chr(0x2400 + code) if code < 0x20 else f"⟨U+{code:04X}⟩"


def begun(text: str) -> str:
    """A line that has no end yet, without a word that may go on."""
    return BEGUN.sub("…", text)
