"""The run that the page shows: state strip, message, loss chart, log, curves, files. Reads folders only."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from lfdash.engine.chat_jobs import reached
from lfdash.engine.services import Services
from lfdash.files import file_mark, read_text_file
from lfdash.jobs.kinds import JobKind, named
from lfdash.jobs.secret_arguments import hide
from lfdash.runs.metrics.feed import RunFeed
from lfdash.runs.record import TERMINAL
from lfdash.runs.results import experiment_link
from lfdash.runs.table import NAN
from lfdash.runs.view import RunView
from lfdash.ui.chat.page import draw_chat
from lfdash.ui.curves.draw import bundle
from lfdash.ui.form.state import Form
from lfdash.ui.launch import queue
from lfdash.ui.shared import keyed
from lfdash.ui.shared.answers import SHOWN
from lfdash.ui.shared.text import markdown_safe, t
from lfdash.ui.train import alert_bar, downloads, evaluation, memory, scores
from lfdash.ui.train.charts import draw_curves, draw_main
from lfdash.ui.train.log import draw_log
from lfdash.ui.train.outcome import draw_outcome

TAB = "page.tab"
UNMARKED = ("files", "results", "predictions")  # tabs that show more than the log of a run that goes on
READ_S = 0.2  # seconds, at most, that a tick reads of the files of a run; a thread reads the rest


def shown(form: Form) -> RunView | None:
    """The run to show: the one chosen, the one in the address, else the newest alive one, else the newest. None when
    the address names one that is not there: another one in its place would be taken for it."""
    found = views(form)
    by_id = {view.run_id: view for view in found}
    chosen, asked = st.session_state.get(SHOWN), st.query_params.get("run")
    if chosen in by_id:
        return by_id[chosen]
    if asked in by_id:
        return by_id[asked]
    if asked and form.services.registry.get(asked) is None:  # else it is another page's, from which one came here
        return None
    alive = [view for view in found if view.state not in TERMINAL and view.waiting is None]
    return next(iter(alive or found), None)


def views(form: Form) -> list[RunView]:
    """The runs of the form's kind, newest first."""
    return [view for view in form.services.registry.snapshot() if view.kind == form.kind.name]


def is_reading(services: Services, view: RunView | None) -> bool:
    """Whether the files of a run are still being read for the first time."""
    return view is not None and view.waiting is None and services.feeds.of(view.paths).reading is not None


def feed_of(services: Services, view: RunView | None) -> RunFeed | None:
    """What is read of a run's files; None for one that has none yet."""
    return services.feeds.of(view.paths) if view is not None and view.waiting is None else None


def read(services: Services, view: RunView | None) -> None:
    """Reads what the files of a run have new, or a part of it. For any thread."""
    if view is not None and view.waiting is None:
        services.feeds.read(view.paths, READ_S)


def marks(services: Services, view: RunView | None, tab: str | None) -> tuple[object, ...]:
    """By what the run that is shown is known to be as it was drawn. tab: what is open below its chart. For any
    thread."""
    if view is None or view.waiting is not None:
        return (view,)
    feed, alerts = services.feeds.of(view.paths), services.alerts.unread(view)
    more: object = file_mark(view.paths.machine) if tab == "curves" else None
    if named(view.kind).serves:
        more = services.chats.asking.changes, reached(services, view)
    return view, feed.version, feed.reading, file_mark(view.paths.printed), alerts, more, bundle().url()


def wrong(services: Services, view: RunView | None) -> tuple[str, ...]:
    """What is wrong with a run, by the names of the badges in Runs: what makes it useless to let it go on."""
    if view is None or view.waiting is not None:
        return ()
    alerted = {alert.rule for alert in services.alerts.of(view) if alert.attempt == view.attempt}
    dead = services.feeds.of(view.paths).dead_since is not None
    told = {"stalled": view.stall is not None, "dead": dead or NAN in alerted, "diverged": "diverged" in alerted}
    return tuple(name for name, true in told.items() if true)


def open_tab(kind: JobKind) -> str | None:
    """What is open below the chart of the run that is shown."""
    tab: str | None = st.session_state.get(f"{TAB}_{kind.name}")
    return tab


def news_of(
    services: Services, view: RunView | None, kind: JobKind, drawn: tuple[object, ...] | None
) -> Callable[[], bool]:
    """What tells whether a run is another than was drawn, and reads what its files have new. For any thread."""
    run_id, tab = view.run_id if view else None, open_tab(kind)
    by_itself = tab in UNMARKED

    def news() -> bool:
        now = services.registry.get(run_id) if run_id else None
        read(services, now)
        always = now is not None and (now.waiting is not None or (by_itself and now.state not in TERMINAL))
        return always or marks(services, now, tab) != drawn

    return news


def draw_body(form: Form, view: RunView) -> None:
    """Everything below the buttons."""
    services, kind = form.services, form.kind
    if view.waiting is not None:
        queue.draw_shown(services, view)
        return
    feed = services.feeds.of(view.paths)
    draw_outcome(form, view)
    if kind.trains:
        memory.draw_measured(services, view, feed)
    told = alert_bar.draw(services, view)
    if feed.dead_since is not None and kind.trains and not told:
        st.warning(t("ui.loss_dead", step=f"{feed.dead_since:.0f}"), icon=":material/monitor_heart:")
    bad_eval = feed.frame.eval_nan
    if bad_eval is not None and kind.trains:
        st.warning(t("ui.eval_nan", step=f"{bad_eval:.0f}"), icon=":material/monitor_heart:")
    if kind.trains and (len(feed.frame) > 0 or feed.reading is not None):
        draw_main(view, feed)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        tab = keyed.segments(
            t("ui.details"),
            kind.tabs,
            key=f"{TAB}_{kind.name}",
            page=form.page,
            word=lambda tab: t(f"ui.tab_{tab}"),
            required=True,
            label_visibility="collapsed",
        )
        if kind.trains:
            draw_link(services, view)
            draw_compare(view)
    DETAILS[tab](services, view, feed)


def draw_link(services: Services, view: RunView) -> None:
    """The tracker's page of the run, once it has published one."""
    key = (view.run_id, view.attempt)
    held = st.session_state.get("monitor.link")
    if held is None or held[0] != key or held[1] is None:
        held = (key, experiment_link(view.paths))
        st.session_state["monitor.link"] = held
    if held[1] and services.registry.redact(held[1]) == held[1]:  # an address with a token in it is not for others
        st.link_button(t("ui.tracker"), held[1], icon=":material/open_in_new:", help=markdown_safe(held[1]))


def draw_compare(view: RunView) -> None:
    """The way to a comparison that begins with this run."""
    st.page_link(
        "pages/compare.py", label=t("ui.compare_with"), icon=":material/compare_arrows:",
        query_params={"runs": view.run_id}, help=t("ui.compare_with_help"),
    )


def draw_configuration(services: Services, view: RunView, _feed: RunFeed) -> None:
    """Exactly what was run."""
    text = read_text_file(view.paths.training_args)
    if not isinstance(text, str):
        st.caption(t("ui.no_configuration"))
        return
    st.code(hide(services.registry.redact(text)), language="yaml", height=330)


DETAILS = {
    "conversation": lambda services, view, _feed: draw_chat(services, view),
    "results": lambda services, view, _feed: scores.draw(services, view),
    "predictions": lambda services, view, _feed: evaluation.draw_predictions(
        view, services.registry.redactor()
    ),
    "log": draw_log,
    "curves": draw_curves,
    "files": lambda services, view, _feed: downloads.draw_files(services, view),
    "configuration": draw_configuration,
}
