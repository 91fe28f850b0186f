"""*Try it*: from a run to a chat with what it has saved."""

from __future__ import annotations

import streamlit as st

from lfdash.engine.chat_jobs import why_not_tried
from lfdash.engine.services import Services
from lfdash.jobs.kinds import SERVING
from lfdash.runs.view import RunView
from lfdash.ui.shared.answers import forget_answers, refusal
from lfdash.ui.shared.text import t

WANTED = "chat.wanted"  # the id of the run that the chat's form shall load


def draw(services: Services, view: RunView | None, place: str, reason: str = "") -> None:
    """The button; disabled with the reason. place: tells it from the same one elsewhere."""
    refused = why_not_tried(view) if view is not None else None
    reason = reason or (refusal(refused) if refused else "")
    if st.button(
        t("ui.try_it"), key=f"try_it_{place}", icon=":material/forum:", disabled=bool(reason),
        help=reason or t("ui.try_it_help"),
    ) and view is not None:
        forget_answers()
        st.session_state[WANTED] = view.run_id
        st.switch_page(SERVING.page)
