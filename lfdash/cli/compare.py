"""`lfdash compare RUN RUN ...`: the settings that differ, and the runs' numbers side by side."""

from __future__ import annotations

import math
from typing import Any

import click

from lfdash.cli.commands import RunName, command
from lfdash.cli.runs import chosen
from lfdash.cli.terminal import FINE, Terminal, seconds, table
from lfdash.cli.texts import t
from lfdash.engine.comparison import Subject, measured, settings_of, subjects_of
from lfdash.engine.facade import Workspace
from lfdash.outcomes import Refused
from lfdash.runs.compare.address import of_runs
from lfdash.runs.compare.settings import Cell, SettingRow, plain_text, shortened
from lfdash.runs.compare.table import Measured, NumberRow, numbers_of


def runs_argument() -> click.Argument:
    """RUN RUN ...: two or more."""
    return click.Argument(["runs"], type=RunName(), nargs=-1, required=True, metavar="RUN RUN...")


@command("compare", runs_argument)
def compare(terminal: Terminal, runs: tuple[str, ...]) -> int:
    """A column a run. The numbers are compared at the step to which all runs have come."""
    workspace, ids = terminal.open(), []
    for name in runs:
        workspace, run = chosen(terminal, name)
        ids.append(run.id)
    if len(set(ids)) < 2:
        return terminal.refuse(Refused("compare_one", {"name": run.name}))
    subjects = subjects_of(workspace.services, of_runs(ids))
    settings = settings_of(workspace.services, subjects)
    found = numbers_of([numbers_read(workspace, subject) for subject in subjects])
    if terminal.as_json:
        terminal.give({
            "runs": [{"id": subject.run_id, "name": subject.name} for subject in subjects],
            "settings": [setting_json(row) for row in settings],
            "equal": {"axis": found.axis, "at": found.where},
            "numbers": [number_json(row) for row in found.rows],
        })
        return FINE
    names = [subject.name for subject in subjects]
    shown = [row for row in settings if row.in_effect]
    if shown:
        terminal.say(table([t("ui.compare_settings"), *names], map(setting_cells, shown)))
    elif sum(subject.given.tells for subject in subjects) < 2:
        terminal.say(t("ui.compare_settings_few"))
    else:
        terminal.say(t("ui.compare_settings_none"))
    if found.rows:
        lines = [[row_name(row, found.where), *cells(row, found.where)] for row in found.rows]
        terminal.say("\n" + table([t("ui.compare_numbers"), *names], lines))
    return FINE


def numbers_read(workspace: Workspace, subject: Subject) -> Measured:
    """A run's numbers, read to the end."""
    if subject.view is None:
        return Measured()
    found = measured(workspace.services, subject.view)
    if subject.view.waiting is None:
        workspace.services.feeds.of(subject.view.paths).poll()
    return found


def setting_json(row: SettingRow) -> dict[str, Any]:
    """A setting for a program."""
    return {
        "setting": row.name, "group": row.group, "in_effect": row.in_effect,
        "values": [cell.value for cell in row.cells], "how": [cell.how for cell in row.cells],
    }


def number_json(row: NumberRow) -> dict[str, Any]:
    """A number for a program."""
    return {"column": row.column, "what": row.what, "values": row.values, "steps": row.steps or None,
            "half_life": row.span or None}


def setting_cells(row: SettingRow) -> list[str]:
    """The row of a setting for a person; a default stands in brackets."""
    return [row.name, *shortened([setting_words(cell) for cell in row.cells])]


def setting_words(cell: Cell) -> str:
    """What a run says of a setting."""
    if cell.how == "given":
        return plain_text(cell.value)
    if cell.how == "folder":
        return f"{plain_text(cell.value)} ({t('ui.compare_folder')})"
    return f"({plain_text(cell.value)})" if cell.how == "default" else t(f"ui.compare_{cell.how}")


def row_name(row: NumberRow, where: float | None) -> str:
    """The name of a number's row."""
    if row.what == "at":
        name = f"{row.column}, {t('ui.compare_at_step', value=f'{where or 0:,.0f}')}"
        return t("ui.compare_smoothed", name=name, count=int(row.span)) if row.smoothed else name
    words = t(f"ui.compare_{row.what}")
    if row.what == "best" and not row.smoothed:
        words = t("ui.compare_single", name=words)
    return f"{row.column}, {words}" if row.what in ("best", "last") else words


def cells(row: NumberRow, where: float | None) -> list[str]:
    """The numbers of a row for a person; with the step of one that was logged before the place where all are compared.
    """
    words = [cell(row, value) for value in row.values]
    if row.what != "at":
        return words
    return [
        word if step is None or step == where else f"{word} ({t('ui.compare_at_step', value=f'{step:,.0f}')})"
        for word, step in zip(words, row.steps, strict=True)
    ]


def cell(row: NumberRow, value: float | None) -> str:
    """A number for a person."""
    if value is None:
        return "–"
    if row.what == "duration":
        return seconds(value)
    return f"{value:.6g}" if math.isfinite(value) else "NaN"
