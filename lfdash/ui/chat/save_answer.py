"""An answer that is good goes into a dataset of the workspace; as it is, or put right first."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from lfdash.engine.chat.conversation import Answer, Conversation
from lfdash.engine.chat.messages import parted
from lfdash.engine.chat_data import add_row
from lfdash.engine.services import Services
from lfdash.outcomes import Refused
from lfdash.ui.chat.keys import SAID
from lfdash.ui.shared.answers import NOTICE, refusal
from lfdash.ui.shared.text import t

NAME = "chat.dataset"  # the dataset that answers go into
USUAL = "my_answers"


def draw(services: Services, conversation: Conversation, number: int, answer: Answer) -> None:
    """The menu of an answer."""
    place = f"{number}_{answer.column}"
    with st.popover(t("ui.chat_add"), icon=":material/playlist_add:", type="tertiary", key=f"chat_add_{place}"):
        st.caption(t("ui.chat_add_what"))
        st.session_state.setdefault(NAME, USUAL)
        key, name_key = f"chat.better.{conversation.id}.{place}", f"chat.dataset.{place}"
        st.session_state.setdefault(key, parted(answer.text)[1])
        st.session_state.setdefault(name_key, st.session_state[NAME])
        st.text_area(t("ui.chat_answer"), key=key, height=140)
        st.text_input(t("ui.chat_dataset"), key=name_key)
        st.button(
            t("ui.chat_add_yes"), key=f"chat_add_yes_{place}", type="primary", on_click=add,
            args=(services, conversation, number, answer, key, name_key),
        )


def add(
    services: Services, conversation: Conversation, number: int, answer: Answer, key: str, name_key: str
) -> None:
    """Appends the row. The answer in the conversation stays as the model gave it."""
    name = str(st.session_state.get(name_key) or "").strip()
    st.session_state[NAME] = name
    put_right = replace(answer, text=str(st.session_state.get(key) or ""))
    changed = conversation.with_turn(number, conversation.turns[number].with_answer(put_right))
    found = add_row(services, name, changed, number, answer.column)
    if isinstance(found, Refused):
        st.session_state[SAID] = refusal(found)
    else:
        st.session_state[SAID] = ""
        st.session_state[NOTICE] = t("ui.chat_added", name=name)
