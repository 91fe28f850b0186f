"""`lfdash resume RUN`: starts the next attempt of a run from a checkpoint, or a new run that trains it for longer."""

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


def epochs_option() -> click.Option:
    """--epochs N."""
    return click.Option(["--epochs"], type=float, metavar="N", help=t("cli.opt_epochs"))


@command("resume", this_run, from_option, epochs_option, flag("beside"))
def resume(terminal: Terminal, run: str, step: int | None, epochs: float | None, beside: bool) -> int:
    """The run as it stands then; with --epochs the new one."""
    if step is not None and epochs is not None:
        raise click.UsageError(t("cli.from_with_epochs"))
    _, found = chosen(terminal, run)
    outcome = found.resume(step, beside=beside) if epochs is None else found.more_epochs(epochs, beside=beside)
    if isinstance(outcome, Refused):
        return terminal.refuse(outcome)
    give_run(terminal, outcome)
    return FINE
