"""`lfdash diagnose RUN_OR_LOG`: why a run failed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import click

from lfdash.cli.commands import RunName, command
from lfdash.cli.jobs import changes_words
from lfdash.cli.runs import chosen
from lfdash.cli.terminal import FINE, Terminal
from lfdash.cli.texts import t
from lfdash.engine.resume import stored
from lfdash.jobs.args import job_from_args
from lfdash.jobs.changes import fix_arguments
from lfdash.jobs.fields import BY_ID, arguments
from lfdash.jobs.job import JobConfig
from lfdash.runs.console import ERROR_TAIL, last_lines, lines_of
from lfdash.runs.diagnose import Diagnosis
from lfdash.runs.diagnose import diagnose as diagnose_lines
from lfdash.runs.record import RunState
from lfdash.runs.report import explain
from lfdash.runs.view import RunView


def log_argument() -> click.Argument:
    """RUN_OR_LOG; `-` is standard input."""
    return click.Argument(["what"], type=RunName(), required=False, metavar="[RUN_OR_LOG]")


@command("diagnose", log_argument)
def diagnose(terminal: Terminal, what: str | None) -> int:
    """The known cause, the line that proves it, and what cures it."""
    if what == "-":
        return told(terminal, diagnose_lines(lines_of(end_of(sys.stdin.buffer).decode("utf-8", "replace"))), None)
    if what is not None and Path(what).is_file():
        return told(terminal, diagnose_lines(last_lines(Path(what).resolve())), None)
    view = chosen(terminal, what)[1].view
    if view.state not in (RunState.FAILED, RunState.LOST):
        return unfailed(terminal, view)
    if view.lost == "pointer":
        return give(terminal, {"cause": view.lost, "message": t("ui.lost_pointer"), "line": None, "fix": None})
    return told(terminal, explain(view), view)


def end_of(stream: BinaryIO, size: int = ERROR_TAIL) -> bytes:
    """The last `size` bytes of a stream of any length, in memory of a few times that."""
    kept = b""
    while chunk := stream.read(size):
        kept = (kept + chunk)[-size:]
    return kept


def told(terminal: Terminal, found: Diagnosis | None, view: RunView | None) -> int:
    """The answer; view: of the run, None for a log."""
    if found is None:
        line = view.error if view else None
        return give(terminal, {"cause": None, "message": t("cli.cause_unknown"), "line": line, "fix": None})
    message = t(f"diagnosis.{found.id}", **found.params)
    fix = cure(found, view)
    return give(terminal, {"cause": found.id, "message": message, "line": found.line, "fix": fix})


def unfailed(terminal: Terminal, view: RunView) -> int:
    """The answer for a run that needs no cause."""
    message = t("cli.not_failed", state=t(f"states.{view.state.name}"))
    return give(terminal, {"cause": None, "message": message, "line": None, "fix": None})


def give(terminal: Terminal, answer: Mapping[str, Any]) -> int:
    """Says an answer in words or as it is."""
    if terminal.as_json:
        terminal.give(answer)
        return FINE
    terminal.say(answer["message"])
    if answer["line"]:
        terminal.say(f"\n  {answer['line']}")
    if answer["fix"]:
        terminal.say(f"\n{t('cli.fix', changes=changes_words(answer['fix']))}")
    return FINE


def cure(found: Diagnosis, view: RunView | None) -> dict[str, Any] | None:
    """What cures it, in LLaMA-Factory's arguments: of the run's own job, else of one that says nothing else."""
    document = stored(view) if view else None
    if document is not None:
        return fix_arguments(job_from_args(document.args, document.env), found.fix)
    return plain_cure(found.fix) or None


def plain_cure(fix: Mapping[str, Any]) -> dict[str, Any]:
    """The cure of a job that is not known: fields by their argument."""
    job = JobConfig("train", dict(fix))
    changes: dict[str, Any] = {}
    for name, value in fix.items():
        row = BY_ID[name]
        own = row.to_args(value, job.get) if row.to_args else dict.fromkeys(arguments(row), value)
        changes |= own or dict.fromkeys(arguments(row))
    return changes
