"""The order of the rows of the runs table."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from lfdash.runs.record import RunState
from lfdash.runs.table import TableRow
from lfdash.runs.values import ARG, OWN, SCORE, Read, reader


@lru_cache(maxsize=1 << 15)  # a table is sorted again and again
def natural(text: str) -> tuple[tuple[bool, int, str], ...]:
    """A key by which run-2 comes before run-10."""
    parts = re.split(r"(\d+)", text.casefold())
    return tuple((not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts if part)


ORDER = tuple(RunState)
WAITING = (RunState.QUEUED, RunState.HELD)


def by_words(read: Read) -> Read:
    """Reads what texts are sorted by; None where there is none."""
    return lambda row: natural(read(row)) or None


SORTS: Mapping[str, Read] = {
    **OWN,
    **{name: by_words(OWN[name]) for name in ("name", "model", "dataset", "tags", "note", "folder")},
    "state": lambda row: ORDER.index(row.state),
    "stage": lambda row: row.stage or None,
    "method": lambda row: row.method or None,
}
# values that change while a run goes on
MOVING = ("state", "progress", "last", "best", "best_eval", "duration", "speed")
LARGEST_FIRST = ("when", "progress", "duration", "speed")  # the others begin with the smallest
DEFAULT_SORT = "when"


def can_sort(by: str) -> bool:
    """Whether rows can be sorted by what this names."""
    return by in SORTS or by.startswith((ARG, SCORE))


def sort_key(by: str) -> Callable[[TableRow], Any]:
    """What rows are sorted by. An argument's numbers stand before its words."""
    if by in SORTS:
        return SORTS[by]
    read = reader(by)
    assert read is not None, by

    def key(row: TableRow) -> Any:
        value = read(row)
        if value is None:
            return None
        return (1, 0.0, natural(value)) if isinstance(value, str) else (0, float(value), ())

    return key


def arrange(rows: Sequence[TableRow], by: str, down: bool) -> list[TableRow]:
    """The rows in order. Those without such a value, or with one that is no number, come last either way; but jobs
    that wait come first in the order by time, as in the queue."""
    values = list(map(sort_key(by), rows))
    places = [place for place, value in enumerate(values) if value is not None and value == value]
    without = [row for row, value in zip(rows, values, strict=True) if value is None or value != value]
    first = [row for row in without if by == DEFAULT_SORT and row.state in WAITING]
    last = [row for row in without if by != DEFAULT_SORT or row.state not in WAITING]
    places.sort(key=values.__getitem__, reverse=down)
    return [*first, *(rows[place] for place in places), *last]
