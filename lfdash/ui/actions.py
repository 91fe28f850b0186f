"""What the buttons do: check, plan, start, stop."""

from __future__ import annotations

import uuid
from typing import Any

import streamlit as st

from lfdash.args import build_args
from lfdash.field import Problem
from lfdash.fields import ROWS
from lfdash.job import JobConfig
from lfdash.launchers.base import Launched, Level
from lfdash.plan import LaunchPlan
from lfdash.run import RunRecord
from lfdash.ui import form, plans, sidebar
from lfdash.ui.session import Services
from lfdash.ui.text import t

SHOWN = "ui.run"  # id of the run that the page shows
MESSAGE = "ui.message"  # what the last click answered, when it was refused


def start(services: Services) -> None:
    """Start was clicked: list the problems, or launch and show the run."""
    launch(services)
    st.rerun()  # the button lies in a fragment; the whole page has changed


def launch(services: Services) -> None:
    """Lists the problems, or launches the form's job and shows its run."""
    form.check(True)
    st.session_state[MESSAGE] = None
    reading = form.read()
    errors = [p for p in form.problems(services, reading) if p.level == "error"]
    if errors:
        open_groups(errors)
        return
    job = reading.job
    run_id = uuid.uuid4().hex[:12]
    plan = plans.make(services, job, run_id)
    keep_secrets(services, job)
    outcome = services.registry.launch(plan, record(job, plan))
    if not isinstance(outcome, Launched):
        st.session_state[MESSAGE] = t(f"outcomes.{outcome.code}", **outcome.params)
        return
    st.session_state[SHOWN] = run_id
    form.check(False)
    form.propose_name(services)
    form.save_draft(services)


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
    refused = services.registry.stop(run_id, level)
    st.session_state[MESSAGE] = t(f"outcomes.{refused.code}", **refused.params) if refused else None
    st.rerun()


def problem_text(problem: Problem) -> dict[str, Any]:
    """A problem as the page lists it: the sentence and the field it belongs to."""
    return {"text": t(f"problems.{problem.code}", **problem.params), "field": problem.field}
