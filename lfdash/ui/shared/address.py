"""The run that the address names: a link and a reload show it, Back and Forward go through those that were shown."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

from lfdash.engine.services import Services
from lfdash.jobs.kinds import named
from lfdash.runs.view import RunView
from lfdash.ui.shared.answers import SHOWN

RUN = "run"
TOLD = "page.address_run"  # what this page put into the address last


def known(services: Services, words: Iterable[str | None]) -> tuple[RunView, ...]:
    """All runs, for a page whose address names some: where a word means none that is known, the folders are looked at
    first, since a run that was started elsewhere a moment ago is there before anybody has looked for it."""
    views = services.registry.snapshot()
    unknown = {word for word in words if word and services.registry.get(word) is None}
    if unknown and not unknown <= ids_by_word(views).keys():
        services.registry.search()
        views = services.registry.snapshot()
    return views


def follow(views: Iterable[RunView]) -> None:
    """Shows the run that the address names, where somebody else changed the address: the browser went back or forward,
    or a link was typed. A name stands for the id of the one run that has it."""
    asked = st.query_params.get(RUN)
    if asked and asked != st.session_state.get(TOLD):
        ids = ids_by_word(views).get(asked, [])
        if len(ids) == 1 and ids[0] != asked:
            asked = st.query_params[RUN] = ids[0]
        st.session_state[SHOWN] = asked


def leave_for(views: Iterable[RunView], kind: str) -> None:
    """Opens the page on which the run that the address names belongs, where a link that was typed or followed leads to
    the page of another kind: there, another run would be shown in its place. kind: of the page, by its name."""
    asked, views = st.query_params.get(RUN), tuple(views)
    if not asked or asked == st.session_state.get(TOLD):
        return
    ids = ids_by_word(views).get(asked, [])
    view = next((view for view in views if [view.run_id] == ids), None)
    if view is not None and view.kind != kind:
        st.switch_page(named(view.kind).page, query_params={**st.query_params.to_dict(), RUN: view.run_id})


def ids_by_word(views: Iterable[RunView]) -> dict[str, list[str]]:
    """The ids of the runs that a word means: an id itself, else all that have it as their name."""
    found: dict[str, list[str]] = {}
    views = tuple(views)
    for view in views:
        found.setdefault(view.name, []).append(view.run_id)
    return {**found, **{view.run_id: [view.run_id] for view in views}}


def tell(run_id: str) -> None:
    """Puts the run that is shown into the address."""
    if st.query_params.get(RUN) != run_id:
        st.query_params[RUN] = run_id
    st.session_state[TOLD] = run_id
