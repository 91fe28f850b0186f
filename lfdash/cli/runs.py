"""What the commands about runs share: which run RUN is, and a run in words and as JSON."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from lfdash.cli.terminal import Terminal, local_time, number, one_line, pairs, seconds, utc
from lfdash.cli.texts import language, t
from lfdash.engine.facade import Run, Workspace
from lfdash.engine.more import past_end_in
from lfdash.engine.scheduled_words import handed_in, is_handed, is_silent, pending_in, place_in
from lfdash.engine.words import stall_in, waiting_in
from lfdash.outcomes import Refused
from lfdash.runs.listing import RunRow
from lfdash.runs.record import TERMINAL, RunState
from lfdash.runs.view import RunView, just_ended


def chosen(terminal: Terminal, name: str | None) -> tuple[Workspace, Run]:
    """The workspace and the run that RUN means; without a word the newest that goes on, else the newest.

    Ends the command where there is none.
    """
    workspace = terminal.open()
    found = newest(workspace) if name is None else workspace.run(name)
    if isinstance(found, Refused):
        raise click.exceptions.Exit(terminal.refuse(found, **more_of(found)))
    return workspace, found


def more_of(refused: Refused) -> dict[str, Any]:
    """What a program is told besides: the runs that have an ambiguous name."""
    return {"runs": refused.params["runs"]} if refused.code == "run_ambiguous" else {}


def newest(workspace: Workspace) -> Run | Refused:
    """The run that a page would show first."""
    views = workspace.look()
    alive = [view for view in views if view.state not in TERMINAL and view.waiting is None]
    view = next(iter(alive or views), None)
    return Refused("run_none", {"workspace": workspace.path}) if view is None else Run(workspace, view.run_id)


def row_json(row: RunRow) -> dict[str, Any]:
    """A run for a program: the columns of RunRow; its times as text in UTC."""
    return {**dataclasses.asdict(row), "started": utc(row.started), "job_starts": utc(row.job_starts)}


def give_run(terminal: Terminal, run: Run, *, with_place: bool = False) -> None:
    """Tells of one run. with_place: a program is told its place in the queue, too; 0 = it has been started."""
    row, view = run.row(), run.view
    if not terminal.as_json:
        terminal.say(pairs(facts(row, view)))
        return
    place = {"position": view.waiting.position if view.waiting else 0} if with_place else {}
    terminal.give({**row_json(row), **place})


def facts(row: RunRow, view: RunView) -> list[tuple[str, str]]:
    """Everything about a run for a person; what is not known is left out."""
    what = " ".join(word for word in (row.kind, row.model, row.stage, row.method) if word)
    found = [
        (t("ui.runs_col_name"), one_line(row.name)),
        ("ID", row.id),
        (t("ui.runs_col_state"), state_words(row, view)),
        (t("scheduled.target"), one_line(place_in(language(), view)) or "–"),
        (t("ui.runs_col_kind"), what),
        (t("cli.step"), steps(row)),
        (t("cli.loss"), number(row.loss)),
        (t("cli.eval_loss"), number(row.eval_loss)),
        (t("ui.speed"), speed_words(row)),
        (t("ui.runs_col_when"), local_time(row.started)),
        (t("ui.runs_col_duration"), seconds(row.seconds)),
        (t("ui.runs_col_folder"), one_line(str(view.path))),
        (t("cli.exit_code"), "–" if view.exit_code is None else str(view.exit_code)),
        (t("cli.why"), view.error or (past_end(view) if view.past_end else "–")),
    ]
    return [(name, value) for name, value in found if value != "–"]


def speed_words(row: RunRow) -> str:
    """The speed, and which one it is."""
    if row.tokens_per_s is None:
        return "–"
    which = t("ui.speed_whole" if row.state in TERMINAL else "ui.speed_recent")
    return f"{t('ui.speed_value', value=f'{row.tokens_per_s:,.0f}')} ({which})"


def past_end(view: RunView) -> str:
    """That nothing was left to train."""
    return past_end_in(language(), view)


def state_words(row: RunRow, view: RunView) -> str:
    """The state, what a job waits for, and what is to be told of a run beside its state."""
    words = [shown_state(view)]
    there = waits_words(view)
    if there:
        return f"{words[0]}. {there}"
    if view.stall is not None:
        words.append(stall_in(language(), view.stall))
    if view.lost == "pointer":
        words.append(t("ui.lost_pointer"))
    if view.lost == "unlogged":
        words.append(t("cli.lost_unlogged"))
    if row.dead_step is not None:
        words.append(t("ui.dead_since", step=row.dead_step))
    if row.ended_early:
        words.append(t("ui.ended_early", step=row.step, total=row.total))
    return ": ".join([words[0], "; ".join(words[1:])] if len(words) > 1 else words)


def waits_words(view: RunView) -> str:
    """What a run waits for, here or on its cluster; that nobody sees it there, too. "" where it goes on or is over."""
    if view.waiting is not None:
        return waiting_in(language(), view.waiting)
    if view.target and view.unseen:
        return t("scheduled.unseen", target=view.target, reason=view.unseen)
    if view.pending:
        return pending_in(language(), view, None)
    if is_silent(view):
        return t("scheduled.silent_words", target=view.target)
    return handed_in(language(), view) if is_handed(view) else ""


def shown_state(view: RunView) -> str:
    """The word for the state of a run, as the page has it: that it waits in a cluster's queue, too."""
    return t("ui.badge_pending") if view.pending else state_word(view.kind, view.state)


def state_word(kind: str, state: RunState) -> str:
    """The word for a state, as the page has it."""
    return t("ui.badge_ended" if just_ended(kind, state) else f"states.{state.name}")


def short_state(row: RunRow, view: RunView) -> str:
    """The state in a table, with a mark where there is more to tell."""
    marks = [
        ("ui.badge_stalled", row.stalled is not None), ("ui.badge_dead", row.dead_step is not None),
        ("ui.badge_pointer", row.lost == "pointer"), ("ui.badge_unseen", bool(view.target and view.unseen)),
    ]
    told = [t(key) for key, is_so in marks if is_so]
    told += [t("ui.ended_early", step=row.step, total=row.total)] if row.ended_early else []
    state = shown_state(view)
    return f"{state} ({', '.join(told)})" if told else state


def steps(row: RunRow) -> str:
    """How far a run is. What has finished is done, whatever its log has of it: an evaluation may not tell its last
    step."""
    if row.step is None:
        return "–"
    done = row.state is RunState.SUCCEEDED and not row.ended_early and row.total is not None
    return f"{max(row.step, row.total or 0) if done else row.step}/{row.total if row.total is not None else '?'}"
