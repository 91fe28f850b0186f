"""What a command says and how it ends: words or JSON, no secrets, nothing that a terminal would obey."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import click

from lfdash.cli.texts import language, t
from lfdash.engine.facade import Workspace, open_workspace
from lfdash.jobs.secret_arguments import HIDDEN, hide, is_secret
from lfdash.locales import refusal_in
from lfdash.outcomes import Refused, unchanged_by
from lfdash.runs.output.shown import INVISIBLE, visible
from lfdash.workspace.secret_store import SecretStore

FINE, REFUSED, WRONG_USE = 0, 1, 2  # exit codes
# refusals that come of a wrong word
WRONG = ("run_unknown", "run_ambiguous", "run_none", "data_unknown", "compare_one")
OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # control characters, but tab and line break
UNPRINTED = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # all of them
Redact = Callable[[str], str]


class Terminal:
    """Where a command speaks. folder: of the workspace; as_json: for a program."""

    def __init__(self, folder: Path, *, as_json: bool) -> None:
        self.folder = folder
        self.as_json = as_json
        self._workspace: Workspace | None = None

    # -- the workspace ----------------------------------------------------------------------------------

    def open(self, *, create: bool = False, needed: bool = True) -> Workspace:
        """The workspace. create: make what is missing, as the page does; else one that is missing ends the command,
        where it is needed."""
        if needed and not create and not self.folder.is_dir():
            self.note(f"lfdash: {t('cli.no_workspace', path=self.folder)}")
            raise click.exceptions.Exit(WRONG_USE)
        try:
            self._workspace = open_workspace(self.folder, create=create)
        except OSError as error:
            raise click.exceptions.Exit(self.refuse(unchanged_by(error, self.folder))) from error
        return self._workspace

    def redactor(self) -> Redact:
        """A function that takes secrets and control characters out of a text, and shows what turns it round or has no
        width by its number."""
        harmless = self._harmless()
        return lambda text: INVISIBLE.sub(visible, harmless(text))

    def _harmless(self) -> Redact:
        """The same for a program: what is not seen stays, and JSON escapes it."""
        known = self._workspace.services.registry.redactor() if self._workspace else SecretStore().redactor()
        return lambda text: OBEYED.sub("�", hide(known(text)))

    # -- what is said -----------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """The command's answer, for a person."""
        click.echo(self.redactor()(text))

    def note(self, text: str) -> None:
        """What is worth knowing beside the answer; on standard error, so that the answer can be piped."""
        click.echo(self.redactor()(text), err=True)

    def give(self, value: Any) -> None:
        """The command's answer, for a program: one line of JSON (indented on a terminal)."""
        indent = 2 if sys.stdout.isatty() else None
        click.echo(self.document(value, indent))

    def document(self, value: Any, indent: int | None = None) -> str:
        """A value as JSON, without secrets; letters as they are, what cannot be seen escaped."""
        text = json.dumps(plain(value, self._harmless()), ensure_ascii=False, indent=indent)
        return INVISIBLE.sub(lambda found: json.dumps(found[0])[1:-1], text)

    def refuse(self, refused: Refused, **more: Any) -> int:
        """Says why something was refused; the exit code. more: what a program is told besides."""
        message = refusal_in(language(), refused)
        if self.as_json:
            self.give({"refused": refused.code, "message": message, **more})
        else:
            self.note(f"lfdash: {message}")
            if refused.code == "busy":
                self.note(t("cli.busy_hint"))
        return WRONG_USE if refused.code in WRONG else REFUSED


def plain(value: Any, redact: Redact) -> Any:
    """A value as JSON can hold it, without secrets: no number is NaN or infinite, a state is its name."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        hidden = {name: HIDDEN for name, one in value.items() if is_secret(str(name)) and one}
        return {str(name): hidden.get(name) or plain(one, redact) for name, one in value.items()}
    if isinstance(value, str):
        return redact(str(value.value) if isinstance(value, Enum) else value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Iterable):
        return [plain(one, redact) for one in value]
    return value if isinstance(value, int | None) else redact(str(value))


# -- words ----------------------------------------------------------------------------------------------


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows under their head, in columns that are as wide as they must be."""
    lines = [[one_line(cell) for cell in line] for line in (head, *rows)]
    wide = [max(width(line[place]) for line in lines) for place in range(len(head))]
    return "\n".join(
        "  ".join(cell + " " * (most - width(cell)) for cell, most in zip(line, wide, strict=True)).rstrip()
        for line in lines
    )


def one_line(text: str) -> str:
    """A text without line breaks and whatever else a terminal obeys, as wide as it is printed."""
    return INVISIBLE.sub(visible, UNPRINTED.sub("�", text))


def pairs(facts: Iterable[tuple[str, str]]) -> str:
    """Names and values, one pair a line."""
    facts = list(facts)
    most = max((width(name) for name, _ in facts), default=0)
    return "\n".join(f"{name}{' ' * (most - width(name))}  {value}" for name, value in facts)


def width(text: str) -> int:
    """Columns that a text takes on a terminal: Chinese, Japanese and Korean characters take two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def number(value: float | None) -> str:
    """A measured value."""
    return "–" if value is None else f"{value:.4f}"


def seconds(value: float | None) -> str:
    """Seconds as h:mm:ss."""
    if value is None:
        return "–"
    whole = int(value)
    return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"


def local_time(epoch: float | None) -> str:
    """A time for a person, in the machine's zone."""
    return "–" if epoch is None else f"{datetime.fromtimestamp(epoch):%Y-%m-%d %H:%M}"


def utc(epoch: float | None) -> str | None:
    """A time for a program: 2026-11-26T08:30:00Z."""
    return None if epoch is None else f"{datetime.fromtimestamp(epoch, UTC):%Y-%m-%dT%H:%M:%SZ}"
