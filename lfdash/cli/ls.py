"""`lfdash ls`: all runs of the workspace."""

from __future__ import annotations

from lfdash.cli.commands import command
from lfdash.cli.runs import row_json, short_state, steps
from lfdash.cli.terminal import FINE, Terminal, local_time, number, seconds, table
from lfdash.cli.texts import t
from lfdash.runs.listing import RunRow


@command("ls")
def ls(terminal: Terminal) -> int:
    """A row a run: those that wait, in order, then the others, newest first."""
    rows = terminal.open().rows()
    if terminal.as_json:
        terminal.give([row_json(row) for row in rows])
    elif rows:
        terminal.say(table(head(), map(cells, rows)))
        pointers = [row.name for row in rows if row.lost == "pointer"]
        if pointers:
            terminal.note(t("ui.compare_is_pointer", names=", ".join(pointers)))
    else:
        terminal.note(t("outcomes.run_none", workspace=terminal.folder))
    return FINE


def head() -> list[str]:
    """The names of the columns."""
    names = (
        "ui.runs_col_name", "ui.runs_col_state", "ui.runs_col_stage", "ui.runs_col_method", "cli.step", "cli.loss",
        "cli.eval_loss", "ui.runs_col_duration", "ui.runs_col_when", "ui.runs_col_model",
    )
    return [*map(t, names), "ID"]


def cells(row: RunRow) -> list[str]:
    """A run's cells."""
    return [
        row.name, short_state(row), row.stage or "–", row.method or "–", steps(row), number(row.loss),
        number(row.eval_loss), seconds(row.seconds), local_time(row.started), row.model or "–", row.id,
    ]
