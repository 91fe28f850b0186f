"""The run that the address names: a link and a reload show it, Back and Forward go through those that were shown."""

from __future__ import annotations

import streamlit as st

from lfdash.ui.shared.answers import SHOWN

RUN = "run"
TOLD = "page.address_run"  # what this page put into the address last


def follow() -> None:
    """Shows the run that the address names, where somebody else changed the address: the browser went back or forward.
    """
    asked = st.query_params.get(RUN)
    if asked and asked != st.session_state.get(TOLD):
        st.session_state[SHOWN] = asked


def tell(run_id: str) -> None:
    """Puts the run that is shown into the address."""
    if st.query_params.get(RUN) != run_id:
        st.query_params[RUN] = run_id
    st.session_state[TOLD] = run_id
