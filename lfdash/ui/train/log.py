"""The output of the run that is shown."""

from __future__ import annotations

import streamlit as st

from lfdash.engine.services import Services
from lfdash.runs.console import ConsoleTail
from lfdash.runs.metrics.feed import RunFeed
from lfdash.runs.view import RunView
from lfdash.ui.shared.text import t


def tail(view: RunView) -> ConsoleTail:
    """This session's reader of the shown run's log; a new one when another run is shown."""
    held = st.session_state.get("page.tail")
    if held is None or held[0] != view.run_id:
        held = (view.run_id, ConsoleTail(view.paths.console))
        st.session_state["page.tail"] = held
    return held[1]


def draw_log(services: Services, _view: RunView, _feed: RunFeed, console: ConsoleTail) -> None:
    """The child's output: follows its end until scrolled up."""
    console.poll()
    blocks = console.blocks()
    if not blocks:
        st.caption(t("ui.log_empty"))
        return
    with st.container(height=330, autoscroll=True, key="console", border=True):
        if console.dropped:
            st.caption(t("ui.log_cut", mb=f"{console.dropped / 1e6:.1f}"))
        redact = services.registry.redactor()
        for block in blocks:
            st.text(redact(block))
