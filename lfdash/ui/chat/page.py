"""The conversation with the chat that is shown: its state, what was said, and the line to type in."""

from __future__ import annotations

import streamlit as st

from lfdash.engine.chat import snippets
from lfdash.engine.chat.again import loaded_words
from lfdash.engine.chat.connection import Connection, connection_of
from lfdash.engine.chat.conversation import Conversation
from lfdash.engine.chat.making_room import holders
from lfdash.engine.chat.messages import TYPES
from lfdash.engine.chat_data import exported
from lfdash.engine.services import Services
from lfdash.outcomes import Refused
from lfdash.runs.record import TERMINAL, RunState
from lfdash.runs.view import RunView
from lfdash.ui.chat import actions, beside, rows, settings, transcript
from lfdash.ui.chat.keys import CURRENT, SAID, UNSENT
from lfdash.ui.shared import keyed, streamlit_private
from lfdash.ui.shared.answers import refusal
from lfdash.ui.shared.text import markdown_safe, t

LIVE_S = 0.5  # seconds between two looks at an answer that comes
PICK = "chat.pick"
PAGE = "chat"
NEW = ":new"
FILES = [name for names in TYPES.values() for name in names]


def draw_chat(services: Services, view: RunView) -> None:
    """The whole tab."""
    settings.seed(services)
    actions.follow(services, view.run_id)
    found = connection_of(services.registry, view)
    draw_state(services, view, found)
    asked = actions.columns(services, view.run_id)
    conversation = actions.current(services)
    going = actions.is_busy(services, conversation.id)
    with st.container(horizontal=True, key="chat_bar", gap="small", vertical_alignment="center"):
        draw_pick(services, conversation)
        settings.draw(services)
        beside.draw(services, view)
        rows.draw(services, asked, going=going)
        draw_more(services, conversation, found)
    if st.session_state.get(SAID):
        st.error(markdown_safe(st.session_state[SAID]), icon=":material/block:")
        if st.session_state.get(UNSENT):
            st.code(st.session_state[UNSENT], language=None, wrap_lines=True)
    draw_live(services, conversation, asked)
    st.chat_input(
        t("ui.chat_type"), key="chat_input", accept_file="multiple", file_type=FILES, disabled=going,
        on_submit=sent, args=(services, asked),
    )


def sent(services: Services, asked: tuple[str, ...]) -> None:
    """A prompt was typed."""
    typed = st.session_state.get("chat_input")
    if typed is not None:
        actions.send(services, typed, asked)


def draw_live(services: Services, conversation: Conversation, asked: tuple[str, ...]) -> None:
    """What was said; while an answer comes, drawn again by itself."""
    going = actions.is_busy(services, conversation.id)

    @st.fragment(key="chat_live", run_every=LIVE_S if going else None)
    def live() -> None:
        now = services.chats.asking.get(conversation.id)
        shown = now if isinstance(now, Conversation) else conversation
        with st.container(key="chat_log"):
            transcript.draw(services, shown)
        draw_buttons(services, shown, asked)
        if going and not actions.is_busy(services, conversation.id) and not streamlit_private.draws_page():
            st.rerun()

    live()


def draw_buttons(services: Services, conversation: Conversation, asked: tuple[str, ...]) -> None:
    """Stop while an answer comes; after it, once more."""
    reason = services.chats.asking.unwritten(conversation.id)
    if reason:
        st.warning(markdown_safe(t("ui.chat_unwritten", reason=reason)), icon=":material/save:")
    if services.chats.asking.is_elsewhere(conversation.id):
        st.caption(f":material/hourglass_top: {t('outcomes.chat_asked_elsewhere')}")
    elif services.chats.asking.is_going(conversation.id):
        st.button(
            t("ui.chat_stop"), key="chat_stop", icon=":material/stop:", on_click=actions.stop,
            args=(services, conversation.id), help=t("ui.chat_stop_help"),
        )
    elif conversation.turns:
        st.button(
            t("ui.chat_again"), key="chat_again", icon=":material/refresh:", type="tertiary", on_click=actions.again,
            args=(services, conversation, asked), help=t("ui.chat_again_help"),
        )


def draw_state(services: Services, view: RunView, found: Connection | Refused) -> None:
    """What the chat has loaded and where, or why it does not answer; who waits for its device."""
    words = markdown_safe(loaded_words(view))
    if isinstance(found, Connection):
        minutes = services.chats.idle_minutes
        ends = t("ui.chat_ends", count=round(minutes)) if minutes else t("ui.chat_never_ends")
        st.caption(f":material/forum: **{words}** · {device_words(view)} · {ends}")
        draw_waiting(services, view, actions.columns(services, view.run_id))
    elif found.code == "chat_loading":
        st.info(t("ui.chat_loading", model=words), icon=":material/hourglass_top:")
    elif view.state in TERMINAL:
        if view.state is not RunState.FAILED:
            st.caption(f":material/bedtime: **{words}** · {t('ui.chat_asleep')}")
    elif view.state is not RunState.STOPPING:
        st.warning(markdown_safe(refusal(found)), icon=":material/help:")


def device_words(view: RunView) -> str:
    """The devices that it was given."""
    devices = view.record.last.devices if view.record else None
    if devices is None:
        return t("ui.chat_device_unknown")
    return markdown_safe(f"GPU {', '.join(devices)}") if devices else t("ui.chat_cpu")


def draw_waiting(services: Services, view: RunView, asked: tuple[str, ...]) -> None:
    """The jobs that wait for this chat's device, and the question whether it shall make room; the chats that are asked
    beside it take turns with it anyway."""
    waiting = [
        other for other in services.registry.waiting
        if other.run_id not in asked
        and other.waiting is not None and other.waiting.waits is not None and other.waiting.held is None
        and view.name in holders(other.waiting.waits.params)
    ]
    if not waiting:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="chat_room", border=True):
        names = ", ".join(markdown_safe(other.name) for other in waiting)
        st.markdown(f":material/hourglass_top: {t('ui.chat_waited_for', names=names)}", width="stretch")
        st.button(
            t("ui.chat_end"), key="chat_make_room", icon=":material/stop:", on_click=actions.end_chat,
            args=(services, view.run_id),
        )


def draw_pick(services: Services, conversation: Conversation) -> None:
    """The conversations of the workspace, a new one first."""
    heads = {head.id: head.title or t("ui.chat_untitled") for head in services.chats.asking.store.heads()}
    current = conversation.id if conversation.id in heads else NEW
    st.session_state[PICK] = current
    options = [NEW, *heads]
    keyed.select(
        t("ui.chat_conversation"), options, key=PICK, page=PAGE, empty=False, label_visibility="collapsed", width=260,
        word=lambda key: t("ui.chat_new") if key == NEW else heads.get(key, str(key)), on_change=picked,
        args=(services,),
    )


def picked(services: Services) -> None:
    """A conversation was chosen."""
    chosen = st.session_state[PICK]
    actions.show(services, None if chosen == NEW else chosen)


def draw_more(services: Services, conversation: Conversation, found: Connection | Refused) -> None:
    """How it is asked from elsewhere, the export, and the end of a conversation."""
    with st.popover(t("ui.chat_more"), icon=":material/more_horiz:", key="chat_more"):
        if isinstance(found, Connection):
            draw_snippets(found)
        if not conversation.turns:
            return
        st.download_button(
            t("ui.chat_export"), lambda: exported(conversation, conversation.columns), file_name="conversation.jsonl",
            mime="application/jsonl", key="chat_export", icon=":material/download:", on_click="ignore",
            help=t("ui.chat_export_help"),
        )
        if st.session_state.get(CURRENT) == conversation.id:
            st.checkbox(t("ui.chat_forget_sure"), key="chat_forget_sure")
            st.button(
                t("ui.chat_forget"), key="chat_forget", icon=":material/delete:",
                disabled=not st.session_state.get("chat_forget_sure"), help=t("ui.chat_forget_help"),
                on_click=actions.forget, args=(services, conversation.id),
            )


def draw_snippets(connection: Connection) -> None:
    """curl and Python; the key is shown when it is asked for."""
    shown = st.toggle(t("ui.chat_key_show"), key="chat_key_show", help=t("ui.chat_key_help"))
    key = connection.key if shown else ""
    st.code(snippets.curl(connection, key), language="bash", wrap_lines=True)
    st.code(snippets.python(connection, key), language="python", wrap_lines=True)
