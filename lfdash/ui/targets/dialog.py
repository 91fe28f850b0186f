"""The dialog of the targets: the list, or the fields of one; and the button that opens it."""

from __future__ import annotations

import streamlit as st

from lfdash.engine.services import Services
from lfdash.targets.target import LOCAL
from lfdash.ui.shared import dialogs
from lfdash.ui.shared.text import t
from lfdash.ui.targets import edit, listing
from lfdash.ui.targets.keys import KIND, OPEN, SAID, close, show_list


def open_button(services: Services) -> None:
    """Opens the dialog; also where there is no target yet. The page draws the dialog (`draw_dialog`) wherever it draws
    its others."""
    targets = services.registry.targets.read()
    some = targets.unread or targets.broken or any(row.kind != LOCAL for row in targets.rows.values())
    words = t("targets.button") if some else t("targets.button_first")
    if st.button(words, key="targets_open", type="tertiary", icon=":material/lan:", help=t("targets.about")):
        show_list()
        st.rerun()


def draw_dialog(services: Services) -> None:
    """The dialog, while it is open."""
    if OPEN in st.session_state:
        dialogs.show(t("targets.title"), close, draw, services, icon=":material/lan:")


def draw(services: Services) -> None:
    """What the dialog shows."""
    said = st.session_state.pop(SAID, None)
    if said:
        {"error": st.error, "success": st.success}[said[0]](said[1])
    edits = KIND in st.session_state
    with st.container(key="targets_edit" if edits else "targets_list"):  # what one has more of is not kept in the other
        if edits:
            edit.draw(services)
        else:
            listing.draw(services)
