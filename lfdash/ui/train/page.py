"""The page of a kind of job: head (strip and buttons, always in view) and body (outcome, chart, details)."""

from __future__ import annotations

from functools import partial

import streamlit as st

from lfdash.engine.services import Services
from lfdash.jobs.kinds import BY_NAME
from lfdash.runs.record import STOPPABLE, RunState
from lfdash.runs.view import RunView
from lfdash.ui.form import preview, problems, sidebar
from lfdash.ui.form.state import PRESET, Form
from lfdash.ui.launch import actions, next_steps, queue
from lfdash.ui.shared import keyed, streamlit_private
from lfdash.ui.shared.answers import MESSAGE, NOTICE, SHOWN, refusal
from lfdash.ui.shared.layout import draw_frame
from lfdash.ui.shared.run_words import tick_seconds
from lfdash.ui.shared.session import shared_services
from lfdash.ui.shared.text import markdown_safe, t
from lfdash.ui.train import monitor
from lfdash.ui.train.strip import strip_html

PICK = "page.run_pick"


def draw(kind: str) -> None:
    """Draws the whole page of a kind of job, by its name."""
    draw_frame(f"ui.page_{kind}")
    services = shared_services()
    form = Form(services, BY_NAME[kind])
    form.seed()
    with st.sidebar:
        sidebar.draw(form)
    view = monitor.shown(form)
    if view is not None:
        st.query_params["run"] = view.run_id  # a reload shows the same run
    with st.container(key="head"):
        strip = st.container(key="strip")
        st.fragment(partial(draw_bar, form, view.run_id if view else None), key="bar")()
    st.fragment(partial(problems.draw_early, form), key="early")()
    draw_message(form)
    if not services.by_entry:
        st.caption(f":material/info: {t('ui.plain_server')}")
    seconds = tick_seconds(view, streamlit_private.open_tabs())
    st.fragment(partial(tick, form, strip, view.run_id if view else None), run_every=seconds)()


def tick(form: Form, strip: st.delta_generator.DeltaGenerator, run_id: str | None) -> None:
    """Draws what changes by itself; reruns the page when another state means other buttons."""
    view = monitor.shown(form)
    key = (view.run_id, view.state) if view else None
    if run_id != (view.run_id if view else None) or st.session_state.get("page.drawn_state", key) != key:
        st.session_state["page.drawn_state"] = key
        st.rerun()
    st.session_state["page.drawn_state"] = key
    strip.html(strip_html(view))
    if view is None:
        draw_welcome(form)
    else:
        monitor.draw_body(form, view)


def draw_bar(form: Form, run_id: str | None) -> None:
    """Start, Stop, Preview, Download, and the choice of the run that is shown."""
    services = form.services
    view = services.registry.get(run_id) if run_id else None
    reason = refusal(services.blocked) if services.blocked else ""
    with st.container(horizontal=True, key="bar", vertical_alignment="center", gap="small"):
        draw_start(form, reason)
        draw_stop(services, view)
        if st.button(t("ui.preview"), key="preview", icon=":material/visibility:", help=t("ui.preview_help")):
            preview.show(form)
        with st.popover(t("ui.download"), icon=":material/download:", key="download_menu"):
            preview.draw_downloads(form, "bar")
        draw_run_pick(form, view)
    if reason:
        st.warning(reason, icon=":material/block:")


def draw_start(form: Form, reason: str) -> None:
    """Start, and Queue for a kind of job that may wait; disabled where there is a reason."""
    st.button(
        t("ui.start"),
        key="start",
        type="primary",
        icon=":material/play_arrow:",
        shortcut="Ctrl+Enter",
        on_click=actions.start,
        args=(form,),
        disabled=bool(reason),
        help=reason or t("ui.start_help"),
    )
    if form.kind.queued:
        st.button(
            t("ui.queue"),
            key="enqueue",
            icon=":material/playlist_add:",
            on_click=actions.start,
            args=(form, "queue"),
            disabled=bool(reason),
            help=reason or t("ui.queue_help"),
        )


def draw_stop(services: Services, view: RunView | None) -> None:
    """Stop, or while stopping the harder step."""
    if view is not None and view.state is RunState.STOPPING:
        with st.popover(t("ui.kill"), icon=":material/dangerous:", key="kill_menu"):
            st.write(t("ui.kill_confirm"))
            st.button(
                t("ui.kill_yes"),
                key="kill",
                type="primary",
                on_click=actions.stop,
                args=(services, view.run_id, "kill"),
            )
        return
    if view is not None and view.waiting is not None:
        st.button(
            t("ui.queue_cancel"),
            key="stop",
            icon=":material/close:",
            on_click=queue.act,
            args=(lambda: queue.cancel(services, view),),
            help=t("ui.queue_cancel_help"),
        )
        return
    stoppable = view is not None and view.state in STOPPABLE
    st.button(
        t("ui.stop"),
        key="stop",
        icon=":material/stop:",
        disabled=not stoppable,
        on_click=actions.stop,
        args=(services, view.run_id if view else "", "graceful"),
        help=t("ui.stop_help") if stoppable else t("ui.stop_nothing"),
    )


def draw_run_pick(form: Form, view: RunView | None) -> None:
    """The runs of the form's kind; choosing one shows it."""
    views = {item.run_id: item for item in monitor.views(form)}
    if len(views) < 2 or view is None:
        return
    st.session_state[PICK] = view.run_id

    def show() -> None:
        st.session_state[SHOWN] = st.session_state[PICK]
        st.rerun()

    keyed.select(
        t("ui.run_shown"),
        list(views),
        key=PICK,
        page=form.page,
        empty=False,
        label_visibility="collapsed",
        width=260,
        on_change=show,
        word=lambda run_id: f"{views[run_id].name} · {t(f'states.{views[run_id].state.name}')}",
    )


def draw_message(form: Form) -> None:
    """What keeps the form from starting, or why the last click was refused."""
    notice = st.session_state.pop(NOTICE, None)
    if notice:
        st.toast(markdown_safe(notice), icon=":material/playlist_add:")
    queue.draw_question(form.services)
    queue.draw_cancelled(form.services)
    message = st.session_state.get(MESSAGE)
    if message:
        st.error(markdown_safe(message), icon=":material/block:")
    if not form.checked:
        return
    found = form.problems(form.read())
    errors = [problem for problem in found if problem.level == "error"]
    if not errors:
        st.success(t("ui.problems_gone"), icon=":material/check:")
        return
    warnings = [problem for problem in found if problem.level == "warning"]
    with st.container(border=True, key="problems", gap="xsmall"):
        st.markdown(f"**{t('ui.problems', count=len(errors))}**")
        for place, problem in enumerate([*errors, *warnings]):
            problems.draw_problem(form, f"fix_{place}", problem)
        if any(problem.code == "name_taken" for problem in errors):
            next_steps.draw_taken(form)


def draw_welcome(form: Form) -> None:
    """What Start will do, said once to somebody who has no run yet."""
    services = form.services
    job = form.read().job
    demo = form.kind.starts_from == "preset" and st.session_state.get(PRESET) == "demo"
    text = t("ui.welcome_demo" if demo else f"ui.welcome_{form.kind.name}")
    if not services.blocked:
        st.info(text, icon=":material/info:")
    st.caption(t("ui.welcome_where", workspace=markdown_safe(str(services.workspace.root)), name=job.run_name))
