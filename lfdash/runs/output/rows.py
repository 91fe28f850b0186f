"""The lines of a log as rows to be shown: repeated progress and metrics are folded, and can be asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from lfdash.runs.output.levels import Levels
from lfdash.runs.output.lines import ERASED, METRIC, PLAIN, PROGRESS, Line, is_blank


class Row(NamedTuple):
    """A line, and how grave it is. start, end: bytes of the file. raw: LONGEST bytes of it at most."""

    start: int
    end: int
    kind: int
    level: int
    raw: bytes


class Folded(NamedTuple):
    """Lines that are not shown, of those that begin from byte `start` to before `end`. progress, metrics: how many."""

    start: int
    end: int
    progress: int
    metrics: int


Shown = Row | Folded


def rows_of(lines: Iterable[Line], levels: Levels, least: int = 0) -> list[Row]:
    """The lines that can be seen. levels: where a report is before the first one, moved on. least: level of those
    that are wanted."""
    found = []
    for line in lines:
        if line.kind == ERASED:
            continue
        level = levels.of(line)
        if level >= least:
            found.append(Row(line.start, line.end, line.kind, level, line.raw))
    return found


def folded(rows: Sequence[Shown]) -> list[Shown]:
    """Rows of which each repetition (progress, metrics, and blank lines between them) shows its last line of both
    kinds; what is folded already stays so."""
    shown: list[Shown] = []
    run: list[Shown] = []
    for row in rows:
        if isinstance(row, Folded) or row.kind != PLAIN or (run and is_blank(row.raw)):
            run.append(row)
        else:
            shown += fold(run)
            run = []
            shown.append(row)
    return shown + fold(run)


def fold(run: Sequence[Shown]) -> list[Shown]:
    """One repetition: what is folded of it, its last metrics and its last progress, by where they begin. Lines that are
    folded may stand between those."""
    last = {row.kind: row for row in run if isinstance(row, Row) and row.kind != PLAIN}
    kept = sorted(last.values())
    hidden = [row if isinstance(row, Folded) else as_folded(row) for row in run if row not in kept]
    progress, metrics = sum(row.progress for row in hidden), sum(row.metrics for row in hidden)
    if not progress and not metrics:
        return [*kept]
    shown: list[Shown] = [Folded(hidden[0].start, hidden[-1].end, progress, metrics), *kept]
    return sorted(shown, key=lambda row: row.start)


def as_folded(row: Row) -> Folded:
    """A line that is not shown."""
    return Folded(row.start, row.end, int(row.kind == PROGRESS), int(row.kind == METRIC))


def last_rows(rows: Sequence[Shown], most: int) -> list[Shown]:
    """The last rows, some `most` of them, and what is folded with what is shown of it."""
    first = max(0, len(rows) - most)
    while first and is_repetition(rows[first]) and is_repetition(rows[first - 1]):
        first -= 1
    return list(rows[first:])


def first_rows(rows: Sequence[Shown], most: int) -> list[Shown]:
    """The first rows, some `most` of them, and what is shown of a repetition with what is folded."""
    end = min(len(rows), most)
    while 0 < end < len(rows) and is_repetition(rows[end]) and is_repetition(rows[end - 1]):
        end += 1
    return list(rows[:end])


def is_repetition(row: Shown) -> bool:
    """Whether it belongs to one."""
    return isinstance(row, Folded) or row.kind != PLAIN
