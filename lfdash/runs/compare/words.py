"""What differs between two texts, word by word. Pure; the time is bounded, whatever the texts are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Literal

# a number; a letter of a script that has no spaces between words; a word; white space; any other sign
TOKENS = re.compile(
    r"\d+(?:[.,]\d+)*|[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]|[^\W\d\u3040-\u30ff\u3400-\u9fff]+|\s+|.",
    re.DOTALL,
)
MOST_PAIRS = 4_000_000  # words of the one times words of the other, at most; beyond that the middle is one change
Kind = Literal["same", "removed", "added"]
Piece = tuple[Kind, str]


def difference(before: str, after: str) -> list[Piece]:
    """The pieces of two texts: what both have, what only the first has ("removed"), what only the second has.

    The pieces that are not "added" make up `before`, those that are not "removed" make up `after`.
    """
    old, new = TOKENS.findall(before), TOKENS.findall(after)
    start = common(old, new)
    end = common(old[start:][::-1], new[start:][::-1])
    pieces = [
        *pieces_of("same", old[:start]),
        *middle(old[start : len(old) - end], new[start : len(new) - end]),
        *pieces_of("same", old[len(old) - end :]),
    ]
    return tidied(pieces)


def pieces_of(kind: Kind, tokens: Iterable[str]) -> list[Piece]:
    """Each token as a piece."""
    return [(kind, token) for token in tokens]


def common(a: Sequence[str], b: Sequence[str]) -> int:
    """How many tokens two texts begin with alike."""
    place = 0
    while place < min(len(a), len(b)) and a[place] == b[place]:
        place += 1
    return place


def middle(old: Sequence[str], new: Sequence[str]) -> list[Piece]:
    """The pieces of what two texts have between their like beginnings and ends: all that can stay does (a longest
    common subsequence; by Hyyrö's bits, a row of the table in one integer)."""
    if len(old) * len(new) > MOST_PAIRS:
        return [*pieces_of("removed", old), *pieces_of("added", new)]
    places: dict[str, int] = {}
    for place, token in enumerate(new):
        places[token] = places.get(token, 0) | 1 << place
    full = (1 << len(new)) - 1
    row, rows = full, []
    for token in old:
        hits = row & places.get(token, 0)
        row = ((row + hits) | (row - hits)) & full
        rows.append(row)
    return walked_back(old, new, rows)


def walked_back(old: Sequence[str], new: Sequence[str], rows: Sequence[int]) -> list[Piece]:
    """The pieces, from the end of the table to its beginning. A bit of a row is 0 where one token more of `new` makes
    the common subsequence longer."""
    found: list[Piece] = []
    i, j = len(old), len(new)
    while i and j:
        if old[i - 1] == new[j - 1]:
            i, j = i - 1, j - 1
            found.append(("same", old[i]))
        elif rows[i - 1] >> (j - 1) & 1:
            j -= 1
            found.append(("added", new[j]))
        else:
            i -= 1
            found.append(("removed", old[i]))
    return [*pieces_of("removed", old[:i]), *pieces_of("added", new[:j]), *reversed(found)]


def tidied(pieces: Sequence[Piece]) -> list[Piece]:
    """Neighbours of one kind as one piece, what was removed before what was added. What stayed between two larger
    changes is a part of both: a sentence that was written anew is no row of islands."""
    found: list[Piece] = []
    removed = added = ""
    groups = changes_and_sames(pieces)
    for place, (same, old, new) in enumerate(groups):
        if not same:
            removed, added = removed + old, added + new
            continue
        following = max(map(len, groups[place + 1][1:])) if place + 1 < len(groups) else 0
        if len(old) <= min(max(len(removed), len(added)), following):
            removed, added = removed + old, added + old
        else:
            found += [*told(removed, added), ("same", old)]
            removed = added = ""
    return [*found, *told(removed, added)]


def changes_and_sames(pieces: Sequence[Piece]) -> list[tuple[bool, str, str]]:
    """(whether it stayed, what was there, what is there) by turns."""
    groups = []
    for same, group in groupby(pieces, key=lambda piece: piece[0] == "same"):
        parts = list(group)
        old = "".join(text for kind, text in parts if kind != "added")
        groups.append((same, old, "".join(text for kind, text in parts if kind != "removed")))
    return groups


def told(removed: str, added: str) -> list[Piece]:
    """What was removed, then what was added, as far as there is any."""
    both: list[Piece] = [("removed", removed), ("added", added)]
    return [piece for piece in both if piece[1]]
