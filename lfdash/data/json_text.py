"""JSON that somebody else wrote, read with a value for every failure."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

DECODER = json.JSONDecoder()


@dataclass(frozen=True)
class Broken:
    """Why a text cannot be read.

    code: "syntax" (reason says which), "digits" (a number of more digits than Python, and so LLaMA-Factory, reads),
    "deep" (brackets within brackets without end). reason: English, for people. place: characters before the
    mistake, 0 where that is not known.
    """

    code: str
    reason: str = ""
    place: int = 0

    def line_in(self, text: str) -> int:
        """The line of the mistake in the text that was read; the first is 1."""
        return text.count("\n", 0, self.place) + 1

    def column_in(self, text: str) -> int:
        """Its place in that line; the first is 1."""
        return self.place - text.rfind("\n", 0, self.place)


def parse(text: str) -> Any | Broken:
    """The value that a JSON text is."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError, MemoryError) as error:
        return broken(error)


def decode(text: str, place: int) -> tuple[Any, int] | Broken:
    """The value that begins at a place of a text, which must not be blank there, and the place where it ends."""
    try:
        return DECODER.raw_decode(text, place)
    except (ValueError, RecursionError, MemoryError) as error:
        return broken(error)


def broken(error: Exception) -> Broken:
    """What an exception of Python's reader means."""
    if isinstance(error, json.JSONDecodeError):
        return Broken("syntax", error.msg, error.pos)
    if isinstance(error, RecursionError):
        return Broken("deep", "nested too deeply")
    if isinstance(error, ValueError):  # the only other one: int() of a text that is too long
        return Broken("digits", f"a number with more than {sys.get_int_max_str_digits():,} digits")
    return Broken("syntax", "not enough memory")


def entries(text: str) -> tuple[list[tuple[str, Any]], str | None]:
    """The (key, value) of a JSON object as far as it can be read, and the key of the value that cannot be.

    The key is None when the object can be read to its end, or when it is not one of its values that is broken.
    """
    read: list[tuple[str, Any]] = []
    place = after(text, 0, "{")
    while place is not None and text[place : place + 1] == '"':
        key = decode(text, place)
        start = None if isinstance(key, Broken) else after(text, key[1], ":")
        if isinstance(key, Broken) or start is None:
            break
        value = decode(text, start)
        if isinstance(value, Broken):
            return read, key[0]
        read.append((key[0], value[0]))
        place = after(text, value[1], ",")
    return read, None


def after(text: str, place: int, sign: str) -> int | None:
    """The place of the first character that is not blank behind a sign, which is expected next; None without it."""
    place = next_sign(text, place)
    return next_sign(text, place + 1) if text[place : place + 1] == sign else None


def next_sign(text: str, place: int) -> int:
    """The next place that is not blank; the text's length at its end."""
    while place < len(text) and text[place] in " \t\n\r":
        place += 1
    return place


def is_text(value: str) -> bool:
    """Whether a string can be shown and written. JSON can name half of a character (`\\ud800`), which cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def as_text(value: str) -> str:
    """A string that can be shown: halves of characters as JSON writes them (`\\ud800`)."""
    return value.encode("utf-8", "backslashreplace").decode()
