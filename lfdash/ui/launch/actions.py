"""What the buttons do: check, plan, start, stop."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace

import streamlit as st

from lfdash.engine import submit as launching
from lfdash.engine.chat.making_room import holders, only_chats
from lfdash.engine.plans import Prepared, prepare
from lfdash.engine.services import Services
from lfdash.engine.submit import How, keep_secrets
from lfdash.jobs.job import JobConfig
from lfdash.launchers.base import Level
from lfdash.outcomes import Problem, Refused
from lfdash.queue.store import Queued
from lfdash.runs.record import TERMINAL
from lfdash.ui.form import preview, run_name, sidebar
from lfdash.ui.form.state import Form
from lfdash.ui.shared.answers import (
    BUSY,
    FORM_MESSAGE,
    MESSAGE,
    NOTICE,
    SHOWN,
    Busy,
    forget_answers,
    refusal,
    tell,
)
from lfdash.ui.shared.run_words import queued_words
from lfdash.ui.shared.text import t

STARTED = "page.started"  # (the job that was started last, when that was answered)
PROBLEMS = "form.problems_open"  # whether the list of what is wrong is open
REFUSED = "form.refused"  # how many clicks on Start found errors
END_OF_CHAT: Level = "term"  # there is nothing to save
SECOND_CLICK_S = 0.7  # between an answer and a click that was meant for what was there before


def start(form: Form, how: How = "start") -> None:
    """Start (or Queue) was clicked: list the problems, or launch and show the run."""
    launch(form, how)
    st.rerun()  # the button lies in a fragment; the whole page has changed


def launch(form: Form, how: How = "start") -> None:
    """Lists the problems, or launches the form's job (or lets it wait) and shows its run."""
    form.check(True)
    forget_answers()
    run_name.refresh(form)
    reading = form.read()
    errors = [p for p in form.problems(reading) if p.level == "error"]
    if errors:
        st.session_state[PROBLEMS] = True
        st.session_state[REFUSED] = st.session_state.get(REFUSED, 0) + 1
        open_groups(errors)
        return
    form.check(False)
    job = reading.job
    if is_second_click(job, how):
        st.session_state[NOTICE] = t("ui.started_already")
        return
    prepared = prepare(form.services, job, t("ui.yaml_header"), preview.take_id(form))
    keep_secrets(form.services, job)
    if submit(form.services, prepared, how, job=job):
        st.session_state[STARTED] = (what_was_clicked(job, how), time.monotonic())
        run_name.propose(form)
        form.save_draft()


def what_was_clicked(job: JobConfig, how: How) -> tuple[How, JobConfig]:
    """A click on Start, whatever name the run was to have: a second click finds the next one proposed."""
    name = f"{job.kind}.output_dir"
    return how, replace(job, values={key: value for key, value in job.values.items() if key != name})


def is_second_click(job: JobConfig, how: How) -> bool:
    """Whether the same job was started by a click that was answered a moment ago: nobody has read that answer. What
    waits in the queue can be taken out again, and may be wanted several times."""
    if how == "queue":
        return False
    clicked, when = st.session_state.get(STARTED, (None, 0.0))
    return bool(clicked == what_was_clicked(job, how) and time.monotonic() - when < SECOND_CLICK_S)


def submit(
    services: Services, prepared: Prepared, how: How, resume: object = None, job: JobConfig | None = None
) -> bool:
    """Starts a run or puts it into the queue; False, with the reason for the page, when neither happened.

    resume: what goes on with which run, where it is not a job of the form: see `Busy`. job: of the form, else.
    """
    outcome = launching.submit(services, prepared, how)
    if isinstance(outcome, Refused):
        if outcome.code == "busy":
            st.session_state[BUSY] = busy_with(services, outcome, prepared.record.kind, resume, job)
        else:
            st.session_state.update({FORM_MESSAGE if resume is None else MESSAGE: refusal(outcome)})
        return False
    if isinstance(outcome, Queued):
        st.session_state[NOTICE] = queued_words(prepared.record.name, outcome)
    else:
        st.session_state[SHOWN] = prepared.plan.run_id
    return True


def busy_with(services: Services, busy: Refused, kind: str, resume: object, job: JobConfig | None) -> Busy:
    """What is asked where devices are in use. busy: the refusal, which names those that have them."""
    views, names = services.registry.snapshot(), holders(busy.params)
    runs = [view for view in views if view.name in names and view.state not in TERMINAL]
    whole = {view.name for view in runs} == names  # else somebody has a part whose end is not seen here
    chats = only_chats(views, busy.params)
    return Busy(
        refusal(busy), kind, resume, tuple(view.run_id for view in runs) if whole else (),
        tuple(view.run_id for view in chats), job,
    )


def open_groups(problems: list[Problem]) -> None:
    """Opens the groups of the fields that have problems, and drops a filter that hides them."""
    st.session_state[sidebar.FILTER] = ""
    for problem in problems:
        group = sidebar.group_of(problem.field or "")
        if group is not None:
            st.session_state[f"open_{group}"] = True


def end_chats(services: Services, run_ids: Iterable[str]) -> None:
    """Ends chats, so that who waits for their device can start."""
    outcomes = [services.registry.stop(run_id, END_OF_CHAT) for run_id in run_ids]
    tell(next((outcome for outcome in outcomes if outcome is not None), None))


def stop(services: Services, run_id: str, level: Level) -> None:
    """Leaves the wish to stop a run: graceful, term or kill."""
    tell(services.registry.stop(run_id, level))
    st.rerun()


