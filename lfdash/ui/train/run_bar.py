"""What can be done with the run that is shown: choose another, stop it, go on from it, take its files."""

from __future__ import annotations

from collections import Counter

import streamlit as st

from lfdash.engine.services import Services
from lfdash.jobs.kinds import named
from lfdash.runs.record import STOPPABLE, TERMINAL, RunState
from lfdash.runs.view import RunView
from lfdash.ui.form.state import Form
from lfdash.ui.launch import actions, after, next_steps, queue
from lfdash.ui.shared import keyed
from lfdash.ui.shared.answers import SHOWN
from lfdash.ui.shared.run_words import state_of, state_word
from lfdash.ui.shared.text import t
from lfdash.ui.train import downloads, monitor

PICK = "page.run_pick"


def draw(form: Form, view: RunView | None) -> None:
    """The whole bar; nothing where no run is."""
    if view is None:
        return
    with st.container(horizontal=True, key="run_bar", vertical_alignment="center", gap="small"):
        draw_pick(form, view)
        draw_stop(form.services, view)
        if view.state in TERMINAL and form.kind.trains:
            next_steps.draw_further(form, view, "after")
        after.draw_bare(form.services, view)
        if view.waiting is None:
            downloads.draw(form.services, view)
    after.draw(form.services, view)


def draw_pick(form: Form, view: RunView) -> None:
    """The runs of the form's kind; choosing one shows it."""
    views = {item.run_id: item for item in monitor.views(form)}
    if len(views) < 2:
        return
    st.session_state[PICK] = view.run_id
    names = Counter(item.name for item in views.values())

    def word(run_id: str) -> str:
        """Its name and state; where several have that name, its folder."""
        item = views[run_id]
        name = item.name if names[item.name] == 1 else item.output_dir.removeprefix("saves/")
        return f"{name} · {state_word(state_of(item))}"

    def show() -> None:
        st.session_state[SHOWN] = st.session_state[PICK]

    keyed.select(
        t("ui.run_shown"), list(views), key=PICK, page=form.page, empty=False, label_visibility="collapsed", width=260,
        on_change=show, word=word,
    )


def draw_stop(services: Services, view: RunView) -> None:
    """Stop, or while stopping the harder step; a run that is over has neither."""
    serves = named(view.kind).serves
    if view.state is RunState.STOPPING:
        with st.popover(t("ui.kill"), icon=":material/dangerous:", key="kill_menu"):
            st.write(t("ui.kill_confirm"))
            st.button(
                t("ui.kill_yes"), key="kill", type="primary", on_click=actions.stop,
                args=(services, view.run_id, "kill"),
            )
    elif view.waiting is not None:
        st.button(
            t("ui.queue_cancel"), key="stop", icon=":material/close:", on_click=queue.act,
            args=(lambda: queue.cancel(services, view),), help=t("ui.queue_cancel_help"),
        )
    elif view.state in STOPPABLE:
        st.button(
            t("ui.chat_end" if serves else "ui.stop"), key="stop", icon=":material/stop:", on_click=actions.stop,
            args=(services, view.run_id, "term" if serves else "graceful"),
            help=t("ui.chat_end_help" if serves else "ui.stop_help"),
        )
