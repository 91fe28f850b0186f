"""Dialogs that are open: they are drawn at each drawing of the page until somebody closes them, and nothing draws the
whole page by itself meanwhile: that makes a dialog anew, and whoever reads in it begins again.

Closing one draws the page, which then says what has happened since.
"""

from __future__ import annotations

import streamlit as st

ALERTS, PREVIEW = "alerts.open", "form.preview"  # session keys, there while the dialog is open


def is_open() -> bool:
    """Whether somebody reads in a dialog."""
    return ALERTS in st.session_state or PREVIEW in st.session_state
