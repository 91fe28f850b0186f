"""`lfdash sweep FILE`, `lfdash sweep ls|show|stop|go-on [SWEEP]`: several values for settings of a job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from lfdash.cli.commands import command, set_option, target_option
from lfdash.cli.jobs import config_of, notes_of, problem_json, problem_line, tell
from lfdash.cli.terminal import FINE, WRONG_USE, Terminal, local_time, number, table, utc
from lfdash.cli.texts import language, t
from lfdash.engine.facade import Workspace
from lfdash.engine.opening import NAMED
from lfdash.engine.sweep_opening import OpenedSweep, open_sweep
from lfdash.engine.sweep_views import SweepView, TrialView, braked_by, how_measured, planned
from lfdash.engine.sweeps import Sweeps
from lfdash.jobs.sweep import Sweep
from lfdash.jobs.sweep_values import key_of, told
from lfdash.locales import refusal_in
from lfdash.outcomes import Problem, Refused, Value

NEED_ONE = ("show", "stop", "go-on")


def what_argument() -> click.Argument:
    """FILE, or what is to be done."""
    return click.Argument(["what"], required=True, metavar="FILE|ls|show|stop|go-on")


def sweep_argument() -> click.Argument:
    """The id or name of a sweep."""
    return click.Argument(["sweep"], required=False, metavar="[SWEEP]")


def dry_run_option() -> click.Option:
    """--dry-run."""
    return click.Option(["--dry-run", "dry_run"], is_flag=True, help=t("cli.opt_sweep_dry_run"))


@command("sweep", what_argument, sweep_argument, set_option, target_option, dry_run_option)
def sweep(
    terminal: Terminal, what: str, sweep: str | None, changes: Mapping[str, Any], target: str | None, dry_run: bool
) -> int:
    """Makes a sweep of a file, or does what is said with one that is there."""
    if (what in NEED_ONE) != (sweep is not None):
        terminal.note(f"lfdash: {t('cli.sweep_which', what=what)}")
        return WRONG_USE
    if what == "ls":
        return listed(terminal)
    if sweep is not None:
        return told_or_changed(terminal, what, sweep)
    return made(terminal, what, changes, target, dry_run=dry_run)


def made(
    terminal: Terminal, file: str, changes: Mapping[str, Any], target: str | None, *, dry_run: bool
) -> int:
    """Makes the sweep of a file; with `dry_run` only says what it would be."""
    workspace = terminal.open(create=not dry_run)
    workspace.services.ask_other_version()
    workspace.look()
    opened = open_sweep(workspace.services, config_of(file), changes, target)
    if isinstance(opened, Refused):
        return terminal.refuse(opened)
    if opened.sweep is None:
        return refused(terminal, opened, opened.problems)
    sweeps = Sweeps(workspace.services)
    if dry_run:
        problems = sweeps.problems(opened.job, opened.sweep)
        if any(problem.level == "error" for problem in problems):
            return refused(terminal, opened, problems)
        return would_be(terminal, opened, opened.sweep, problems)
    found = sweeps.create(opened.job, opened.sweep)
    if isinstance(found, Refused):
        wrong = found.params.get("problems")
        return refused(terminal, opened, wrong) if wrong else terminal.refuse(found)
    if terminal.as_json:
        terminal.give(as_json(found))
        return FINE
    tell(terminal, opened.job, (), notes_of(opened.opened, (NAMED,)))
    terminal.say(found.id)
    terminal.note(t("cli.sweep_made", name=found.name, count=found.count))
    return FINE


def refused(terminal: Terminal, opened: OpenedSweep, problems: tuple[Problem, ...]) -> int:
    """Says everything that is wrong with a sweep."""
    refusal = Refused("problems", {"count": sum(problem.level == "error" for problem in problems)})
    if terminal.as_json:
        return terminal.refuse(refusal, problems=[problem_json(opened.job, problem) for problem in problems])
    for problem in problems:
        terminal.note(problem_line(opened.job, problem))
    return terminal.refuse(refusal)


def would_be(terminal: Terminal, opened: OpenedSweep, sweep: Sweep, problems: tuple[Problem, ...]) -> int:
    """Says which runs a sweep would have."""
    runs = planned(sweep)
    keys = [key_of(one.row) for one in sweep.dimensions]
    if terminal.as_json:
        rows = [{"name": run.name, "settings": by_key(sweep, run.values)} for run in runs]
        terminal.give({"count": sweep.count, "sweep": sweep.written(), "runs": rows})
        return FINE
    tell(terminal, opened.job, problems, notes_of(opened.opened, (NAMED,)))
    if runs:
        lines = [[run.name, *(told(value) for value in run.values.values())] for run in runs]
        terminal.say(table([t("ui.runs_col_name"), *keys], lines))
    terminal.note(t("cli.sweep_count", count=sweep.count))
    return FINE


def listed(terminal: Terminal) -> int:
    """A row a sweep, the newest first."""
    sweeps = Sweeps(terminal.open().services)
    try:
        views, broken = sweeps.views(), sweeps.unreadable()
    except OSError as error:
        return terminal.refuse(sweeps.unlisted(error))
    for refused in broken:
        terminal.note(refusal_in(language(), refused))
    if terminal.as_json:
        terminal.give([as_json(view, trials=False) for view in views])
        return FINE
    if not views:
        terminal.note(t("sweep.none"))
        return FINE
    head = ["id", t("ui.runs_col_name"), t("sweep.state"), t("sweep.runs"), t("sweep.best"), t("sweep.created")]
    terminal.say(table(head, [
        [
            view.id, view.name, t(f"sweep.{view.state}"), progress(view),
            f"{view.best.name} {view.sweep.metric}={number(view.best.value)}" if view.best else "–",
            local_time(view.created),
        ]
        for view in views
    ]))
    return FINE


def told_or_changed(terminal: Terminal, what: str, name: str) -> int:
    """Shows, stops or goes on with a sweep."""
    workspace: Workspace = terminal.open()
    workspace.look()
    sweeps = Sweeps(workspace.services)
    view = sweeps.get(name)
    if isinstance(view, Refused):
        return terminal.refuse(view)
    if what != "show":
        outcome = sweeps.stop(view.id) if what == "stop" else sweeps.go_on(view.id)
        if outcome is not None:
            return terminal.refuse(outcome)
        view = sweeps.get(view.id)
        if isinstance(view, Refused):
            return terminal.refuse(view)
    if terminal.as_json:
        terminal.give(as_json(view))
        return FINE
    terminal.note(f"{view.name}: {t(f'sweep.{view.state}')}, {progress(view)}")
    if view.braked:
        terminal.note(t("sweep.braked", **braked_by(view, t)))
    keys = [key_of(one.row) for one in view.sweep.dimensions]
    head = [t("ui.runs_col_name"), *keys, view.sweep.metric, t("sweep.state")]
    terminal.say(table(head, [cells(view, trial) for trial in view.last]))
    if view.best is not None:
        terminal.note(f"* {how_measured(view, view.best, t)}")
    if view.importance:
        parts = ", ".join(f"{key} {part:.0%}" for key, part in view.importance.items())
        terminal.note(f"{t('sweep.importance')}: {parts}")
    return FINE


def progress(view: SweepView) -> str:
    """How many of its runs have ended, of how many."""
    return f"{view.ended}/{view.count}"


def cells(view: SweepView, trial: TrialView) -> list[str]:
    """A trial's cells; the best is marked."""
    values = [told(trial.values[one.field]) if one.field in trial.values else "–" for one in view.sweep.dimensions]
    mark = " *" if view.best is not None and trial.number == view.best.number else ""
    state = t(f"sweep.{trial.state}")
    if trial.tries > 1:
        state = f"{state} · {t('sweep.tries', count=trial.tries)}"
    return [trial.name or "–", *values, f"{number(trial.value)}{mark}", state]


def by_key(sweep: Sweep, values: Mapping[str, Value]) -> dict[str, Value]:
    """Values by what their settings are called in the file."""
    return {key_of(one.row): values[one.field] for one in sweep.dimensions if one.field in values}


def as_json(view: SweepView, *, trials: bool = True) -> dict[str, Any]:
    """A sweep for a program."""
    best = view.best
    rows = [
        {
            "number": one.number, "run_id": one.run_id, "run": one.name or None, "state": one.state, "value": one.value,
            "at": one.at, "reason": one.reason or None, "tried_again": one.superseded,
            "settings": by_key(view.sweep, one.values),
        }
        for one in view.trials
    ]
    return {
        "id": view.id, "name": view.name, "state": view.state, "created": utc(view.created), "count": view.count,
        "ended": view.ended, "braked": view.braked, "failed_again": view.again,
        "metric": view.sweep.metric, "direction": view.sweep.direction,
        "best": None if best is None else {"run_id": best.run_id, "run": best.name, "value": best.value},
        "importance": view.importance, "sweep": view.sweep.written(), **({"trials": rows} if trials else {}),
    }
