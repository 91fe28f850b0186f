"""How answers are drawn, the system prompt and the tools: values of the session, checked before they are sent."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from lfdash.engine.chat.messages import LIMITS, Sampling, read_tools, sampling_problems
from lfdash.engine.services import Services
from lfdash.outcomes import Problem
from lfdash.ui.shared.text import markdown_safe, problem_words, t

SYSTEM, TOOLS, COUNTED, BESIDE, IDLE = "chat.system", "chat.tools", "chat.counted", "chat.beside", "chat.idle"
STEPS: Mapping[str, float] = {"temperature": 0.05, "top_p": 0.05, "max_tokens": 64, "repetition_penalty": 0.05}
USUAL: Mapping[str, float] = {"temperature": 0.95, "top_p": 0.7, "max_tokens": 512}  # 512: an answer can be awaited


def key_of(name: str) -> str:
    """The session key of a sampling value."""
    return f"chat.{name}"


def seed(services: Services) -> None:
    """The usual values, once a session."""
    for name in LIMITS:
        st.session_state.setdefault(key_of(name), int(USUAL[name]) if name == "max_tokens" else USUAL.get(name))
    for name, value in ((SYSTEM, ""), (TOOLS, ""), (COUNTED, False), (BESIDE, False)):
        st.session_state.setdefault(name, value)
    st.session_state.setdefault(IDLE, services.chats.idle_minutes)


def sampling() -> Sampling:
    """What is set; what is empty is left to the chat."""
    given = {name: st.session_state.get(key_of(name)) for name in LIMITS}
    return Sampling(**given)


def tools() -> tuple[Mapping[str, Any], ...] | Problem:
    """The tools that were typed; else what is wrong with them."""
    return read_tools(st.session_state.get(TOOLS) or "")


def tools_text(listed: Sequence[Mapping[str, Any]]) -> str:
    """Tools as they are typed."""
    return json.dumps(list(listed), ensure_ascii=False, indent=2) if listed else ""


def problems() -> tuple[Problem, ...]:
    """What keeps a prompt from being sent."""
    listed = tools()
    return (*sampling_problems(sampling()), *((listed,) if isinstance(listed, Problem) else ()))


def draw(services: Services) -> None:
    """The menu."""
    with st.popover(t("ui.chat_settings"), icon=":material/tune:", key="chat_settings"):
        left, right = st.columns(2)
        for place, (name, (low, high, whole)) in enumerate(LIMITS.items()):
            kind = int if whole else float
            (left, right)[place % 2].number_input(
                t(f"ui.chat_{name}"), min_value=kind(low), max_value=kind(high), step=kind(STEPS[name]),
                key=key_of(name), help=t(f"ui.chat_{name}_help"), persist_state="session",
                format="%d" if whole else "%.2f",
            )
        st.text_area(t("ui.chat_system"), key=SYSTEM, height=80, persist_state="session")
        st.text_area(
            t("ui.chat_tools"), key=TOOLS, height=110, help=t("ui.chat_tools_help"), persist_state="session",
            placeholder='[{"name": "…", "description": "…", "parameters": {…}}]',
        )
        st.toggle(t("ui.chat_counted"), key=COUNTED, help=t("ui.chat_counted_help"), persist_state="session")
        st.toggle(t("ui.chat_beside"), key=BESIDE, help=t("ui.chat_beside_help"), persist_state="session")
        st.number_input(
            t("ui.chat_idle"), min_value=0.0, max_value=10080.0, step=5.0, key=IDLE, format="%g",
            help=t("ui.chat_idle_help"), persist_state="session", on_change=keep_idle, args=(services,),
        )
    for problem in problems():
        words = markdown_safe(problem_words(problem))
        name = problem.field or ""
        st.error(f"{t(f'ui.chat_{name}')}: {words}", icon=":material/error:")


def keep_idle(services: Services) -> None:
    """The idle time was changed."""
    services.chats.set_idle_minutes(float(st.session_state[IDLE]))
