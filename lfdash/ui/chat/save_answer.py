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
from lfdash.ui.shared.answers import refusal
from lfdash.ui.shared.text import markdown_safe, t

NAME = "chat.dataset"  # the dataset that answers go into
ADDED = "chat.added"  # what was added last, and where: a second click adds no second row
USUAL = "my_answers"
MOST_EDITED = 60_000  # characters; a longer answer is added as it is: each is sent to the page again with each drawing


def draw(services: Services, conversation: Conversation, number: int, answer: Answer) -> None:
    """The menu of an answer."""
    place = f"{number}_{answer.column}"
    with st.popover(t("ui.chat_add"), icon=":material/playlist_add:", type="tertiary", key=f"chat_add_{place}"):
        st.caption(t("ui.chat_add_what"))
        key, name_key = f"chat.better.{conversation.id}.{place}", f"chat.dataset.{conversation.id}.{place}"
        # as defaults: the browser, which has not opened the menu yet, would lose what the session sets
        text = parted(answer.text)[1]
        if len(text) <= MOST_EDITED:
            text = st.text_area(t("ui.chat_answer"), text, key=key, height=140)
        else:
            st.caption(t("ui.chat_add_whole", count=len(text)))
        name = st.text_input(t("ui.chat_dataset"), st.session_state.get(NAME) or USUAL, key=name_key)
        is_added = st.session_state.get(ADDED) == (conversation.id, place, text, name)
        st.button(
            t("ui.chat_add_yes"), key=f"chat_add_yes_{place}", type="primary", on_click=add, disabled=is_added,
            args=(services, conversation, number, answer, key, name_key),
        )
        if is_added:
            st.success(t("ui.chat_added", name=markdown_safe(name)), icon=":material/check:")
        elif st.session_state.get(SAID):
            st.error(markdown_safe(st.session_state[SAID]), icon=":material/block:")


def add(
    services: Services, conversation: Conversation, number: int, answer: Answer, key: str, name_key: str
) -> None:
    """Appends the row. The answer in the conversation stays as the model gave it."""
    said = parted(answer.text)[1]
    edited = st.session_state.get(key) if len(said) <= MOST_EDITED else said
    text, name = str(edited or ""), str(st.session_state.get(name_key) or "")
    st.session_state[NAME] = name
    put_right = replace(answer, text=text)
    changed = conversation.with_turn(number, conversation.turns[number].with_answer(put_right))
    found = add_row(services, name.strip(), changed, number, answer.column)
    if isinstance(found, Refused):
        st.session_state[SAID] = refusal(found)
    else:
        st.session_state[SAID] = ""
        st.session_state[ADDED] = (conversation.id, f"{number}_{answer.column}", text, name)
