"""Dialogs that are open: they are drawn at each drawing of the page until somebody closes them, and nothing draws the
whole page by itself meanwhile: that makes a dialog anew, and whoever reads in it begins again.

Closing one draws the page, which then says what has happened since.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import streamlit as st

# session keys, there while the dialog is open
ALERTS, PREVIEW, SEES, SWEEP = "alerts.open", "form.preview", "form.sees", "sweep.open"
MEMORY, TARGETS = "memory.open", "targets.open"


def show(title: str, close: Callable[[], None], draw: Callable[..., None], *args: Any, icon: str | None = None) -> None:
    """Shows a dialog. close: called when somebody closes it. draw, args: what draws what is in it."""
    st.dialog(title, width="large", icon=icon, on_dismiss=partial(dismissed, close))(draw)(*args)


def dismissed(close: Callable[[], None]) -> None:
    """Somebody has closed a dialog. By itself only that part of the page would follow which has opened it."""
    close()
    st.rerun()


def is_open() -> bool:
    """Whether somebody reads in a dialog."""
    return any(key in st.session_state for key in (ALERTS, PREVIEW, SEES, SWEEP, MEMORY, TARGETS))
