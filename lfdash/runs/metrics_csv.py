"""What a trainer logged, as CSV: a row a step, a column a quantity."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator

from lfdash.runs.metrics.frame import MetricFrame


def as_csv(frame: MetricFrame) -> str:
    """The frame as CSV with its columns' names; nothing where a step has no such value."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(frame.columns)
    writer.writerows(rows(frame))
    return text.getvalue().rstrip("\n")


def rows(frame: MetricFrame) -> Iterator[list[float | int | None]]:
    """The rows of a frame; None where a step has no such value."""
    columns = [[number(name, value) for value in frame[name].tolist()] for name in frame.columns]
    return map(list, zip(*columns, strict=True))


def number(name: str, value: float) -> float | int | None:
    """A value as it was logged: steps are whole, and what is no number is none."""
    if not math.isfinite(value):
        return None
    return int(value) if name in ("step", "tokens") and value.is_integer() else value
