"""What differs between two texts: it gives both back, keeps as much as there is, and takes its time for nothing."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfdash.runs.compare import words
from lfdash.runs.compare.words import Piece, common, difference, middle

TEXTS = st.one_of(st.text(alphabet="ab c\n，你好.1", max_size=40), st.text(max_size=20))


def side(pieces: Sequence[Piece], without: str) -> str:
    return "".join(text for kind, text in pieces if kind != without)


@given(TEXTS, TEXTS)
def test_both_texts_can_be_read_in_the_pieces(before: str, after: str) -> None:
    pieces = difference(before, after)
    assert side(pieces, "added") == before and side(pieces, "removed") == after
    assert all(text for _, text in pieces)
    assert all(pieces[place][0] != pieces[place + 1][0] for place in range(len(pieces) - 1))


@given(TEXTS)
def test_a_text_does_not_differ_from_itself(text: str) -> None:
    assert difference(text, text) == ([("same", text)] if text else [])


def longest_common(a: Sequence[str], b: Sequence[str]) -> int:
    """The slow way: the table of all beginnings."""
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, one in enumerate(a):
        for j, other in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if one == other else max(table[i][j + 1], table[i + 1][j])
    return table[len(a)][len(b)]


TOKENS = st.lists(st.sampled_from("abcd"), max_size=14)


@given(TOKENS, TOKENS)
def test_as_much_stays_as_can(old: list[str], new: list[str]) -> None:
    pieces = middle(old, new)
    assert sum(kind == "same" for kind, _ in pieces) == longest_common(old, new)
    assert [text for kind, text in pieces if kind != "added"] == old
    assert [text for kind, text in pieces if kind != "removed"] == new


@pytest.mark.parametrize(
    ("before", "after", "pieces"),
    [
        ("the cat sat", "the dog sat", [("same", "the "), ("removed", "cat"), ("added", "dog"), ("same", " sat")]),
        ("the cat sat on it", "a dog sat on it", [("removed", "the cat"), ("added", "a dog"), ("same", " sat on it")]),
        ("你好世界", "你好新世界", [("same", "你好"), ("added", "新"), ("same", "世界")]),
        ("1.5 kg", "1.7 kg", [("removed", "1.5"), ("added", "1.7"), ("same", " kg")]),
        ("", "new", [("added", "new")]),
        ("gone", "", [("removed", "gone")]),
    ],
)
def test_whole_words_change(before: str, after: str, pieces: list[Piece]) -> None:
    assert difference(before, after) == pieces


def test_what_stays_between_larger_changes_is_no_island() -> None:
    assert difference("alphabet is gamma-ray", "deltawing is omega-3") == [
        ("removed", "alphabet is gamma-ray"), ("added", "deltawing is omega-3"),
    ]
    kept = difference("alpha a long stretch that stays gamma", "delta a long stretch that stays omega")
    assert [kind for kind, _ in kept].count("same") == 1


def test_long_texts_take_no_longer_than_they_may() -> None:
    rng = random.Random(1)
    many, more = (" ".join(rng.choice("abcdefgh") for _ in range(20_000)) for _ in range(2))
    begin = time.process_time()
    assert [kind for kind, _ in difference(many, more)][-2:] != []
    medium, other = (" ".join(rng.choice("abcdefgh") for _ in range(990)) for _ in range(2))
    assert side(difference(medium, other), "added") == medium
    assert time.process_time() - begin < 2


def test_beyond_the_limit_the_middle_is_one_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "MOST_PAIRS", 3)
    assert difference("x a b y", "x b a y") == [
        ("same", "x "), ("removed", "a b"), ("added", "b a"), ("same", " y"),
    ]


def test_common_beginnings() -> None:
    assert [common("abc", "abd"), common("", "a"), common("ab", "ab")] == [2, 0, 2]
