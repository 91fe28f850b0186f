"""The Compare page: some runs over each other and side by side. Which, and what of them, stands in the address."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import streamlit as st

from lfdash.engine.comparison import Subject, subjects_of
from lfdash.engine.services import Services
from lfdash.jobs.kinds import named
from lfdash.runs.compare.address import MOST_CURVES, TABS
from lfdash.runs.table import TableRow
from lfdash.ui.compare import overview, picker, predictions, relation, scores, state, tables
from lfdash.ui.compare.runs import is_alive, names_of, some_of
from lfdash.ui.shared import address, dialogs, keyed, streamlit_private
from lfdash.ui.shared.layout import draw_frame
from lfdash.ui.shared.run_words import tick_seconds
from lfdash.ui.shared.session import shared_services
from lfdash.ui.shared.text import t

TAB = "compare.tab"
MISSING = ("missing", "deleted", "spoiled", "unseen", "pointer")  # remarks that are a warning
TOLD = ("waits", "empty", "evaluation", "export", "card", "no_settings", "spoiled_settings")

Draw = Callable[[Services, Sequence[Subject], dict[str, str]], None]
DRAWN: Mapping[str, Draw] = {
    "overview": overview.draw, "scores": scores.draw, "predictions": predictions.draw, "relation": relation.draw,
}


def draw() -> None:
    """Draws the page."""
    draw_frame("ui.page_compare")
    services = shared_services()
    views = address.known(services, st.query_params.get("runs", "").split(","))
    state.take(views)
    rows = services.table.rows(views)
    subjects = subjects_of(services, state.current())
    names = names_of(subjects)
    st.html(f"<style>{tables.CSS}</style>")
    with st.sidebar:
        picker.draw(services, subjects, names, rows)
    if not subjects:
        draw_empty(rows)
        state.publish()
        return
    present = [subject for subject in subjects if subject.view is not None]
    with st.container():  # one place, whatever is told: what is below it would be seen twice while its place changes
        draw_remarks(subjects, names)
        if len(present) < 2:
            st.info(t("ui.compare_one"), icon=":material/add:")
    if present:
        draw_tabs(services, present, names)
    state.publish()
    watch(services, subjects)


def watch(services: Services, subjects: Sequence[Subject]) -> None:
    """Draws the page anew when a run begins, ends, comes, goes or gets another name: words all over it change."""
    drawn = states_of(services, subjects)
    alive = next((subject.view for subject in subjects if is_alive(subject)), None)

    def look() -> None:
        if states_of(services, subjects) != drawn and not dialogs.is_open():
            st.rerun()

    st.fragment(look, run_every=tick_seconds(alive, streamlit_private.open_tabs()))()


def states_of(services: Services, subjects: Sequence[Subject]) -> list[tuple[str, str] | None]:
    """How the runs stand, and what they are called."""
    views = [services.registry.get(subject.run_id) for subject in subjects]
    return [None if view is None else (view.state.name, view.name) for view in views]


def draw_tabs(services: Services, present: Sequence[Subject], names: dict[str, str]) -> None:
    """What is shown of the runs."""
    st.session_state[TAB] = state.current().tab
    tab = keyed.segments(
        t("ui.details"), TABS, key=TAB, page="compare", word=lambda name: t(f"ui.compare_tab_{name}"), required=True,
        label_visibility="collapsed", on_change=turned,
    )
    DRAWN[tab](services, present, names)


def turned() -> None:
    """Another part is looked at."""
    state.change(tab=st.session_state[TAB])


def draw_empty(rows: Sequence[TableRow]) -> None:
    """How runs are chosen."""
    st.info(t("ui.compare_empty"), icon=":material/compare_arrows:")
    newest = [row.run_id for row in rows if named(row.kind).trains][:2]
    if len(newest) == 2:
        st.button(t("ui.compare_newest"), key="compare_newest", icon=":material/history:", on_click=state.add,
                  args=tuple(newest))
    st.page_link("pages/runs.py", label=t("ui.compare_to_runs"), icon=":material/arrow_forward:")


def draw_remarks(subjects: Sequence[Subject], names: dict[str, str]) -> None:
    """What is to be told of single runs, by their names."""
    for remarks, tell in ((MISSING, warn), (TOLD, partial(st.caption))):
        told = []
        for remark in remarks:
            those = [names[subject.run_id] for subject in subjects if remark in subject.remarks]
            if those:
                told.append(t(f"ui.compare_is_{remark}", names=some_of(those)))
        if told:
            tell(" ".join(told))
    beyond = sum(subject.place >= MOST_CURVES for subject in subjects)
    if beyond:
        st.caption(t("ui.compare_most_curves", most=MOST_CURVES, count=beyond))


def warn(words: str) -> None:
    """Something that is amiss."""
    st.warning(words, icon=":material/link_off:")
