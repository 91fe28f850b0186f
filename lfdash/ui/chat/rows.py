"""Asks rows of a dataset, each by itself, with the answer that is expected beside."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from lfdash.engine.chat_data import MOST_ROWS, prompts_of
from lfdash.engine.services import Services
from lfdash.outcomes import Refused
from lfdash.ui.chat import actions, settings
from lfdash.ui.chat.keys import SAID
from lfdash.ui.shared import keyed
from lfdash.ui.shared.answers import NOTICE, refusal
from lfdash.ui.shared.text import t

DATASET, COUNT = "chat.rows_dataset", "chat.rows_count"
FOLDER = "data"


def draw(services: Services, asked: Sequence[str], *, going: bool) -> None:
    """The menu."""
    with st.popover(t("ui.chat_rows"), icon=":material/checklist:", key="chat_rows"):
        st.caption(t("ui.chat_rows_help"))
        names = list(services.datasets(FOLDER).names)
        if not names:
            st.caption(t("ui.chat_rows_none"))
            return
        keyed.select(t("ui.chat_dataset"), names, key=DATASET, page="chat", empty=False)
        st.session_state.setdefault(COUNT, 5)
        st.number_input(t("ui.chat_rows_count"), min_value=1, max_value=MOST_ROWS, step=1, key=COUNT)
        st.button(
            t("ui.chat_rows_ask"), key="chat_rows_ask", type="primary", disabled=going,
            help=t("outcomes.chat_busy") if going else None, on_click=ask, args=(services, asked),
        )


def ask(services: Services, asked: Sequence[str]) -> None:
    """Asks the rows in the conversation that is shown."""
    name, count = st.session_state[DATASET], int(st.session_state[COUNT])
    found = prompts_of(services, FOLDER, name, count, settings.sampling())
    if isinstance(found, Refused):
        st.session_state[SAID] = refusal(found)
        return
    actions.ask(services, actions.current(services), found.prompts, asked)
    if found.left_out:
        st.session_state[NOTICE] = t("ui.chat_rows_left", count=found.left_out)
