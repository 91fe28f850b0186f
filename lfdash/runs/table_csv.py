"""The runs table as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from lfdash.runs.arguments import words
from lfdash.runs.record import RunState
from lfdash.runs.spreadsheet import harmless
from lfdash.runs.table import TableRow
from lfdash.runs.values import ARG, SCORE, reader

CSV: Mapping[str, Callable[[TableRow], object]] = {
    "name": lambda row: row.name,
    "state": lambda row: row.state,
    "kind": lambda row: row.kind,
    "model": lambda row: row.model,
    "stage": lambda row: row.stage,
    "method": lambda row: row.method,
    "dataset": lambda row: ", ".join(row.datasets),
    "step": lambda row: row.step,
    "total_steps": lambda row: row.total,
    "last_loss": lambda row: row.last,
    "best_loss": lambda row: row.best,
    "best_loss_step": lambda row: row.best_step,
    "best_eval_loss": lambda row: row.best_eval,
    "best_eval_loss_step": lambda row: row.best_eval_step,
    "seconds": lambda row: None if row.duration is None else round(row.duration, 1),
    "tokens_per_s": lambda row: None if row.speed is None else round(row.speed, 1),
    "when": lambda row: None if row.when is None else datetime.fromtimestamp(row.when, UTC).isoformat("T", "seconds"),
    "tags": lambda row: ", ".join(row.tags),
    "note": lambda row: row.note,
    "folder": lambda row: row.folder,
    "error": lambda row: row.error,
    "id": lambda row: row.run_id,
    "marks": lambda row: ", ".join(row.badges),
}


def to_csv(
    rows: Sequence[TableRow], redact: Callable[[str], str] = str, state_word: Callable[[RunState], str] = str,
    more: Sequence[str] = (),
) -> str:
    """The rows as CSV with a head of stable names; no cell is one that a spreadsheet would run as a formula.

    redact: takes secrets out of a text. state_word: what a state is called. more: columns of arguments and results
    (`values.reader`) behind the others, under the name of the argument or the result.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    added = {name: read for name in more if name.startswith((ARG, SCORE)) and (read := reader(name)) is not None}
    writer.writerow([*CSV, *(harmless(redact(name.partition(".")[2])) for name in added)])
    for row in rows:
        values = [*(read(row) for read in CSV.values()), *(argument(read(row)) for read in added.values())]
        cells = (state_word(value) if isinstance(value, RunState) else value for value in values)
        writer.writerow([harmless(redact(cell)) if isinstance(cell, str) else number(cell) for cell in cells])
    return text.getvalue()


def argument(value: object) -> object:
    """An argument's value: true and false as a configuration has them."""
    return words(value) if isinstance(value, bool) else value


def number(value: object) -> object:
    """A number as it is, nothing for none, and a word for what is no number."""
    return "NaN" if isinstance(value, float) and not math.isfinite(value) else value
