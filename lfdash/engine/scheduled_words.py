"""What a scheduler says of a run, in words of any language: where it waits, why, and when it is expected to start.

The words of Slurm are those of squeue(1), JOB REASON CODES and JOB STATE CODES. What has no sentence here is told as
Slurm says it.
"""

from __future__ import annotations

import re
from datetime import datetime, tzinfo

from lfdash.locales import in_language, lookup
from lfdash.runs.record import RunState, Scheduled
from lfdash.runs.view import RunView

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


def is_handed(view: RunView) -> bool:
    """Whether a run was given to its target and neither waits nor goes on there, as far as somebody tells."""
    return bool(view.target) and view.state is RunState.STARTING and not view.pending and not view.unseen


def scheduler_name(by: str) -> str:
    """A scheduler's own name."""
    return {"slurm": "Slurm", "ray": "Ray"}.get(by, by)


def own_words(said: Scheduled) -> str:
    """What the scheduler says, untranslated: `Slurm 42: PENDING (Resources)`."""
    reason = f" ({said.reason})" if said.reason and said.reason != "None" else ""
    nodes = f" {said.nodes}" if said.nodes else ""
    return f"{scheduler_name(said.by)} {said.job}: {said.word}{reason}{nodes}"


def reason_in(code: str, reason: str) -> str:
    """Why a job waits, as a sentence. reason: the scheduler's word, which is told where it is none of those that are
    known."""
    reason = re.sub(r"^\((.*)\)$", r"\1", reason.strip())
    if not reason or reason == "None":
        return in_language(code, "scheduled.why_none")
    known = next((text for start, text in REASONS if reason.startswith(start)), "")
    if known and lookup(code, "scheduled", f"why_{known}"):
        return in_language(code, f"scheduled.why_{known}")
    return in_language(code, "scheduled.why_other", reason=reason)


def starts_in(code: str, said: Scheduled, zone: tzinfo | None) -> str:
    """When a job is expected to start; "" where nobody knows. zone: None for the machine's."""
    if said.starts is None:
        return ""
    try:
        when = datetime.fromtimestamp(said.starts, zone)
    except (OverflowError, ValueError, OSError):  # squeue printed what is no time
        return ""
    return in_language(code, "scheduled.starts", when=f"{when:%Y-%m-%d %H:%M}")


def pending_in(code: str, view: RunView, zone: tzinfo | None) -> str:
    """That a run waits at its target (`view.pending`), why, and until when."""
    said = view.scheduled
    assert said is not None
    head = in_language(code, "scheduled.waits", by=scheduler_name(said.by), target=view.target, job=said.job)
    return " ".join(filter(None, (head, reason_in(code, said.reason), starts_in(code, said, zone))))


def handed_in(code: str, view: RunView) -> str:
    """That a run was given to its target and has not begun there: its scheduler sets it up, or has not been asked
    yet."""
    said = view.scheduled
    key = "setting_up" if said is not None else "handed"
    nodes = said.nodes if said is not None and said.nodes else view.target
    return in_language(code, f"scheduled.{key}", target=view.target, nodes=nodes)


def place_in(code: str, view: RunView) -> str:
    """Where a run on a target is, or was: its target, and the nodes and the number of its job as far as the scheduler
    tells; "" for one of this machine."""
    target, said = view.target, view.scheduled
    if not target:
        return ""
    nodes = said.nodes if said is not None else ""
    job = in_language(code, "scheduled.job", by=scheduler_name(said.by), job=said.job) if said is not None else ""
    return " · ".join(filter(None, (target, nodes, job)))


def ended_in(code: str, view: RunView) -> str:
    """Who ended a run that was stopped, where that was not somebody here; "" else."""
    end = view.record.last.exit if view.record is not None else None
    if view.state is not RunState.STOPPED or end is None or not view.target:
        return ""
    return in_language(code, f"scheduled.ended_{end.by}") if end.by in ("signal", "time_limit", "preempted") else ""
