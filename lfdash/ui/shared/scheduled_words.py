"""What a scheduler says of a run, in the words of the page: `engine/scheduled_words.py` has them."""

from __future__ import annotations

from datetime import UTC
from zoneinfo import ZoneInfo

import streamlit as st

from lfdash.engine.scheduled_words import (
    ended_in,
    handed_in,
    is_silent,
    own_words,
    pending_in,
    place_in,
    scheduler_name,
)
from lfdash.engine.scheduler_words import place_of
from lfdash.runs.view import RunView
from lfdash.ui.shared.text import language, markdown_safe, t

__all__ = [
    "ended_words", "handed_words", "is_silent", "own_words", "pending_words", "place_words", "scheduler_name",
    "state_help", "was_words",
]


def state_help(view: RunView) -> str:
    """What is told of a run's state to whoever points at it: the scheduler's own words; "" where there is none."""
    return own_words(view.scheduled) if view.scheduled is not None else ""


def pending_words(view: RunView) -> str:
    """That a run waits at its target, why, and until when by the browser's clock, in Markdown."""
    zone = ZoneInfo(st.context.timezone) if st.context.timezone else UTC
    return markdown_safe(pending_in(language(), view, zone))


def handed_words(view: RunView) -> str:
    """That a run was given to its target and has not begun there, in Markdown."""
    return markdown_safe(handed_in(language(), view))


def place_words(view: RunView) -> str:
    """Where a run on a target is, or was; "" for one of this machine."""
    return place_in(language(), view)


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
    return ended_in(language(), view)
