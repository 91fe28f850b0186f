"""Cells of a CSV file that no spreadsheet takes for a formula, whatever a run or a dataset put into them."""

from __future__ import annotations

import re

SEPARATORS = ";\t\r\n"  # what begins a new cell: `;` in half of the world, where quotes in mid-line do not help either
FORMULA = "=+\\-@＝＋－＠﹦﹢﹣﹫"  # full-width ones are turned into the plain ones when they are typed or pasted
# not seen, or taken off before the rest is read
BLANK = "\\s\\x00-\\x1f\\u00ad\\u200b-\\u200f\\u202a-\\u202e\\u2060\\ufeff'\""
BEGINS = re.compile(f"[\t\r\n]|[{BLANK};]*+[{FORMULA}]")
GAP = re.compile(f"(?<![{BLANK};])[{BLANK};]++(?=[{FORMULA}])")  # each blank is looked at once


def harmless(cell: str) -> str:
    """The cell with a ' before each formula: one that begins it, or that follows what somewhere parts two cells."""
    text = GAP.sub(quoted, cell)
    return f"'{text}" if BEGINS.match(cell) else text


def quoted(gap: re.Match[str]) -> str:
    """What stands before a formula, with a ' behind its last separator."""
    blank = gap[0]
    cut = max(blank.rfind(separator) for separator in SEPARATORS) + 1
    return f"{blank[:cut]}'{blank[cut:]}" if cut else blank
