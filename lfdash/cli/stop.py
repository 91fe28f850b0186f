"""`lfdash stop RUN`: asks a run to stop, or takes a job out of the queue."""

from __future__ import annotations

from dataclasses import replace

from lfdash.cli.commands import command, flag, this_run
from lfdash.cli.runs import chosen, give_run, row_json
from lfdash.cli.terminal import FINE, Terminal
from lfdash.cli.texts import language, t
from lfdash.engine.words import no_checkpoint_in
from lfdash.runs.record import RunState


@command("stop", this_run, flag("kill"))
def stop(terminal: Terminal, run: str, kill: bool) -> int:
    """How the run stands once it was asked; it ends when it has saved what was learned, with --kill at once. Standard
    error says if it cannot be resumed, because it has no checkpoint yet."""
    _, found = chosen(terminal, run)
    before, row = found.view, found.row()
    lacking = no_checkpoint_in(language(), before, found.workspace.services.registry.summaries.get(before).details)
    refused = found.stop("kill" if kill else "graceful")
    if refused is not None:
        return terminal.refuse(refused)
    if lacking:
        terminal.note(lacking)
    if before.waiting is None:
        give_run(terminal, found)
    elif terminal.as_json:
        terminal.give(row_json(replace(row, state=RunState.STOPPED)))
    else:
        terminal.say(t("cli.cancelled", name=before.name))
    return FINE
