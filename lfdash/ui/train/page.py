"""The page of a kind of job: the form of the next job in the sidebar, the run that is shown in the main column."""

from __future__ import annotations

import streamlit as st

from lfdash.jobs.kinds import BY_NAME
from lfdash.runs.view import RunView
from lfdash.ui.form import sidebar, source
from lfdash.ui.form.origin import PRESET
from lfdash.ui.form.state import Form
from lfdash.ui.launch import foot, question, queue, sweep
from lfdash.ui.shared import address, dialogs, streamlit_private
from lfdash.ui.shared.answers import MESSAGE, NOTICE, SHOWN
from lfdash.ui.shared.layout import draw_frame
from lfdash.ui.shared.looks import SELDOM_S, looks
from lfdash.ui.shared.run_words import not_shown_words, tick_seconds
from lfdash.ui.shared.session import shared_services
from lfdash.ui.shared.text import markdown_safe, t
from lfdash.ui.train import monitor, run_bar
from lfdash.ui.train.strip import spoken_state, strip_html

BODY, PULSE = "page.body", "page.pulse"  # the fragments that show the run, and that look for news
DRAWN_STATE, DRAWN = "page.drawn_state", "page.drawn"
FAST_S = 0.25  # seconds between two looks while a long log is read


def draw(kind: str) -> None:
    """Draws the whole page of a kind of job, by its name."""
    draw_frame(f"ui.page_{kind}")
    services = shared_services()
    address.leave_for(address.known(services, [st.query_params.get(address.RUN)]), kind)
    services.warm.want()
    form = Form(services, BY_NAME[kind])
    form.seed()
    with st.sidebar:
        if form.kind.starts_from == "model":
            source.draw(form)
        sidebar.draw(form)
        foot.draw(form)
    address.follow(services.registry.snapshot())
    view = monitor.shown(form)
    if view is not None:
        address.tell(view.run_id)  # a reload shows the same run
    with st.container(key="head"):
        strip = st.container(key="strip")
        run_bar.draw(form, view)
    draw_answers(form)
    if not services.by_entry:
        st.caption(f":material/info: {t('ui.plain_server')}")
    shown_id = view.run_id if view else None

    @st.fragment(key=BODY)
    def body() -> None:
        draw_shown(form, strip)

    body()
    st.session_state[DRAWN_STATE] = state_of(form, view)
    reading = monitor.is_reading(services, view)
    seconds = tick_seconds(view, streamlit_private.open_tabs())
    asks = FAST_S if reading else seconds if view is None else max(seconds, SELDOM_S)

    @st.fragment(key=PULSE, run_every=asks)
    def pulse() -> None:
        look(form, shown_id)

    pulse()
    watch(form, view)


def draw_shown(form: Form, strip: st.delta_generator.DeltaGenerator) -> None:
    """Draws what changes by itself: the run that is shown."""
    view = monitor.shown(form)
    monitor.read(form.services, view)
    st.session_state[DRAWN] = monitor.marks(form.services, view, monitor.open_tab(form.kind))
    feed, wrong = monitor.feed_of(form.services, view), monitor.wrong(form.services, view)
    strip.html(strip_html(view, feed, wrong) + spoken_state(view))
    if view is None:
        draw_nothing(form)
    else:
        monitor.draw_body(form, view)
    watch(form, view)


def watch(form: Form, view: RunView | None) -> None:
    """Has this tab woken when there is news of the run as it was drawn."""
    services, pulse = form.services, streamlit_private.fragment_of(PULSE)
    if view is None or monitor.is_reading(services, view):
        looks.drop(pulse)  # it asks by itself
        return
    news = monitor.news_of(services, view, form.kind, st.session_state.get(DRAWN))
    looks.keep(pulse, news, tick_seconds(view, streamlit_private.open_tabs()))


def look(form: Form, shown_id: str | None) -> None:
    """Draws nothing: looks whether there is news, and has drawn again what it changes; the whole page where another
    state means other buttons, but not below a dialog: closing that draws the page."""
    view = monitor.shown(form)
    other = shown_id != (view.run_id if view else None) or st.session_state.get(DRAWN_STATE) != state_of(form, view)
    if other and not dialogs.is_open():
        st.rerun()
    if streamlit_private.draws_page():  # what it asked for would end the drawing of the page here
        return
    if monitor.news_of(form.services, view, form.kind, st.session_state.get(DRAWN))():
        streamlit_private.rerun_fragment(BODY)


def state_of(form: Form, view: RunView | None) -> object:
    """What the buttons of the page depend on, and how often it looks."""
    return (view.run_id, view.state, monitor.is_reading(form.services, view)) if view else None


def draw_answers(form: Form) -> None:
    """What the last click on something of the run was answered; what Start was answered stands beside it."""
    notice = st.session_state.pop(NOTICE, None)
    if notice:
        st.toast(markdown_safe(notice), icon=":material/playlist_add:")
    sweep.draw_made()
    question.draw(form.services, "run")
    queue.draw_cancelled(form.services)
    message = st.session_state.get(MESSAGE)
    if message:
        st.error(markdown_safe(message), icon=":material/block:")


def draw_nothing(form: Form) -> None:
    """Why no run is shown, and the way to those that there are; else the welcome."""
    registry, asked = form.services.registry, st.query_params.get("run")
    if not asked:
        draw_welcome(form)
        return
    words = not_shown_words(asked, registry.snapshot(), registry.archive.trash.items(), form.kind.name)
    st.warning(words, icon=":material/link_off:")
    st.button(t("ui.run_newest"), key="run_newest", icon=":material/history:", on_click=forget_asked)


def forget_asked() -> None:
    """The run that the address names is no longer wanted."""
    st.query_params.pop("run", None)
    st.session_state.pop(SHOWN, None)


def draw_welcome(form: Form) -> None:
    """What Start will do, said once to somebody who has no run yet."""
    services = form.services
    job = form.read().job
    demo = form.kind.starts_from == "preset" and st.session_state.get(PRESET) == "demo" and not form.changed_ids()
    text = t("ui.welcome_demo" if demo else f"ui.welcome_{form.kind.name}")
    if not services.blocked_on(job.target):
        st.info(text, icon=":material/info:")
    st.caption(t("ui.welcome_where", workspace=markdown_safe(str(services.workspace.root)), name=job.run_name))
