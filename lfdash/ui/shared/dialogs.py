"""Dialogs that are open: they are drawn at each drawing of the page until somebody closes them, and nothing draws the
whole page by itself meanwhile: that makes a dialog anew, and whoever reads in it begins again.

Closing one draws the page, which then says what has happened since.
"""

from __future__ import annotations

import streamlit as st

# session keys, there while the dialog is open
ALERTS, PREVIEW, SEES, SWEEP = "alerts.open", "form.preview", "form.sees", "sweep.open"
MEMORY, TARGETS = "memory.open", "targets.open"


def is_open() -> bool:
    """Whether somebody reads in a dialog."""
    return any(key in st.session_state for key in (ALERTS, PREVIEW, SEES, SWEEP, MEMORY, TARGETS))
