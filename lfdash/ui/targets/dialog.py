"""The dialog of the targets: the list, or the fields of one; and the button that opens it."""

from __future__ import annotations

import streamlit as st

from lfdash.engine.services import Services
from lfdash.targets.target import LOCAL
from lfdash.ui.shared import dialogs
from lfdash.ui.shared.text import t
from lfdash.ui.targets import edit, listing
from lfdash.ui.targets.keys import KIND, OPEN, SAID, SAVED, close, show_list
from lfdash.ui.targets.listing import Use


def open_button(services: Services) -> None:
    """Opens the dialog; also where there is no target yet. The page draws the dialog (`draw_dialog`) wherever it draws
    its others."""
    targets = services.registry.targets.read()
    some = targets.unread or targets.broken or any(row.kind != LOCAL for row in targets.rows.values())
    words = t("targets.button") if some else t("targets.button_first")
    if st.button(words, key="targets_open", type="tertiary", icon=":material/lan:", help=t("targets.about")):
        show_list()
        st.rerun()


def draw_dialog(services: Services, use: Use | None = None) -> None:
    """The dialog, while it is open. use: chooses a target for the form of the page; None where the form takes none."""
    if OPEN in st.session_state:
        dialogs.show(t("targets.title"), close, draw, services, use, icon=":material/lan:")


def draw(services: Services, use: Use | None = None) -> None:
    """What the dialog shows. use: as for `draw_dialog`."""
    said = st.session_state.pop(SAID, None)
    if said:
        {"error": st.error, "success": st.success}[said[0]](said[1])
    new = st.session_state.get(SAVED)
    if use is not None and new is not None and new in services.registry.targets.read().rows:
        st.button(
            t("targets.use"), key="targets_use", icon=":material/check:", help=t("targets.use_help", name=new),
            on_click=use, args=(new,),
        )
    edits = KIND in st.session_state
    with st.container(key="targets_edit" if edits else "targets_list"):  # what one has more of is not kept in the other
        if edits:
            edit.draw(services)
        else:
            listing.draw(services, use)
