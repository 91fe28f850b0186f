"""`lfdash resume RUN`: starts the next attempt of a run from a checkpoint."""

from __future__ import annotations

import click

from lfdash.cli.commands import command, flag, this_run
from lfdash.cli.runs import chosen, give_run
from lfdash.cli.terminal import FINE, Terminal
from lfdash.cli.texts import t
from lfdash.outcomes import Refused


def from_option() -> click.Option:
    """--from STEP."""
    return click.Option(["--from", "step"], type=int, metavar="STEP", help=t("cli.opt_from"))


@command("resume", this_run, from_option, flag("beside"))
def resume(terminal: Terminal, run: str, step: int | None, beside: bool) -> int:
    """The run as it stands then."""
    _, found = chosen(terminal, run)
    outcome = found.resume(step, beside=beside)
    if isinstance(outcome, Refused):
        return terminal.refuse(outcome)
    give_run(terminal, outcome)
    return FINE
