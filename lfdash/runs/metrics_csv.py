"""What a trainer logged, as CSV: a row a step, a column a quantity."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator

from lfdash.runs.metrics.frame import MetricFrame

PIECE = 4096  # rows that are made into text at once


def pieces(frame: MetricFrame) -> Iterator[str]:
    """The frame as CSV with its columns' names, a piece of some rows at a time; nothing where a step has no value."""
    yield text_of([frame.columns])
    for begin in range(0, len(frame), PIECE):
        yield text_of(rows(frame, begin, begin + PIECE))


def text_of(lines: Iterable[Iterable[object]]) -> str:
    """Rows as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def as_csv(frame: MetricFrame) -> bytes:
    """The frame as a file of CSV."""
    return b"".join(piece.encode("utf-8", "replace") for piece in pieces(frame))


def rows(frame: MetricFrame, begin: int = 0, end: int | None = None) -> Iterator[list[float | int | None]]:
    """The rows of a frame from place `begin` to `end`; None where a step has no such value."""
    columns = [[number(name, value) for value in frame[name][begin:end].tolist()] for name in frame.columns]
    return map(list, zip(*columns, strict=True))


def number(name: str, value: float) -> float | int | None:
    """A value as it was logged: steps are whole, and what is no number is none."""
    if not math.isfinite(value):
        return None
    return int(value) if name in ("step", "tokens") and value.is_integer() else value
