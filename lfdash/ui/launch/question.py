"""The question that a busy machine asks: shall a job wait, start all the same, or shall chats make room for it?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

import streamlit as st

from lfdash.engine.services import Services
from lfdash.engine.submit import How
from lfdash.jobs.kinds import named
from lfdash.runs.record import TERMINAL
from lfdash.ui.form.shared_fields import ENTERED
from lfdash.ui.form.state import ASKED, Form
from lfdash.ui.launch import actions, next_steps
from lfdash.ui.shared import streamlit_private
from lfdash.ui.shared.answers import BUSY, SHOWN, Busy, forget_answers
from lfdash.ui.shared.looks import SELDOM_S, looks
from lfdash.ui.shared.page_script import read_aloud
from lfdash.ui.shared.text import markdown_safe, t

LOOK_S = 1.0  # seconds between two looks whether it is still in the way
About = Literal["form", "run", "all"]


def draw(services: Services, about: About) -> None:
    """The last Start found its devices in use; what was asked is gone once that is over, or the job is another one.
    about: the job in the form, what goes on with a run, or both."""
    key = f"{ASKED}_run" if about != "form" else ASKED
    every = SELDOM_S if asked_now(services, about) else None
    st.fragment(partial(draw_now, services, about, key), key=key, run_every=every)()


def draw_now(services: Services, about: About, key: str) -> None:
    """The question as it is now; drawn again when what was in the way has ended."""
    busy, fragment = asked_now(services, about), streamlit_private.fragment_of(key)
    if busy is None:
        looks.drop(fragment)
        return
    looks.keep(fragment, partial(is_over, services, busy), LOOK_S)
    form = Form(services, named(busy.kind))
    chats = [view for run_id in busy.chats if (view := services.registry.get(run_id))]
    makes_room = bool(chats) and form.kind.queued  # to wait for a chat is to wait until nobody asks it any more
    hows: list[tuple[How, str]] = [("queue", "queue_it"), ("beside", "queue_beside")]
    with st.container(border=True, key="busy", gap="xsmall"):
        st.markdown(f":material/hourglass_top: {markdown_safe(busy.why)} {t('ui.queue_ask')}")
        st.html(read_aloud("form", f"{busy.why} {t('ui.queue_ask')}"))
        with st.container(horizontal=True, gap="small"):
            if makes_room:
                names = ", ".join(markdown_safe(view.name) for view in chats)
                st.button(
                    t("ui.queue_end_chat", names=names), key="queue_end_chat", on_click=end_and_queue,
                    args=(form, busy.resume, busy.chats), help=t("ui.queue_end_chat_help"),
                    icon=":material/forum:", type="primary",
                )
            for how, name in hows if form.kind.queued else hows[1:]:
                st.button(
                    t(f"ui.{name}"), key=name, on_click=answer, args=(form, busy.resume, how),
                    type="primary" if how == "queue" and not makes_room else "secondary",
                )
            st.button(t("ui.queue_not"), key="queue_not", type="tertiary", on_click=forget_answers)


def asked_now(services: Services, about: About) -> Busy | None:
    """What is asked; it is forgotten here when nobody needs an answer any more."""
    busy = st.session_state.get(BUSY)
    if not isinstance(busy, Busy):
        return None
    if is_over(services, busy) or is_another(services, busy):
        st.session_state[BUSY] = None
        return None
    return busy if about == "all" or (busy.resume is None) == (about == "form") else None


def is_over(services: Services, busy: Busy) -> bool:
    """Whether all that was in the way has ended; never where something else than runs is. For any thread."""
    views = [services.registry.get(run_id) for run_id in busy.runs]
    return bool(views) and all(view is None or view.state in TERMINAL for view in views)


def is_another(services: Services, busy: Busy) -> bool:
    """Whether the form has another job by now than the one that was to be started; on the page of another kind, whose
    form shares some of its values, that is not known."""
    if busy.job is None or st.session_state.get(ENTERED) != busy.kind:
        return False
    now = Form(services, named(busy.kind)).read().job
    return actions.what_was_clicked(now, "start") != actions.what_was_clicked(busy.job, "start")


def answer(form: Form, resume: object, how: How) -> None:
    """The question was answered: the same job again, in the way that was chosen."""
    if resume is None:
        actions.start(form, how)
    elif isinstance(resume, next_steps.Longer):
        next_steps.train_longer(form, resume, how)
    elif isinstance(resume, tuple):
        run_id, step = resume
        next_steps.resume(form, run_id, step, how)


def end_and_queue(form: Form, resume: object, chats: Sequence[str]) -> None:
    """The chats shall make room: the job waits until their devices are free, starts then, and is shown. They go on
    where it was not queued, as when something in the form is wrong by now."""
    jobs = form.services.registry.queue.jobs
    before = {entry.run_id for entry in jobs.entries()}
    try:
        answer(form, resume, "queue")
    finally:  # it ends by drawing the page anew, which is an exception
        new = [entry.run_id for entry in jobs.entries() if entry.run_id not in before]
        if new:
            st.session_state[SHOWN] = new[-1]
            actions.end_chats(form.services, chats)
