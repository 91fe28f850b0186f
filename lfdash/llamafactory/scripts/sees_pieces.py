"""The text of each token in its place: joined, the texts are what the tokenizer makes of all. Standard library only."""

from __future__ import annotations

from collections.abc import Callable, Sequence

WINDOW = 4  # tokens before one that decide whether its text begins with a space
BROKEN = "\ufffd"  # of a token that is a part of a character
LONGEST = 6  # tokens that one character takes, at most


def pieces(ids: Sequence[int], decode: Callable[[list[int]], str]) -> list[str]:
    """One text a token. Where several make one character, the last has it and the others have none.

    decode: the tokenizer's, with special tokens and without cleaning up.
    """
    found: list[str] = []
    begin = read = 0  # the window, and what of it was told already
    for end in range(1, len(ids) + 1):
        before, now = decode(list(ids[begin:read])), decode(list(ids[begin:end]))
        if now.endswith(BROKEN) and end - read < LONGEST and end < len(ids):
            found.append("")
            continue
        found.append(now[len(before) :] if now.startswith(before) else decode(list(ids[read:end])))
        read = end
        begin = max(0, end - WINDOW)
    return found
