"""Rows of the runs table in groups of one value, each with its best and its mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from lfdash.files import real_number
from lfdash.jobs.kinds import named
from lfdash.runs.arguments import Value, same
from lfdash.runs.order import natural
from lfdash.runs.table import TableRow
from lfdash.runs.values import ARG, MEASURED, METRICS, OWN, SCORE, reader

FEW = 12  # different numbers that are groups of their own; more are put into RANGES ranges
RANGES = 6


@dataclass(frozen=True)
class Group:
    """Rows that have something in common. value: what, None = they have no such value; to: where they have numbers in a
    range, its largest (value is its smallest). best, mean: of the metric, over the rows that have a number, the
    mean of two or more; best_id: the id of the row with the best. unknown: nothing tells whether these rows have such a
    value; without it an argument was not given, so that LLaMA-Factory's default was taken."""

    value: Value | None
    rows: tuple[TableRow, ...]
    to: float | None = None
    best: float | None = None
    mean: float | None = None
    best_id: str | None = None
    unknown: bool = False



def metric_of(rows: Sequence[TableRow], wanted: str) -> str:
    """The column that tells good rows from bad ones: the wanted one where it is a loss or a score, else the best
    evaluation loss where there is one, else the best loss."""
    if wanted in METRICS or wanted.startswith(SCORE):
        return wanted
    return "best_eval" if any(row.best_eval is not None for row in rows) else "best"


def is_range(column: str) -> bool:
    """Whether a column has numbers of which each row has another."""
    return column in MEASURED or column.startswith(SCORE)


def grouped(rows: Sequence[TableRow], by: str, metric: str) -> list[Group]:
    """The groups in the order of their values, those without a value last; rows keep their order.

    by: a column; its numbers are put into ranges of about as many rows each where there are many. metric: see
    `metric_of`; of a score the largest is the best, of a loss the smallest.
    """
    read = reader(by)
    assert read is not None, by
    found: dict[Any, tuple[Value | None, list[TableRow]]] = {}
    for row in rows:
        value = read(row)
        if value == "" or value is None or (is_range(by) and real_number(value) is None):
            value = None
        found.setdefault(None if value is None else same(value), (value, []))[1].append(row)
    _, without = found.pop(None, (None, []))
    known = sorted(found.values(), key=lambda one: order(one[0]))
    if is_range(by) and len(known) > FEW:
        groups = [rated(low, part, metric, high) for low, part, high in ranges(known)]
    else:
        groups = [rated(value, part, metric) for value, part in known]
    for unknown in (False, True):
        part = [row for row in without if is_unknown(row, by) == unknown]
        groups += [replace(rated(None, part, metric), unknown=unknown)] if part else []
    return groups


def is_unknown(row: TableRow, by: str) -> bool:
    """Whether nothing tells if a run without a value of an argument was given one."""
    return by.startswith(ARG) and not row.details.complete


def order(value: Value | None) -> tuple[Any, ...]:
    """Numbers before words."""
    return (1, 0.0, natural(value)) if isinstance(value, str) else (0, float(value or 0), ())


def ranges(known: Sequence[tuple[Any, list[TableRow]]]) -> list[tuple[float, list[TableRow], float]]:
    """Values in ascending order, put together to ranges of about as many rows each."""
    total = sum(len(rows) for _, rows in known)
    parts: list[tuple[float, list[TableRow], float]] = []
    values: list[float] = []
    rows: list[TableRow] = []
    done = 0
    for value, own in known:
        values.append(value)
        rows += own
        if (done + len(rows)) * RANGES >= total * (len(parts) + 1):
            parts.append((values[0], rows, values[-1]))
            done += len(rows)
            values, rows = [], []
    return parts


def rated(value: Value | None, rows: Sequence[TableRow], metric: str, to: float | None = None) -> Group:
    """A group with the best and the mean of its rows."""
    read = reader(metric)
    numbers = [] if read is None else [(real_number(read(row)), row.run_id) for row in rows]
    pairs = [(number, run_id) for number, run_id in numbers if number is not None]
    if not pairs:
        return Group(value, tuple(rows), to)
    best, run_id = (max if metric.startswith(SCORE) else min)(pairs, key=lambda pair: pair[0])
    mean = mean_of([number for number, _ in pairs]) if len(pairs) > 1 else None
    return Group(value, tuple(rows), to, best, mean, run_id)


def mean_of(numbers: Sequence[float]) -> float:
    """The mean of some numbers, of such as a training that diverges logs, too: their sum may be too large for one."""
    try:
        return fmean(numbers)
    except OverflowError:
        largest = max(map(abs, numbers))
        return largest * fmean(number / largest for number in numbers)


def pairs_of(rows: Sequence[TableRow], column: str) -> list[tuple[float, str]]:
    """(value, id) of the rows that have a number in a column of their own."""
    return [(value, row.run_id) for row in rows if (value := real_number(OWN[column](row))) is not None]


def marked_id(group: Group) -> str:
    """The run of a group that is marked as its best; "" where there is nothing to compare: one run, or runs of several
    stages or of unknown ones."""
    stages = {row.stage for row in group.rows}
    return group.best_id if group.best_id and len(group.rows) > 1 and len(stages) == 1 and "" not in stages else ""


def best_ids(rows: Sequence[TableRow]) -> frozenset[str]:
    """The runs that are best among those shown: of each stage (losses of different ones cannot be compared, and of a
    run whose stage is not known nobody can say what it measures) the one with the smallest evaluation loss. Where none
    was evaluated it is the smallest loss; none where there is nothing to compare: a run without an evaluation is
    neither better nor worse than an evaluated one."""
    stages: dict[str, list[TableRow]] = {}
    for row in rows:
        if row.stage and named(row.kind).trains and row.best is not None:
            stages.setdefault(row.stage, []).append(row)
    found = set()
    for part in stages.values():
        pairs = pairs_of(part, "best_eval") or pairs_of(part, "best")
        if len(pairs) > 1:
            found.add(min(pairs, key=lambda pair: pair[0])[1])
    return frozenset(found)


GROUPABLE = (
    "model", "dataset", "stage", "method", "kind", "target", "state", "tags", "name", "note", "when", "best_eval",
    "best", "last", "duration", "speed", "progress",
)


def can_group(column: str) -> bool:
    """Whether rows can be put into groups by a column."""
    return column in GROUPABLE or column.startswith((ARG, SCORE))
