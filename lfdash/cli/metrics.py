"""`lfdash metrics RUN`: what a run's trainer logged, by step."""

from __future__ import annotations

from lfdash.cli.commands import command, flag, run_argument
from lfdash.cli.runs import chosen
from lfdash.cli.terminal import FINE, Terminal, table
from lfdash.runs.metrics_csv import number, pieces, rows


@command("metrics", run_argument, flag("csv"))
def metrics(terminal: Terminal, run: str | None, csv: bool) -> int:
    """A row a step, a column a quantity."""
    frame = chosen(terminal, run)[1].frame()
    if terminal.as_json:
        terminal.give({name: [number(name, value) for value in frame[name].tolist()] for name in frame.columns})
    elif csv:
        for piece in pieces(frame):
            terminal.say(piece.removesuffix("\n"))
    else:
        terminal.say(table(list(frame.columns), ([short(value) for value in row] for row in rows(frame))))
    return FINE


def short(value: float | None) -> str:
    """A value for a person."""
    return "–" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
