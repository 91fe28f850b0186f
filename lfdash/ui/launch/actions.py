"""What the buttons do: check, plan, start, stop."""

from __future__ import annotations

import uuid
from typing import Literal

import streamlit as st

from lfdash.engine import plans
from lfdash.jobs.args import build_args, build_env
from lfdash.jobs.field import Problem
from lfdash.jobs.fields import ROWS
from lfdash.jobs.job import JobConfig
from lfdash.launchers.base import Launched, Level, Refused
from lfdash.queue.placement import Ask, ask_of
from lfdash.queue.store import Queued
from lfdash.runs.plan import LaunchPlan
from lfdash.runs.record import RunRecord
from lfdash.ui.form import sidebar
from lfdash.ui.form import state as form
from lfdash.ui.shared.session import Services
from lfdash.ui.shared.text import t

SHOWN = "ui.run"  # id of the run that the page shows
MESSAGE = "ui.message"  # what the last click answered, when it was refused
NOTICE = "ui.notice"  # what the last click did, to be said once
BUSY = "ui.busy"  # a Start that found its devices in use: (why, the resume that it was or None)

How = Literal["start", "queue", "beside"]


def start(services: Services, how: How = "start") -> None:
    """Start (or Queue) was clicked: list the problems, or launch and show the run."""
    launch(services, how)
    st.rerun()  # the button lies in a fragment; the whole page has changed


def launch(services: Services, how: How = "start") -> None:
    """Lists the problems, or launches the form's job (or lets it wait) and shows its run."""
    form.check(True)
    forget_answers()
    reading = form.read()
    errors = [p for p in form.problems(services, reading) if p.level == "error"]
    if errors:
        open_groups(errors)
        return
    form.check(False)
    job = reading.job
    plan = plans.make(services, job, uuid.uuid4().hex[:12])
    keep_secrets(services, job)
    if submit(services, plan, record(job, plan), ask_of(build_args(job), build_env(job)), how):
        form.propose_name(services)
        form.save_draft(services)


def submit(
    services: Services, plan: LaunchPlan, made: RunRecord, ask: Ask, how: How, resume: tuple[str, int] | None = None
) -> bool:
    """Starts a run or puts it into the queue; False, with the reason for the page, when neither happened.

    resume: the run and the step, where it is one.
    """
    registry = services.registry
    if how == "queue":
        outcome: Launched | Queued | Refused = registry.enqueue(plan, made, ask)
    else:
        outcome = registry.launch(plan, made, ask, beside=how == "beside")
    if isinstance(outcome, Refused):
        if outcome.code == "busy":
            st.session_state[BUSY] = (refusal(outcome), resume)
        else:
            st.session_state[MESSAGE] = refusal(outcome)
        return False
    if isinstance(outcome, Queued):
        st.session_state[NOTICE] = t("ui.queued_as", name=made.name, position=outcome.position)
    else:
        st.session_state[SHOWN] = plan.run_id
    return True


def forget_answers() -> None:
    """What earlier clicks were answered is over."""
    st.session_state[MESSAGE] = st.session_state[BUSY] = None


def refusal(refused: Refused) -> str:
    """Why something was refused, in words."""
    if refused.code in ("busy", "never"):
        params = dict(refused.params)
        return t(f"outcomes.{refused.code}", why=t(f"waits.{params.pop('code')}", **params))
    return t(f"outcomes.{refused.code}", **refused.params)


def keep_secrets(services: Services, job: JobConfig) -> None:
    """Hands typed secrets to the registry's memory, the only place that keeps them."""
    for row in ROWS[job.kind]:
        if row.secret and job.sends(row):
            services.registry.set_secret(row.secret, str(job.values[row.id]))


def record(job: JobConfig, plan: LaunchPlan) -> RunRecord:
    """The record that the run's folder will carry."""
    return RunRecord.new(
        plan,
        kind=job.kind,
        name=job.run_name,
        model=job.model_name,
        stage=str(build_args(job).get("stage", "sft")),
        method=str(job.get("top.finetuning_type")),
    )


def open_groups(problems: list[Problem]) -> None:
    """Opens the groups of the fields that have problems, and drops a filter that hides them."""
    st.session_state[sidebar.FILTER] = ""
    for problem in problems:
        group = sidebar.group_of(problem.field or "")
        if group is not None:
            st.session_state[f"open_{group}"] = True


def stop(services: Services, run_id: str, level: Level) -> None:
    """Leaves the wish to stop a run: graceful, term or kill."""
    tell(services.registry.stop(run_id, level))
    st.rerun()


def tell(refused: Refused | None) -> None:
    """Shows why something was refused, or clears what an earlier click was answered."""
    st.session_state[MESSAGE] = refusal(refused) if refused else None
