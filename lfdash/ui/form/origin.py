"""What a form started from: a preset, a saved configuration, nothing; and what the list of presets shows of it."""

from __future__ import annotations

import streamlit as st

from lfdash.ui.form.held import HeldForm

PRESET = "page.preset"
PRESET_PICK = "page.preset_pick"
ORIGIN = "page.preset_from"  # what the list of presets shows of the form: while another is chosen, of the one before
NEW = ":new"  # in that list: a new form
OWN = ":saved:"  # in that list, before the name of a saved configuration


def show(form: HeldForm, name: str | None, new: bool = False) -> None:
    """Says which preset the form started from, to the page and to the widget that chooses it. new: it is a new
    form, which no preset made."""
    if form.kind.starts_from == "preset":
        st.session_state[PRESET] = name
        st.session_state[ORIGIN] = st.session_state[PRESET_PICK] = NEW if new else name


def show_kept(form: HeldForm, preset: object, kept: object) -> None:
    """Says what a form of an earlier session started from. preset, kept: the preset and the line of the list as a
    draft has them; a preset that is no longer there, or anything else, is none."""
    if isinstance(preset, str) and preset in form.services.presets:
        show(form, preset)
        return
    show(form, None, new=kept == NEW)
    if form.kind.starts_from == "preset" and isinstance(kept, str) and kept.startswith(OWN):
        show_own(form, kept)


def show_own(form: HeldForm, name: str) -> None:
    """Says in the list of presets which saved configuration was chosen; where it could not be loaded, what the form
    is. name: as the list has it."""
    if st.session_state.get(PRESET) is None and st.session_state.get(PRESET_PICK) is None:
        st.session_state[ORIGIN] = st.session_state[PRESET_PICK] = name
    else:
        show_again(form)


def show_again(form: HeldForm) -> None:
    """Lets the list of presets show what the form started from."""
    if form.kind.starts_from == "preset":
        st.session_state[PRESET_PICK] = st.session_state.get(ORIGIN)
