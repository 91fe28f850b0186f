"""`lfdash metrics RUN`: what a run's trainer logged, by step."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator

from lfdash.cli.commands import command, flag, run_argument
from lfdash.cli.runs import chosen
from lfdash.cli.terminal import FINE, Terminal, table
from lfdash.runs.metrics import MetricFrame


@command("metrics", run_argument, flag("csv"))
def metrics(terminal: Terminal, run: str | None, csv: bool) -> int:
    """A row a step, a column a quantity."""
    frame = chosen(terminal, run)[1].frame()
    if terminal.as_json:
        terminal.give({name: [number(name, value) for value in frame[name].tolist()] for name in frame.columns})
    elif csv:
        terminal.say(as_csv(frame))
    else:
        terminal.say(table(list(frame.columns), ([short(value) for value in row] for row in rows(frame))))
    return FINE


def rows(frame: MetricFrame) -> Iterator[list[float | int | None]]:
    """The rows of a frame; None where a step has no such value."""
    columns = [[number(name, value) for value in frame[name].tolist()] for name in frame.columns]
    return map(list, zip(*columns, strict=True))


def number(name: str, value: float) -> float | int | None:
    """A value as it was logged: steps are whole, and what is no number is none."""
    if not math.isfinite(value):
        return None
    return int(value) if name in ("step", "tokens") and value.is_integer() else value


def short(value: float | None) -> str:
    """A value for a person."""
    return "–" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def as_csv(frame: MetricFrame) -> str:
    """The frame as CSV with its columns' names; nothing where a step has no such value."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(frame.columns)
    writer.writerows(rows(frame))
    return text.getvalue().rstrip("\n")
