"""What a column of the runs table says of a run, by the column's name: one of its own, `arg.<argument>` or
`score.<number of its results>`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from lfdash.runs.record import RunState
from lfdash.runs.table import TableRow

ARG, SCORE = "arg.", "score."
Read = Callable[[TableRow], Any]

OWN: Mapping[str, Read] = {
    "when": lambda row: row.when,
    "name": lambda row: row.name,
    "state": lambda row: row.state.name,
    "progress": lambda row: row.percent,
    "last": lambda row: row.last,
    "best": lambda row: row.best,
    "best_eval": lambda row: row.best_eval,
    "duration": lambda row: row.duration,
    "speed": lambda row: row.speed,
    "model": lambda row: row.model,
    "dataset": lambda row: ", ".join(row.datasets),
    "stage": lambda row: row.stage,
    "method": lambda row: row.method,
    "kind": lambda row: row.kind,
    "tags": lambda row: ", ".join(row.tags),
    "note": lambda row: row.note.split("\n")[0],
    "folder": lambda row: row.folder,
    "target": lambda row: row.target or None,
}
MEASURED = ("progress", "last", "best", "best_eval", "duration", "speed", "when")  # the own columns that are numbers
METRICS = ("last", "best", "best_eval")  # the own columns of which the smallest is the best

# how a condition may call what is not an argument; the names of the CSV file
NAMED: Mapping[str, Read] = {
    "loss": OWN["last"], "last_loss": OWN["last"], "best_loss": OWN["best"], "eval_loss": OWN["best_eval"],
    "best_eval_loss": OWN["best_eval"], "seconds": OWN["duration"], "tokens_per_s": OWN["speed"],
    "state": lambda row: "SUCCEEDED, FINISHED" if row.state is RunState.SUCCEEDED else row.state.name,  # as it is shown
    "finetuning_type": OWN["method"], "tag": OWN["tags"], "step": lambda row: row.step,
    "total_steps": lambda row: row.total, "percent": OWN["progress"],
    **{
        name: OWN[name]
        for name in ("name", "model", "stage", "method", "kind", "tags", "dataset", "note", "folder", "target")
    },
}


def reader(column: str) -> Read | None:
    """What reads a column's value from a row; it gives None, or "", where a run has none. None for no column."""
    if column.startswith(ARG):
        return partial(argument, column.removeprefix(ARG))
    if column.startswith(SCORE):
        return partial(score, column.removeprefix(SCORE))
    return OWN.get(column)


def argument(name: str, row: TableRow) -> Any:
    """The value of an argument."""
    return row.details.args.get(name)


def score(name: str, row: TableRow) -> Any:
    """A number of the results."""
    return row.details.scores.get(name)


def named_value(row: TableRow, name: str) -> Any:
    """What a condition means by a name: an argument, else a number of the results, else a column."""
    value = row.details.args.get(name)
    if value is None:
        value = row.details.scores.get(name)
    if value is None and (read := NAMED.get(name.casefold())) is not None:
        value = read(row)
    return value
