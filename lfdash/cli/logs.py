"""`lfdash logs RUN`: a run's output as a terminal would show it; with -f until the run is over."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from lfdash.cli.commands import command, flag, run_argument
from lfdash.cli.runs import chosen, shown_state, state_words, waits_words
from lfdash.cli.terminal import FINE, Redact, Terminal
from lfdash.cli.texts import t
from lfdash.engine.facade import Run
from lfdash.runs.console import ConsoleLines
from lfdash.runs.record import TERMINAL

POLL_S = 0.3
ERASE = "\r\x1b[K"  # back to the line's beginning, and nothing right of it


@command("logs", run_argument, flag("follow", "-f"))
def logs(terminal: Terminal, run: str | None, follow: bool) -> int:
    """The whole output; of a run without console.log, as one that was copied, what LLaMA-Factory logged itself. A
    program gets an object with a line of it in each line."""
    _, found = chosen(terminal, run)
    view = found.view
    said = waits_words(view)
    if said:
        terminal.note(state_words(found.row(), view))
    path = view.paths.printed if view.record is None or view.state in TERMINAL else view.paths.console
    if path != view.paths.console:
        terminal.note(t("ui.log_of_framework", file=path.name, missing=view.paths.console.name))
    elif view.state in TERMINAL and not path.exists():
        terminal.note(t("ui.log_unbegun" if view.never_began else "ui.log_over", file=path.name))
    printer = Printer(terminal, path)
    if follow:
        followed(terminal, found, printer, said)
    printer.poll()
    printer.end()
    return FINE


def followed(terminal: Terminal, run: Run, printer: Printer, said: str) -> None:
    """Prints what comes until the run is over, and what it waits for where that changes. said: what it waited for
    last."""
    while True:
        over = run.state in TERMINAL  # asked first: what was written until then is printed after
        view = run.workspace.services.registry.get(run.id)
        now = waits_words(view) if view is not None and not over else ""
        if now and now != said and view is not None:
            terminal.note(f"{shown_state(view)}. {now}")
        said = now
        printer.poll()
        if over:
            return
        printer.show_begun()
        time.sleep(POLL_S)


class Printer:
    """Prints the lines of a log, each once. On a terminal a progress bar moves."""

    def __init__(self, terminal: Terminal, path: Path) -> None:
        self._lines = ConsoleLines(path)
        self._terminal = terminal
        self._redact: Redact = terminal.redactor()
        self._moves = not terminal.as_json and sys.stdout.isatty()
        self._shown = ""  # of a line that has no end yet

    def poll(self) -> None:
        """Prints what is new."""
        for line in self._lines.read():
            if self._lines.restarted:
                self._terminal.note(t("cli.log_restarted"))
                self._lines.restarted = False
            self._print(line)

    def end(self) -> None:
        """Prints the line that never got an end."""
        if self._lines.begun:
            self._print(self._lines.begun)

    def show_begun(self) -> None:
        """Shows the line that has no end yet in its place."""
        if self._moves and self._lines.begun != self._shown:
            self._shown = self._lines.begun
            click.echo(ERASE + self._redact(self._shown), nl=False)

    def _print(self, line: str) -> None:
        if self._terminal.as_json:
            click.echo(self._terminal.document({"line": line}))
            return
        click.echo((ERASE if self._shown else "") + self._redact(line))
        self._shown = ""
