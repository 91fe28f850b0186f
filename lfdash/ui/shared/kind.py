"""Which kind of job the page is about: the session keys of both kinds of form lie side by side."""

from __future__ import annotations

import streamlit as st

KIND = "ui.kind"


def use(kind: str) -> None:
    """Says what the page that is drawn now is about: "train" or "eval"."""
    st.session_state[KIND] = kind


def kind() -> str:
    """The kind of job of the page."""
    return str(st.session_state.get(KIND, "train"))


def scoped(name: str) -> str:
    """A session key of this kind's own form."""
    return f"{kind()}.form.{name}"
