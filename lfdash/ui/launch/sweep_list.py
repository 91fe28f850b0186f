"""The sweeps of the workspace, below the dialog that makes one: how far each is, its best, Stop, Go on, Compare."""

from __future__ import annotations

import streamlit as st

from lfdash.engine.sweep_views import SweepView, braked_by
from lfdash.engine.sweeps import Sweeps
from lfdash.outcomes import Refused
from lfdash.ui.shared.answers import refusal
from lfdash.ui.shared.text import markdown_safe, pair, t

MOST = 10  # sweeps that are shown, the newest
ANSWER = "sweep.list_answer"  # why the last click changed nothing
ADDRESS = "sweep"  # which sweep, in the address of its page


def draw(sweeps: Sweeps, nothing: str = "", most: int = MOST) -> None:
    """The newest sweeps. nothing: what is said where there is none; most: that are shown."""
    try:
        views, broken = sweeps.views(), sweeps.unreadable()
    except OSError as error:
        st.warning(markdown_safe(refusal(sweeps.unlisted(error))))
        return
    for refused in broken:
        st.warning(markdown_safe(refusal(refused)))
    if ANSWER in st.session_state:
        st.error(markdown_safe(st.session_state[ANSWER]), icon=":material/block:")
    if nothing and not views and not broken:
        st.info(nothing, icon=":material/tune:")
    for view in views[:most]:
        title = f"{markdown_safe(view.name)} · {t(f'sweep.{view.state}')} · {view.ended}/{view.count}"
        with st.expander(title, key=f"sweep_{view.id}"):
            draw_one(sweeps, view)
    if len(views) > most:
        st.caption(t("sweep.more", count=len(views) - most))


def draw_one(sweeps: Sweeps, view: SweepView) -> None:
    """A sweep: its best run, and what can be done with it; all else is on its page."""
    if view.best is not None:
        st.markdown(best_words(view, view.best.name))
    with st.container(horizontal=True, gap="small"):
        draw_link(view.id)
        if view.state == "going":
            st.button(
                t("sweep.stop"), key=f"sweep_stop_{view.id}", icon=":material/stop:", help=t("sweep.stop_help"),
                on_click=change, args=(sweeps, view.id, False),
            )
        elif view.state == "stopped" or view.again:
            st.button(
                t("sweep.go_on"), key=f"sweep_go_on_{view.id}", icon=":material/play_arrow:",
                help=go_on_help(view), on_click=change, args=(sweeps, view.id, True),
            )
    if view.braked:
        st.warning(markdown_safe(why_braked(view)), icon=":material/front_hand:")


def best_words(view: SweepView, name: str) -> str:
    """The best run of a sweep and its value, safe inside Markdown. name: of the run, as it is called now."""
    assert view.best is not None
    words = t("sweep.best" if view.state == "done" else "sweep.best_so_far")
    return f"{pair(words, f'**{markdown_safe(name)}**')} · {markdown_safe(view.sweep.metric)} {view.best.value:.4g}"


def go_on_help(view: SweepView) -> str:
    """What *Go on* does with a sweep."""
    return t("sweep.go_on_failed", count=view.again) if view.again else t("sweep.go_on_help")


def why_braked(view: SweepView) -> str:
    """Why a sweep has stopped itself."""
    return t("sweep.braked", **braked_by(view, t))


def draw_link(sweep_id: str, words: str = "") -> None:
    """The way to the page of a sweep. words: of the link."""
    st.page_link(
        "pages/sweep.py", label=markdown_safe(words) if words else t("sweep.open"), icon=":material/open_in_full:",
        query_params={ADDRESS: sweep_id}, help=t("sweep.open_help"),
    )


def change(sweeps: Sweeps, sweep_id: str, going: bool) -> None:
    """Stop or Go on was clicked."""
    outcome = sweeps.go_on(sweep_id) if going else sweeps.stop(sweep_id)
    st.session_state.pop(ANSWER, None)
    if isinstance(outcome, Refused):
        st.session_state[ANSWER] = refusal(outcome)
