"""`lfdash show RUN`: everything about one run."""

from __future__ import annotations

from lfdash.cli.commands import command, run_argument
from lfdash.cli.runs import chosen, give_run
from lfdash.cli.terminal import FINE, Terminal


@command("show", run_argument)
def show(terminal: Terminal, run: str | None) -> int:
    """How a run stands."""
    give_run(terminal, chosen(terminal, run)[1])
    return FINE
