"""The fields that the forms of all kinds share (the model, its adapters): each form keeps its own values of them."""

from __future__ import annotations

import streamlit as st

from lfdash.jobs.fields import FIELDS
from lfdash.jobs.kinds import BY_NAME
from lfdash.ui.form.held import HeldForm
from lfdash.ui.form.keys import scoped

ENTERED = "page.entered_kind"  # the name of the kind whose values the fields have that all kinds share
SHARED = "shared"  # what those fields hold, while another kind has them
TOP = tuple(row.id for row in FIELDS if row.scope == "top")


def enter(form: HeldForm) -> None:
    """Gives the fields that all kinds share (the model, its adapters) what this form holds; one that holds nothing
    yet begins with what the one before has.

    A run that is chosen for an evaluation must not become what the next training starts from.
    """
    before = st.session_state.get(ENTERED)
    if before == form.kind.name:
        return
    st.session_state[ENTERED] = form.kind.name
    if before in BY_NAME:
        held = {name: st.session_state[name] for name in TOP if name in st.session_state}
        st.session_state[scoped(BY_NAME[before], SHARED)] = held
    st.session_state.update(st.session_state.pop(form.key(SHARED), {}))
