"""What the last click was answered, kept in the session until it has been shown."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from lfdash import locales
from lfdash.jobs.job import JobConfig
from lfdash.outcomes import Refused
from lfdash.ui.shared.text import language

SHOWN = "page.run"  # id of the run that the page shows
MESSAGE = "page.message"  # what the last click on something of a run was answered, when it was refused
FORM_MESSAGE = "page.form_message"  # what the last click on Start was answered, when it was refused
NOTICE = "page.notice"  # what the last click did, to be said once
BUSY = "page.busy"  # a Start that found its devices in use: a `Busy`, or None


@dataclass(frozen=True)
class Busy:
    """What is asked after a Start that found its devices in use.

    why: in words. kind: of the job, by its name. resume: what goes on with a run, (its id, the step) or a
    `next_steps.Longer`; None: it was the job in the form. runs: ids of the runs that have the devices; () where others
    have a part of them. chats: ids of the chats that alone have them. job: what the form held.
    """

    why: str
    kind: str
    resume: object = None
    runs: tuple[str, ...] = ()
    chats: tuple[str, ...] = ()
    job: JobConfig | None = None


def forget_answers() -> None:
    """What earlier clicks were answered is over."""
    st.session_state[MESSAGE] = st.session_state[FORM_MESSAGE] = st.session_state[BUSY] = None


def refusal(refused: Refused) -> str:
    """Why something was refused, in words."""
    return locales.refusal_in(language(), refused)


def tell(refused: Refused | None) -> None:
    """Shows why something was refused, or clears what an earlier click was answered."""
    st.session_state[MESSAGE] = refusal(refused) if refused else None
