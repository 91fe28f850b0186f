"""`lfdash ls`: all runs of the workspace."""

from __future__ import annotations

from collections.abc import Sequence

from lfdash.cli.commands import command
from lfdash.cli.runs import row_json, short_state, steps, waits_words
from lfdash.cli.terminal import FINE, Terminal, local_time, number, one_line, seconds, table
from lfdash.cli.texts import language, t
from lfdash.engine.scheduled_words import place_in
from lfdash.runs.listing import RunRow
from lfdash.runs.view import RunView

MOST_TOLD = 10  # of the runs that wait on a cluster, below the table


@command("ls")
def ls(terminal: Terminal) -> int:
    """A row a run: those that wait, in order, then the others, newest first."""
    workspace = terminal.open()
    rows = workspace.rows()
    if terminal.as_json:
        terminal.give([row_json(row) for row in rows])
    elif rows:
        known = {view.run_id: view for view in reversed(workspace.services.registry.snapshot())}  # as `rows` took them
        terminal.say(table(head(), [cells(row, known[row.id]) for row in rows]))
        tell_waiting(terminal, [known[row.id] for row in rows])
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
        "ui.runs_col_target",
    )
    return [*map(t, names), "ID"]


def tell_waiting(terminal: Terminal, views: Sequence[RunView]) -> None:
    """Why runs wait on their clusters, and until when."""
    for view in [view for view in views if view.pending][:MOST_TOLD]:
        terminal.note(f"{one_line(view.name)}: {waits_words(view)}")


def cells(row: RunRow, view: RunView) -> list[str]:
    """A run's cells."""
    return [
        row.name, short_state(row, view), row.stage or "–", row.method or "–", steps(row), number(row.loss),
        number(row.eval_loss), seconds(row.seconds), local_time(row.started), row.model or "–",
        place_in(language(), view) or "–", row.id,
    ]
