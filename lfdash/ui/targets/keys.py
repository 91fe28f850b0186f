"""What the dialog of the targets keeps in the session while it is open; all of it is forgotten when it is closed."""

from __future__ import annotations

import streamlit as st

from lfdash.targets.target import Kind, Target
from lfdash.targets.typed import names, texts_of
from lfdash.ui.shared import dialogs

OPEN = dialogs.TARGETS
PAGE = "targets"  # the dialog, as `keyed` names pages
PREFIX = "targets."
KIND = "targets.kind"  # of the target that is edited; the list is shown where there is none
BEFORE = "targets.before"  # the row that was opened, None for a new one
NAME = "targets.name"
TRIED = "targets.tried"  # whether Save was pressed: only then is told what is missing
SAID = "targets.said"  # what the last click was answered: (kind of box, words)
SAVED = "targets.new_name"  # of the target that was just made: it is offered to the form
REFUSED = "targets.refused"  # why Save has changed nothing
REMOVE = "targets.remove"  # the name of the target that is asked about


def field_key(name: str) -> str:
    """The key of a field."""
    return f"targets.field.{name}"


def close() -> None:
    """The dialog was closed; what was typed in it is forgotten."""
    for key in [str(key) for key in st.session_state if str(key).startswith(PREFIX)]:
        st.session_state.pop(key, None)


def show_list() -> None:
    """Goes back to the list."""
    kept = {key: st.session_state[key] for key in (SAID, SAVED) if key in st.session_state}
    close()
    st.session_state[OPEN] = True
    st.session_state.update(kept)


def edit(kind: Kind, before: Target | None = None, like: Target | None = None) -> None:
    """Opens the fields. before: the row that is to be changed; like: one whose values a new one begins with."""
    close()
    shown = before or like
    texts = texts_of(shown) if shown is not None else {}
    st.session_state[OPEN] = True
    st.session_state[KIND] = kind
    st.session_state[BEFORE] = before
    st.session_state[NAME] = before.name if before is not None else ""
    for name in names(kind):
        st.session_state[f"targets.field.{name}"] = texts.get(name, "")


def typed(kind: Kind) -> dict[str, str]:
    """What the fields hold."""
    return {name: str(st.session_state.get(field_key(name)) or "") for name in names(kind)}


def empty_is_none(name: str) -> None:
    """What a list takes for no choice."""
    st.session_state[f"targets.field.{name}"] = st.session_state.get(field_key(name)) or None
