"""What is done in a conversation: ask, stop, ask again, edit and ask, begin anew, delete."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import streamlit as st

from lfdash.engine.chat.asking import Prompt
from lfdash.engine.chat.conversation import Answer, Conversation
from lfdash.engine.chat.messages import Medium, medium_type
from lfdash.engine.services import Services
from lfdash.launchers.base import Level
from lfdash.outcomes import Problem, Refused
from lfdash.runs.view import RunView
from lfdash.ui.chat import settings
from lfdash.ui.chat.keys import COMPARED, COMPARED_WITH, CURRENT, FOLLOWED, FRESH, SAID, UNSENT
from lfdash.ui.shared.answers import refusal, tell
from lfdash.ui.shared.text import t

END: Level = "term"  # what ends a chat: there is nothing to save
NEWEST = 20  # conversations that are looked through after a reload
MOST_MEDIUM = 32 << 20  # bytes of a file that goes with a prompt


def current(services: Services) -> Conversation:
    """The conversation that is shown; a new one where there is none, or it is gone."""
    asking = services.chats.asking
    held = st.session_state.get(CURRENT)
    found = asking.get(held) if isinstance(held, str) else None
    if not isinstance(found, Conversation):
        kept = st.session_state.get(FRESH)
        found = kept if isinstance(kept, Conversation) else asking.store.new()
        st.session_state[FRESH] = found
    return found


def follow(services: Services, shown: str) -> None:
    """Where another chat is shown than before, as one that was just started, or after a reload: the newest conversation
    with it, and the chats that were asked beside it; else a new one, for it alone or for those it was started with."""
    if st.session_state.get(FOLLOWED) == shown:
        return
    st.session_state[FOLLOWED] = shown
    started_with = st.session_state.pop(COMPARED_WITH, None)
    for head in services.chats.asking.store.heads()[:NEWEST]:
        found = services.chats.asking.get(head.id)
        if isinstance(found, Conversation) and shown in found.columns:
            show(services, found.id)
            asked = [answer.column for answer in found.turns[-1].answers] if found.turns else []
            st.session_state[COMPARED] = [column for column in asked if column != shown]
            return
    show(services, None)
    if started_with != shown:
        st.session_state[COMPARED] = []


def columns(services: Services, shown: str) -> tuple[str, ...]:
    """The chats that are asked: the one that is shown, then those beside it."""
    others = [run_id for run_id in st.session_state.get(COMPARED, []) if services.registry.get(run_id) is not None]
    return tuple(dict.fromkeys([shown, *others]))


def told(refused: Refused | None) -> bool:
    """Keeps why something was refused for the page; whether it was not."""
    st.session_state[SAID] = refusal(refused) if refused else ""
    st.session_state[UNSENT] = ""
    return refused is None


def prepared(conversation: Conversation) -> Conversation | None:
    """The conversation with the system prompt and the tools of now; None, with the reason, where they are wrong."""
    listed = settings.tools()
    if settings.problems() or isinstance(listed, Problem):
        st.session_state[SAID] = t("ui.chat_mend")
        return None
    system = st.session_state.get(settings.SYSTEM) or ""
    return replace(conversation, system=system, tools=tuple(dict(tool) for tool in listed))


def ask(services: Services, conversation: Conversation, prompts: Sequence[Prompt], asked: Sequence[str]) -> None:
    """Asks the chats, and shows the conversation."""
    ready = prepared(conversation)
    if ready is None:
        st.session_state[UNSENT] = prompts[0].text
        return
    refused = services.chats.asking.ask(
        ready, prompts, asked, beside=bool(st.session_state.get(settings.BESIDE)),
        counted=bool(st.session_state.get(settings.COUNTED)),
    )
    if told(refused):
        st.session_state[CURRENT] = conversation.id
        st.session_state.pop(FRESH, None)
    else:
        st.session_state[UNSENT] = prompts[0].text


def is_busy(services: Services, conversation_id: str) -> bool:
    """Whether a conversation is being answered, here or for another dashboard."""
    asking = services.chats.asking
    return asking.is_going(conversation_id) or asking.is_elsewhere(conversation_id)


def send(services: Services, typed: Any, asked: Sequence[str]) -> None:
    """A prompt was typed. typed: what `st.chat_input` gives, a text or a text with files."""
    text, files = (typed, []) if isinstance(typed, str) else (typed.text, list(typed.files))
    media = []
    for file in files:
        medium = medium_of(file)
        if isinstance(medium, Refused):
            told(medium)
            return
        media.append(medium)
    if text.strip() or media:
        role = "tool" if after_a_call(services) else "user"
        prompt = Prompt(text, role, tuple(media), settings.sampling())  # type: ignore[arg-type]
        ask(services, current(services), [prompt], asked)


def after_a_call(services: Services) -> bool:
    """Whether the last answer asks for a tool, so that what is typed is its result."""
    turns = current(services).turns
    return bool(turns) and any(answer.tool_calls for answer in turns[-1].answers)


def medium_of(file: Any) -> Medium | Refused:
    """An uploaded file as the API takes it. Refused: chat_type, chat_large."""
    kind, _, subtype = str(file.type).partition("/")
    name = medium_type(kind, subtype)
    if name is None:
        return Refused("chat_type", {"name": file.name, "type": file.type})
    if file.size > MOST_MEDIUM:
        return Refused("chat_large", {"name": file.name, "most": MOST_MEDIUM >> 20})
    data = base64.b64encode(file.getvalue()).decode("ascii")
    return Medium(kind, file.name, f"data:{kind}/{name};base64,{data}")  # type: ignore[arg-type]


def stop(services: Services, conversation_id: str) -> None:
    """Stop was pressed."""
    services.chats.asking.stop(conversation_id)


def is_as_drawn(conversation: Conversation, drawn: Conversation) -> bool:
    """Whether a conversation is as it was drawn when something in it was clicked; says so where it is not."""
    same = (conversation.id, conversation.changed) == (drawn.id, drawn.changed)
    return told(None if same else Refused("chat_changed"))


def again(services: Services, drawn: Conversation, asked: Sequence[str]) -> None:
    """Asks the last prompt once more."""
    conversation = current(services)
    if not is_as_drawn(conversation, drawn):
        return
    ready = prepared(conversation)
    if ready is not None and conversation.turns:
        turn = replace(conversation.turns[-1], sampling=settings.sampling())
        ready = ready.with_turn(len(ready.turns) - 1, turn)
        told(services.chats.asking.again(ready, asked, beside=bool(st.session_state.get(settings.BESIDE))))


def ask_too(services: Services, column: str) -> None:
    """Asks a chat that was added what was just asked; nothing while that is being answered still, and of a tool's
    result, which follows a call that another model has made."""
    conversation = current(services)
    if not conversation.turns or conversation.turns[-1].role == "tool" or is_busy(services, conversation.id):
        return
    told(services.chats.asking.also(
        conversation, column, beside=bool(st.session_state.get(settings.BESIDE)),
        counted=bool(st.session_state.get(settings.COUNTED)),
    ))


def draw_edit(services: Services, conversation: Conversation, number: int) -> None:
    """The prompt, to be changed and asked again; what followed it is left out of the conversation then."""
    if conversation.going:
        return
    with st.popover(t("ui.chat_edit"), icon=":material/edit:", type="tertiary", key=f"chat_edit_{number}"):
        key = f"chat.edited.{conversation.id}.{number}"
        # as a default: the browser, which has not opened the menu yet, would lose what the session sets
        st.text_area(t("ui.chat_prompt"), conversation.turns[number].prompt, key=key, height=110)
        later = len(conversation.turns) - number - 1
        if later:
            st.caption(t("ui.chat_edit_drops", count=later))
        st.button(
            t("ui.chat_resend"), key=f"chat_resend_{number}", type="primary", on_click=resend,
            args=(services, conversation, number, key),
        )


def resend(services: Services, drawn: Conversation, number: int, key: str) -> None:
    """The changed prompt in the place of the one before, asked of the same chats."""
    conversation = current(services)
    text = st.session_state.get(key) or ""
    if not text.strip():
        return
    if not is_as_drawn(conversation, drawn):
        st.session_state[UNSENT] = text
        return
    turn = conversation.turns[number]
    asked = [answer.column for answer in turn.answers]
    prompt = Prompt(text, turn.role, turn.media, settings.sampling(), turn.expected, turn.alone)
    ask(services, replace(conversation, turns=conversation.turns[:number]), [prompt], asked)


def end_chat(services: Services, run_id: str) -> None:
    """Ends a chat, so that who waits for its device can start."""
    tell(services.registry.stop(run_id, END))


def chat_with_device(services: Services, answer: Answer) -> RunView | None:
    """The chat that has the device which an answer had no room on; None where it is something else, or is over."""
    name = (answer.params or {}).get("run") if answer.code == "chat_no_room" else None
    serving = services.chats.keeper.serving()
    return next((view for view in serving if name in (view.name, view.output_dir)), None)


def show(services: Services, conversation_id: str | None) -> None:
    """Shows a conversation; None: a new one."""
    st.session_state[CURRENT] = conversation_id
    st.session_state.pop(FRESH, None)
    st.session_state[SAID] = st.session_state[UNSENT] = ""
    found = services.chats.asking.get(conversation_id) if conversation_id else None
    if isinstance(found, Conversation):
        st.session_state[settings.SYSTEM] = found.system
        st.session_state[settings.TOOLS] = settings.tools_text(found.tools)


def forget(services: Services, conversation_id: str) -> None:
    """Deletes a conversation, and shows a new one."""
    services.chats.asking.forget(conversation_id)
    show(services, None)
