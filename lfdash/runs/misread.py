"""What of typed conditions cannot be meant: a name that no run has, a comparison with what is no number."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from lfdash.outcomes import Problem
from lfdash.runs.conditions import ORDERED, Condition, number
from lfdash.runs.table import TableRow
from lfdash.runs.values import NAMED, named_value

NEAR = 3  # names that may have been meant
ALIKE = 0.6  # of two names, as difflib measures it
BEGUN_NUMBER = re.compile(r"[+-]?\d*\.?\d*(?:[eE][+-]?\d*)?")  # one that is still being typed


def misread(conditions: Iterable[Condition], rows: Sequence[TableRow]) -> list[Problem]:
    """What is amiss with conditions, at most one problem of each, with names of these rows that may have been meant."""
    found = (problem_of(condition, rows) for condition in dict.fromkeys(conditions))
    return [problem for problem in found if problem is not None]


def problem_of(condition: Condition, rows: Sequence[TableRow]) -> Problem | None:
    """What is amiss with one condition; None where nothing is."""
    if not is_known(condition.name, rows):
        names = near(condition.name, rows)
        code = "condition_name_near" if names else "condition_name"
        return Problem(None, code, {"name": condition.name, **({"near": names} if names else {})})
    if condition.sign not in ORDERED:
        return None
    typed = {"condition": condition.spoken, "value": condition.value}
    if number(condition.value) is None and not BEGUN_NUMBER.fullmatch(condition.value):
        return Problem(None, "condition_value", typed)
    values = [value for row in rows if (value := named_value(row, condition.name)) not in (None, "")]
    if values and all(number(value) is None for value in values):
        return Problem(None, "condition_words", {**typed, "name": condition.name, "sign": condition.sign})
    return None


def is_known(name: str, rows: Iterable[TableRow]) -> bool:
    """Whether any run can have something of this name."""
    return name in NAMED or any(name in row.details.args or name in row.details.scores for row in rows)


def near(name: str, rows: Iterable[TableRow]) -> tuple[str, ...]:
    """The names that may have been meant, the likeliest first: those that are written alike, then those of which it is
    a part."""
    every = dict.fromkeys(NAMED)
    for row in rows:
        every |= dict.fromkeys(row.details.args) | dict.fromkeys(row.details.scores)
    small = {own.casefold(): own for own in sorted(every)}
    alike = get_close_matches(name.casefold(), small, NEAR, ALIKE)
    parts = [own for own in small if name.casefold() in own]
    return tuple(small[own] for own in dict.fromkeys([*alike, *parts]))[:NEAR]
