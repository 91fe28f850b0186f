"""From a dataset to the training form: it is chosen there, with a stage that it suits, and the Train page is shown."""

from __future__ import annotations

import streamlit as st

from lfdash.data.dataset_info import DatasetInfo
from lfdash.data.report import format_of, usual_stage
from lfdash.jobs.stages import BY_CODE
from lfdash.ui.form.state import Form
from lfdash.ui.shared.text import markdown_safe, t

PICK = "data.pick"  # the dataset that the page shows
ADDED = "data.added"  # the one that was added last, until another file is chosen
GO = "data.go"  # whether the Train page is wanted
DATASET, STAGE = "train.dataset", "train.training_stage"
OWN = {"pt", "kto"}  # usual stages whose data no other stage is meant to have


def draw_added(form: Form, directory: str, known: DatasetInfo) -> None:
    """That a dataset was added, and the way on; in view wherever the page is scrolled to."""
    name = st.session_state.get(ADDED)
    if name not in known.names or st.session_state.get(PICK, name) != name:
        st.session_state.pop(ADDED, None)  # another dataset is looked at, whose own button is below
        return
    with st.container(key="data_added"), st.container(horizontal=True, vertical_alignment="center"):
        st.success(markdown_safe(t("ui.data_added", name=name)), icon=":material/check_circle:", width=420)
        button(form, directory, name, known, key="data.train_added")


def button(form: Form, directory: str, name: str, known: DatasetInfo, key: str) -> None:
    """The button that chooses a dataset for training and goes there."""
    st.button(
        t("ui.data_train"), key=key, icon=":material/model_training:", on_click=choose,
        args=(form, directory, name, usual_stage(format_of(known.entries[name]))),
    )


def choose(form: Form, directory: str, name: str, usual: str) -> None:
    """Puts a dataset into the training form. usual: the stage that its data are for; the form keeps another one where
    that takes them too."""
    stage = BY_CODE.get(str(form.read().job.get(STAGE)))
    fits = stage is not None and not {usual, stage.code} & OWN and stage.ranked == BY_CODE[usual].ranked
    form.choose_dataset(name, directory, None if fits or (stage and stage.code == usual) else usual)
    st.session_state[GO] = True


def go(form: Form) -> None:
    """Goes to the Train page where a button wanted that."""
    if st.session_state.pop(GO, False):
        st.switch_page(form.kind.page)
