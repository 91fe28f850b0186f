"""A page with a part of its own: a button that counts the ticks, and what a click on it tells the server."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from lfdash.ui.shared import browser_part

browser_part.FOLDER = Path(__file__).resolve().parent


@st.fragment(run_every=0.5)
def tick() -> None:
    """Counts."""
    st.session_state["n"] = st.session_state.get("n", 0) + 1
    told = browser_part.mount("counter", "here", {"n": st.session_state["n"]}, on_asked_change=lambda: None)
    st.text(f"asked {told.asked}")


tick()
