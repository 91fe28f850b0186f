"""Rows that are so long that nobody would wait for their tokens. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LARGEST = 400_000  # characters; a token takes 20 to 50 µs to be named, and 1.5 to 4 characters are one
A_TOKEN = 8  # characters, amply: a row that fits into a long cutoff length is shown
AT_ONCE = 4  # so many times the longest row are looked at for one answer


def most(cutoff: int) -> int:
    """Characters of the longest row that is shown. cutoff: tokens."""
    return max(LARGEST, A_TOKEN * cutoff)


def characters(row: Mapping[str, Any]) -> int:
    """How long a row is, as LLaMA-Factory's converters leave it (llamafactory/data/converter.py)."""
    turns = [*(row.get("_prompt") or ()), *(row.get("_response") or ())]
    said = sum(len(str(turn["content"])) for turn in turns)
    return said + sum(len(str(row.get(name) or "")) for name in ("_system", "_tools"))
