"""The second half of a slow double click: where a list moves up under the pointer it would press the next row."""

from __future__ import annotations

import time

import streamlit as st

APART_S = 0.6  # a double click is no slower; nobody reads the next row faster


def is_first(name: str) -> bool:
    """Whether a click is not the second one of a double click. name: of the list."""
    now = time.monotonic()
    before = st.session_state.get(f"clicks.{name}")
    if before is not None and now - before < APART_S:
        return False
    st.session_state[f"clicks.{name}"] = now
    return True
