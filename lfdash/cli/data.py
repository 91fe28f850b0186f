"""`lfdash data NAME_OR_FILE`: what LLaMA-Factory would make of a dataset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from lfdash.cli.commands import command
from lfdash.cli.terminal import FINE, REFUSED, Terminal, pairs
from lfdash.cli.texts import language, t
from lfdash.data.report import DatasetReport
from lfdash.jobs.stages import BY_CODE
from lfdash.locales import left_out_in, problem_in
from lfdash.outcomes import Problem, Refused


def name_argument() -> click.Argument:
    """NAME_OR_FILE."""
    return click.Argument(["name"], metavar="NAME_OR_FILE")


def stage_option() -> click.Option:
    """--stage S."""
    return click.Option(["--stage"], type=click.Choice(list(BY_CODE)), help=t("cli.opt_stage"))


@command("data", name_argument, stage_option)
def data(terminal: Terminal, name: str, stage: str | None) -> int:
    """Format, entry, rows; REFUSED when LLaMA-Factory could not read it."""
    report = terminal.open(needed=not Path(name).is_file()).data(name, stage or "")
    if isinstance(report, Refused):
        return terminal.refuse(report)
    if terminal.as_json:
        terminal.give({**vars(report), "problems": [problem_json(problem) for problem in report.problems]})
    else:
        terminal.say(words(report))
    return REFUSED if any(problem.level == "error" for problem in report.problems) else FINE


def problem_json(problem: Problem) -> dict[str, Any]:
    """A problem of data: it has no argument and no fix."""
    message = problem_in(language(), problem)
    return {"argument": None, "level": problem.level, "code": problem.code, "message": message, "fix": None}


def words(report: DatasetReport) -> str:
    """A report for a person."""
    found = [
        (t("ui.data_format"), report.format),
        (t("ui.data_entry"), report.entry and json.dumps(report.entry, ensure_ascii=False)),
        (t("ui.data_rows"), report.rows),
        (t("cli.usable"), report.usable),
    ]
    lines = [pairs((name, t("cli.not_known") if value is None else str(value)) for name, value in found)]
    for part in report.left_out:
        why = left_out_in(language(), part)
        lines.append(t("cli.left_out", count=part.count, why=why, rows=", ".join(map(str, part.rows))))
    said = (problem for problem in report.problems if problem.code != "data_left_out")  # the lines above say it
    return "\n".join([*lines, *(f"{t(f'cli.{p.level}')}: {problem_in(language(), p)}" for p in said)])
