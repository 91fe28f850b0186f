"""What was cut off stands at its place, and the texts of tokens are those of the whole."""

from __future__ import annotations

from lfdash.llamafactory.scripts.sees_pieces import pieces
from lfdash.llamafactory.scripts.sees_trace import Token, merged, token


def row(number: int, *ids: int) -> list[Token]:
    return [token(one, "user", number, 0) for one in ids]


def test_what_was_cut_off_stands_at_its_place() -> None:
    first, second = row(0, 1, 1, 2, 3), row(1, 1, 4)
    final = [*first[1:3], 9, *second[:1], 0]
    shown = merged(final, {0: first, 1: second})
    assert shown == [(1, False), (1, True), (2, True), (3, False), (9, True), (1, True), (4, False), (0, True)]
    assert merged([], {}) == [] and merged([7], {}) == [(7, True)]


def test_the_texts_joined_are_the_whole() -> None:
    """Bytes as tokens: characters of several bytes have their text at their last one."""
    data = list("a ż 🐢\n".encode())

    def decode(ids: list[int]) -> str:
        return bytes(ids).decode("utf-8", "replace")

    found = pieces(data, decode)
    assert "".join(found) == "a ż 🐢\n" and len(found) == len(data)
    assert found[2:4] == ["", "ż"] and found[5:9] == ["", "", "", "🐢"]
    assert "".join(pieces(data[:3], decode)) == "a �"
