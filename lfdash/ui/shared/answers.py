"""What the last click was answered, kept in the session until it has been shown."""

from __future__ import annotations

import streamlit as st

from lfdash import locales
from lfdash.outcomes import Refused
from lfdash.ui.shared.text import language

SHOWN = "page.run"  # id of the run that the page shows
MESSAGE = "page.message"  # what the last click on something of a run was answered, when it was refused
FORM_MESSAGE = "page.form_message"  # what the last click on Start was answered, when it was refused
NOTICE = "page.notice"  # what the last click did, to be said once
ROOM = "page.busy_chats"  # run ids of the chats that alone have what that Start wants
BUSY = "page.busy"  # a Start that found its devices in use: (why, name of its kind, the resume that it was or None)


def forget_answers() -> None:
    """What earlier clicks were answered is over."""
    st.session_state[MESSAGE] = st.session_state[FORM_MESSAGE] = st.session_state[BUSY] = None
    st.session_state[ROOM] = ()


def refusal(refused: Refused) -> str:
    """Why something was refused, in words."""
    return locales.refusal_in(language(), refused)


def tell(refused: Refused | None) -> None:
    """Shows why something was refused, or clears what an earlier click was answered."""
    st.session_state[MESSAGE] = refusal(refused) if refused else None
