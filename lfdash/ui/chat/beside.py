"""The chats that answer beside the one that is shown: the base model, other runs, chats that there are."""

from __future__ import annotations

import streamlit as st

from lfdash.engine.chat.again import loaded_words
from lfdash.engine.chat_jobs import job_for_base, launch, why_not_tried
from lfdash.engine.loading import job_for_run
from lfdash.engine.services import Services
from lfdash.jobs.kinds import SERVING, named
from lfdash.outcomes import Refused
from lfdash.runs.view import RunView
from lfdash.ui.chat import actions, settings
from lfdash.ui.chat.keys import COMPARED, SAID
from lfdash.ui.shared import keyed
from lfdash.ui.shared.answers import refusal
from lfdash.ui.shared.text import pair, t

BASE = ":base"  # in the list: the model that the weights were made from
PICK = "chat.beside_pick"
MOST = 3  # chats beside the one that is shown: more have no room


def draw(services: Services, view: RunView) -> None:
    """The list of those that can be added, and those that are."""
    chosen = [run_id for run_id in st.session_state.get(COMPARED, []) if run_id != view.run_id]
    st.session_state[COMPARED] = [run_id for run_id in chosen if services.registry.get(run_id) is not None]
    words = t("ui.chat_compare_count", count=len(chosen)) if chosen else t("ui.chat_compare")
    with st.popover(words, icon=":material/splitscreen_right:", key="chat_compare"):
        st.caption(t("ui.chat_compare_help"))
        for run_id in st.session_state[COMPARED]:
            other = services.registry.get(run_id)
            if other is not None:
                with st.container(horizontal=True, vertical_alignment="center"):
                    st.text(pair(other.name, loaded_words(other)))
                    st.button(
                        t("ui.chat_compare_drop"), key=f"chat_drop_{run_id}", icon=":material/close:",
                        type="tertiary", on_click=drop, args=(run_id,),
                    )
        offered = {BASE: t("ui.chat_compare_base"), **offers(services, view)}
        keyed.select(
            t("ui.chat_compare_with"), list(offered), key=PICK, page="chat", empty=False,
            word=lambda key: offered.get(key, str(key)),
        )
        full = len(chosen) >= MOST
        st.button(
            t("ui.chat_compare_add"), key="chat_compare_add", type="primary", disabled=full,
            help=t("ui.chat_compare_full", count=MOST) if full else None, on_click=add, args=(services, view),
        )


def offers(services: Services, shown: RunView) -> dict[str, str]:
    """What can answer beside: other chats, then the runs that have saved something."""
    views = services.registry.snapshot()
    taken = {shown.run_id, *st.session_state.get(COMPARED, [])}
    chats = {view.run_id: pair(view.name, loaded_words(view)) for view in views
             if named(view.kind).serves and view.run_id not in taken}
    return chats | {view.run_id: view.name for view in views if why_not_tried(services, view) is None}


def add(services: Services, view: RunView) -> None:
    """Adds what is chosen, and asks it what was just asked; a chat with it is started where there is none yet."""
    picked = st.session_state.get(PICK) or BASE
    other = services.registry.get(picked)
    if other is not None and named(other.kind).serves:
        found: str | Refused = picked
    else:
        job = job_for_run(services, SERVING, other) if other is not None else job_for_base(services, view)
        beside = bool(st.session_state.get(settings.BESIDE))
        found = job if isinstance(job, Refused) else launch(services, job, t("ui.yaml_header"), beside=beside)
    st.session_state[SAID] = refusal(found) if isinstance(found, Refused) else ""
    if not isinstance(found, Refused):
        st.session_state[COMPARED] = [*st.session_state.get(COMPARED, []), found]
        actions.ask_too(services, found)


def drop(run_id: str) -> None:
    """Asks a chat no more; it goes on until it ends by itself."""
    st.session_state[COMPARED] = [one for one in st.session_state.get(COMPARED, []) if one != run_id]
