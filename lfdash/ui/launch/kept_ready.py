"""Whether LLaMA-Factory is kept ready for the next start, and what that costs."""

from __future__ import annotations

import streamlit as st

from lfdash.engine.machine_words import GIB
from lfdash.engine.services import Services
from lfdash.ui.shared.text import markdown_safe, t

KEY = "page.keep_ready"


def draw(services: Services) -> None:
    """The switch, and how things stand."""
    warm = services.warm
    st.session_state[KEY] = services.keep_ready and not warm.never
    st.toggle(
        t("ui.ready_keep"), key=KEY, help=t("ui.ready_never") if warm.never else t("ui.ready_keep_help"),
        disabled=warm.never, on_change=keep, args=(services,),
    )
    st.caption(words(services))


def words(services: Services) -> str:
    """How the process stands, and the main memory that it takes now."""
    warm = services.warm
    if warm.never:
        return t("ui.ready_never")
    if not services.keep_ready:
        return t("ui.ready_off")
    if warm.state == "ready":
        held = warm.memory()
        size = t("units.gib", n=f"{held / GIB:.1f}") if held is not None else t("machine.unknown")
        return t("ui.ready_now", size=size)
    if warm.why == "memory":
        return t("ui.ready_memory")
    if warm.state == "unfit":
        return t("ui.ready_unfit", reason=markdown_safe(warm.why))
    return t("ui.ready_starting" if warm.state == "starting" else "ui.ready_later")


def keep(services: Services) -> None:
    """The switch was used."""
    services.set_keep_ready(bool(st.session_state[KEY]))
