"""The page of a sweep, which stands in the address; without one the sweeps of the workspace.

It is reached by links (the dialog that makes sweeps, the table of runs): the line of pages has no room for a ninth,
and who has no sweep needs none.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from functools import partial

import streamlit as st

from lfdash.engine.services import Services
from lfdash.engine.sweep_table import TrialRow, rows_of
from lfdash.engine.sweep_views import SweepView, how_measured
from lfdash.engine.sweeps import Sweeps
from lfdash.jobs.sweep_values import key_of
from lfdash.outcomes import Refused
from lfdash.ui.compare import tables
from lfdash.ui.launch import sweep, sweep_list
from lfdash.ui.shared import dialogs, streamlit_private
from lfdash.ui.shared.answers import refusal
from lfdash.ui.shared.layout import draw_frame
from lfdash.ui.shared.session import shared_services, shared_sweeps
from lfdash.ui.shared.text import listed, markdown_safe, t
from lfdash.ui.sweep import actions, relation, trials

MOST = 100  # sweeps in the list
LONGEST_ID = 80  # characters of an id in the address that are repeated
GOING_S, RESTING_S = 2.0, 10.0  # seconds between two looks
LOOKS = {"going": "run", "stopped": "stop", "done": "done"}


def draw() -> None:
    """Draws the page."""
    draw_frame("ui.page_sweep", sidebar=False)
    services, sweeps = shared_services(), shared_sweeps()
    sweep.close()  # a link in that dialog leads here
    st.html(f"<style>{tables.CSS}{relation.CSS}</style>")
    wanted = st.query_params.get(sweep_list.ADDRESS, "")
    if not wanted:
        st.html(tables.heading(t("ui.page_sweep")))
        sweep_list.draw(sweeps, nothing=t("sweep.none_yet"), most=MOST)
        return
    found = sweeps.get(wanted)
    if isinstance(found, SweepView) and found.id != wanted:
        st.query_params[sweep_list.ADDRESS] = wanted = found.id  # it was a name
    going = isinstance(found, SweepView) and is_going(found)
    seconds = (GOING_S if going else RESTING_S) * max(1.0, streamlit_private.open_tabs() / 8)
    st.fragment(partial(draw_body, services, sweeps, wanted, going), run_every=seconds, key="sweep_body")()


def is_going(view: SweepView) -> bool:
    """Whether anything of a sweep changes by itself."""
    return view.state == "going" or any(trial.state == "running" for trial in view.trials)


def draw_body(services: Services, sweeps: Sweeps, wanted: str, going: bool) -> None:
    """All of a sweep, as it is now. going: whether it went on when the page was drawn, which says how often it is
    looked at."""
    actions.go()
    found = sweeps.get(wanted)
    if isinstance(found, Refused):
        st.error(markdown_safe(missing(found, wanted)), icon=":material/link_off:")
        st.page_link("pages/sweep.py", label=t("sweep.all"), icon=":material/tune:")
        return
    if is_going(found) != going and not streamlit_private.draws_page() and not dialogs.is_open():
        st.rerun()
    rows = rows_of(services, found)
    draw_head(found, rows)
    if sweeps.waits_for_user(found):
        st.warning(t("scheduler.sweep_waits"), icon=":material/front_hand:")
    elif (refused := sweeps.refused(found)) is not None:
        words = t("scheduler.sweep_rests", refused=markdown_safe(refusal(refused)))
        st.warning(words, icon=":material/hourglass_top:")
    actions.draw(services, sweeps, found)
    trials.draw(services, found, rows)
    relation.draw(found, rows)


def missing(refused: Refused, wanted: str) -> str:
    """Why there is nothing to be shown."""
    return t("sweep.gone", name=wanted[:LONGEST_ID]) if refused.code == "sweep_unknown" else refusal(refused)


def draw_head(view: SweepView, rows: Sequence[TrialRow]) -> None:
    """What the sweep is called, how far it is, and how it tries."""
    facts = [
        (t("sweep.runs"), f"{view.ended} / {view.count}"),
        (t("sweep.metric"), f"{view.sweep.metric} · {t(f'sweep.is_{view.sweep.direction}')}"),
        (t("sweep.strategy"), t(f"sweep.is_{view.sweep.strategy}")),
        (t("sweep.stop_early"), t(f"sweep.is_{view.sweep.stop_early}")),
        (t("sweep.fields"), listed(key_of(one.row) for one in view.sweep.dimensions)),
        *([(t("ui.runs_col_target"), view.job.target)] if view.job.target else []),
    ]
    told = "".join(
        f'<span class="lf-fact"><b>{html.escape(value)}</b> <small>{html.escape(name)}</small></span>'
        for name, value in facts
    )
    st.html(
        f'<div class="lf-strip lf-sweep"><span class="lf-name">{html.escape(view.name)}</span>'
        f'<span class="lf-state lf-{LOOKS[view.state]}" data-state="{view.state}">'
        f'{html.escape(t(f"sweep.{view.state}"))}</span>{told}</div>'
    )
    if view.braked:
        st.warning(markdown_safe(sweep_list.why_braked(view)), icon=":material/front_hand:")
    if view.best is not None:
        best = sweep_list.best_words(view, rows[0].name)
        st.markdown(f"{best} · {how_measured(view, view.best, t)}")
