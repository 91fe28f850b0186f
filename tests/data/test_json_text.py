"""JSON of others: every failure is a value that says where."""

from __future__ import annotations

import pytest

from lfdash.data.json_text import Broken, as_text, decode, entries, is_text, parse


def test_values_and_where_they_end() -> None:
    assert parse('{"a": [1, NaN]}')["a"][0] == 1
    assert decode('x[1], 2', 1) == ([1], 4)


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ('{"a":\n}', "syntax", 2), ("", "syntax", 1), ("[1] x", "syntax", 1), ("9" * 5000, "digits", 1),
        ("[" * 100_000, "deep", 1), ('{"a":' * 100_000, "deep", 1), ("-" + "9" * 5000, "digits", 1),
    ],
)
def test_failures(text: str, code: str, line: int) -> None:
    for found in (parse(text), decode(text, 0) if text != "[1] x" else parse(text)):
        assert isinstance(found, Broken)
        assert (found.code, found.line_in(text)) == (code, line) and found.reason


@pytest.mark.parametrize(
    ("text", "read", "key"),
    [
        (' { "a" : 1 ,\n"b": [2] } ', [("a", 1), ("b", [2])], None),
        ('{"a": 1, "b": ' + "9" * 5000 + ', "c": 3}', [("a", 1)], "b"),
        ('{"a": ' + "[" * 100_000, [], "a"),
        ("[1]", [], None), ("{}", [], None), ("", [], None), ('{"a"', [], None), ('{"a": 1, ', [("a", 1)], None),
        ('{"a": 1, 2', [("a", 1)], None), ('{"a": 1, "b', [("a", 1)], None),
    ],
)
def test_an_object_as_far_as_it_can_be_read(text: str, read: list[tuple[str, object]], key: str | None) -> None:
    assert entries(text) == (read, key)


def test_halves_of_characters() -> None:
    half, pair = parse('["\\ud800", "\\ud83d\\ude00"]')
    assert is_text(pair) and not is_text(half)
    assert (as_text(half), as_text(pair)) == ("\\ud800", "😀")
