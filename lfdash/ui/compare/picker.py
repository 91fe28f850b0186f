"""The sidebar of the Compare page: which runs are compared, and a search for more."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from lfdash.engine.comparison import Subject
from lfdash.engine.services import Services
from lfdash.jobs.kinds import named
from lfdash.runs.compare.address import MOST_RUNS
from lfdash.runs.finding import Wanted
from lfdash.runs.table import TableRow
from lfdash.ui.compare import state
from lfdash.ui.compare.numbers import base_of
from lfdash.ui.compare.runs import swatch
from lfdash.ui.shared.run_words import state_word
from lfdash.ui.shared.text import markdown_safe, t

FIND = "compare.find"
OFFERED = 8  # runs that a search shows
LISTED = 40  # compared runs that have a row


def draw(services: Services, subjects: Sequence[Subject], names: dict[str, str], rows: Sequence[TableRow]) -> None:
    """The runs that are compared, then the search."""
    draw_chosen(subjects, names)
    draw_search(rows)


def draw_chosen(subjects: Sequence[Subject], names: dict[str, str]) -> None:
    """A row a run: to its page, as the baseline, out of the comparison."""
    if not subjects:
        return
    base = base_of([subject for subject in subjects if subject.view is not None])
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(f"**{t('ui.compare_runs', count=len(subjects))}**", width="content")
        st.button(t("ui.compare_clear"), key="compare_clear", type="tertiary", on_click=state.clear)
    with st.container(key="compare_chosen", gap=None):
        for subject in subjects[:LISTED]:
            draw_one(subject, names[subject.run_id], is_base=subject.run_id == base)
        if len(subjects) > LISTED:
            st.caption(t("ui.compare_more_runs", count=len(subjects) - LISTED))


def draw_one(subject: Subject, name: str, *, is_base: bool) -> None:
    """The row of a run."""
    with st.container(
        horizontal=True, vertical_alignment="center", key=f"compare_run_{subject.run_id}", gap="small",
    ):
        st.html(swatch(subject.place) or '<span class="lf-swatch"></span>', width="content")
        if subject.view is None:
            st.markdown(f":gray[{markdown_safe(name)}]", width="stretch")
        else:
            words = state_word(subject.view.state.name)
            st.page_link(
                named(subject.kind).page, label=markdown_safe(name), query_params={"run": subject.run_id},
                help=f"{markdown_safe(subject.view.output_dir)} · {words}", width="stretch",
            )
            draw_base(subject.run_id, is_base=is_base)
        words = t("ui.compare_drop", name=name)
        st.button(
            words, key=f"compare_drop_{subject.run_id}", icon=":material/close:", type="tertiary", help=words,
            on_click=state.drop, args=(subject.run_id,),
        )


def draw_base(run_id: str, *, is_base: bool) -> None:
    """That a run is the baseline, or the way to make it that."""
    if is_base:
        st.markdown(f":blue-badge[{t('ui.compare_baseline')}]", width="content")
        return
    words = t("ui.compare_as_baseline")
    st.button(
        words, key=f"compare_base_{run_id}", type="tertiary", help=words, icon=":material/flag:",
        on_click=state.rebase, args=(run_id,),
    )


def draw_search(rows: Sequence[TableRow]) -> None:
    """Runs that can be added: the newest, or those that a text finds."""
    text = st.text_input(
        t("ui.compare_find"), key=FIND, placeholder=t("ui.compare_find"), label_visibility="collapsed", type="search",
        live=True, icon=":material/search:", persist_state="session",
    )
    chosen = set(state.current().ids)
    found = [row for row in Wanted((text or "").strip()).select(rows) if row.run_id not in chosen]
    if not found:
        st.caption(t("ui.runs_no_match") if text else t("ui.compare_all_in"))
        return
    room = MOST_RUNS - len(chosen)
    with st.container(key="compare_offered", gap=None):
        for row in found[:OFFERED]:
            st.button(
                markdown_safe(row.name), key=f"compare_add_{row.run_id}", icon=":material/add:", type="tertiary",
                help=" · ".join(markdown_safe(word) for word in (row.model, row.stage, row.folder) if word),
                on_click=state.add, args=(row.run_id,), disabled=room <= 0,
            )
    if len(found) > OFFERED:
        st.caption(t("ui.compare_more_found", count=len(found) - OFFERED))
    if text and 1 < len(found) <= room:
        st.button(
            t("ui.compare_add_all", count=len(found)), key="compare_add_all", icon=":material/playlist_add:",
            on_click=state.add, args=tuple(row.run_id for row in found),
        )
