"""What a scheduler says of a run, in words: where it waits, why, and when it is expected to start.

The words of Slurm are those of squeue(1), JOB REASON CODES and JOB STATE CODES. What has no sentence here is shown as
Slurm says it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import streamlit as st

from lfdash.engine.scheduler_words import place_of
from lfdash.runs.record import RunState, Scheduled
from lfdash.runs.view import RunView
from lfdash.ui.shared.text import lookup, markdown_safe, t

SILENT_S = 60.0  # since the start of a run; before that its scheduler may not have been asked yet
# the beginning of a reason -> its text; the longer one first
REASONS = (
    ("Nodes required for job are DOWN", "nodes_down"), ("ReqNodeNotAvail", "nodes_down"), ("NodeDown", "nodes_down"),
    ("PartitionDown", "partition_down"), ("PartitionInactive", "partition_down"), ("Partition", "partition_limit"),
    ("Resources", "resources"), ("Priority", "priority"), ("Reservation", "reservation"), ("JobHeld", "held"),
    ("BadConstraints", "constraints"), ("BeginTime", "begin"), ("Dependency", "dependency"), ("Licenses", "licenses"),
    ("InvalidAccount", "account"), ("InvalidQOS", "account"), ("Assoc", "limit"), ("QOS", "limit"),
    ("MaxGRESPerAccount", "limit"), ("job requeued in held state", "held"), ("launch failed", "held"),
)


def is_silent(view: RunView) -> bool:
    """Whether a run on a target goes on, and its scheduler has said nothing of it: it does not answer, or has lost it;
    the run is seen by its heartbeat alone."""
    going = view.state in (RunState.RUNNING, RunState.STOPPING) and view.unseen is None and view.scheduled is None
    return bool(view.target) and going and (view.elapsed_s or 0) > SILENT_S


def scheduler_name(by: str) -> str:
    """A scheduler's own name."""
    return {"slurm": "Slurm", "ray": "Ray"}.get(by, by)


def own_words(said: Scheduled) -> str:
    """What the scheduler says, untranslated: `Slurm 42: PENDING (Resources)`."""
    reason = f" ({said.reason})" if said.reason and said.reason != "None" else ""
    nodes = f" {said.nodes}" if said.nodes else ""
    return f"{scheduler_name(said.by)} {said.job}: {said.word}{reason}{nodes}"


def state_help(view: RunView) -> str:
    """What is told of a run's state to whoever points at it: the scheduler's own words; "" where there is none."""
    return own_words(view.scheduled) if view.scheduled is not None else ""


def reason_words(said: Scheduled) -> str:
    """Why a job waits, as a sentence; the scheduler's own word where that is not one of those that are known."""
    reason = re.sub(r"^\((.*)\)$", r"\1", said.reason.strip())
    if not reason or reason == "None":
        return t("scheduled.why_none")
    code = next((code for start, code in REASONS if reason.startswith(start)), "")
    found = lookup("scheduled", f"why_{code}") if code else None
    return str(found) if found else t("scheduled.why_other", reason=reason)


def starts_words(said: Scheduled) -> str:
    """When a job is expected to start, in the browser's time; "" where nobody knows."""
    if said.starts is None:
        return ""
    zone = ZoneInfo(st.context.timezone) if st.context.timezone else UTC
    return t("scheduled.starts", when=f"{datetime.fromtimestamp(said.starts, zone):%Y-%m-%d %H:%M}")


def pending_words(view: RunView) -> str:
    """That a run waits at its target, why, and until when, in Markdown."""
    said = view.scheduled
    assert said is not None
    head = t("scheduled.waits", by=scheduler_name(said.by), target=view.target, job=said.job)
    return markdown_safe(" ".join(filter(None, (head, reason_words(said), starts_words(said)))))


def handed_words(view: RunView) -> str:
    """That a run was given to its target and has not begun there, in Markdown: its scheduler sets it up, or has not
    been asked yet."""
    said = view.scheduled
    key = "setting_up" if said is not None else "handed"
    nodes = said.nodes if said is not None and said.nodes else view.target
    return markdown_safe(t(f"scheduled.{key}", target=view.target, nodes=nodes))


def place_words(view: RunView) -> str:
    """Where a run on a target is, or was: its target, and the nodes and the number of its job as far as the scheduler
    tells; "" for one of this machine."""
    target, said = view.target, view.scheduled
    if not target:
        return ""
    nodes = said.nodes if said is not None else ""
    job = t("scheduled.job", by=scheduler_name(said.by), job=said.job) if said is not None else ""
    return " · ".join(filter(None, (target, nodes, job)))


def was_words(view: RunView) -> str:
    """Where a run on a target that is over was: what whoever asks the cluster about it is asked; "" for others, and
    where nothing but the target is known."""
    job, node = place_of(view)
    if view.record is None or not (job or node):
        return ""
    by = scheduler_name(view.record.launcher.partition(":")[0])
    return " · ".join(filter(None, (view.target, node, t("scheduled.job", by=by, job=job) if job else "")))


def ended_words(view: RunView) -> str:
    """Who ended a run that was stopped, where that was not somebody here; "" else."""
    end = view.record.last.exit if view.record is not None else None
    if view.state is not RunState.STOPPED or end is None or not view.target:
        return ""
    return t(f"scheduled.ended_{end.by}") if end.by in ("signal", "time_limit") else ""
