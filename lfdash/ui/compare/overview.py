"""The curves of the compared runs over each other, their numbers, and the settings that differ."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

import streamlit as st

from lfdash.engine.comparison import Subject
from lfdash.engine.services import Services
from lfdash.runs.compare.address import MOST_CURVES, write
from lfdash.ui.compare import numbers, settings, state
from lfdash.ui.compare.runs import curve_runs, is_alive
from lfdash.ui.compare.tables import heading
from lfdash.ui.curves import draw as curves
from lfdash.ui.curves import lines
from lfdash.ui.curves.lines import CurveRun
from lfdash.ui.shared import keyed, streamlit_private
from lfdash.ui.shared.charts import Chart
from lfdash.ui.shared.run_words import tick_seconds
from lfdash.ui.shared.text import t

READ_S = 0.3  # seconds that a look may read
READ_ON_S = 0.5  # seconds between two looks while files are read
BODY = "compare.body"  # the fragment that shows what changes while runs go on
DRAWN = "compare.drawn"  # marks of the runs as they were drawn
MORE = "compare.more_curves"


def draw(services: Services, subjects: Sequence[Subject], names: dict[str, str]) -> None:
    """The part that changes while runs go on, then the rest; of the runs that have a colour."""
    subjects = [subject for subject in subjects if subject.place < MOST_CURVES]
    runs = curve_runs(services, subjects, names)
    read(runs)
    seconds = seconds_of(subjects, runs)
    st.fragment(partial(draw_body, services, subjects, names, ticks=seconds is not None), key=BODY)()
    st.fragment(partial(look, services, subjects, names), run_every=seconds)()
    st.html(heading(t("ui.compare_settings")))
    settings.draw(services, subjects, names)


def seconds_of(subjects: Sequence[Subject], runs: Sequence[CurveRun]) -> float | None:
    """How often is looked for news; None where none can come."""
    if is_reading(runs):
        return READ_ON_S
    alive = next((subject.view for subject in subjects if is_alive(subject)), None)
    return tick_seconds(alive, streamlit_private.open_tabs()) if alive is not None else None


def is_reading(runs: Sequence[CurveRun]) -> bool:
    """Whether files are still read for the first time, or the browser's part is still being made."""
    return any(run.feed.reading is not None for run in runs) or (bool(runs) and curves.bundle().url() is None)


def read(runs: Sequence[CurveRun]) -> None:
    """Reads what is new of all runs, for as long as a look may take."""
    end = time.monotonic() + READ_S
    for run in runs:
        run.feed.poll(max(0.01, end - time.monotonic()))


def marks(runs: Sequence[CurveRun]) -> list[object]:
    """By what the runs are known to be as they were drawn."""
    return [*((run.feed.version, run.feed.reading) for run in runs), curves.bundle().url()]


def look(services: Services, subjects: Sequence[Subject], names: dict[str, str]) -> None:
    """Draws nothing: looks whether there is news, and has drawn again what it changes. Not while the page itself is
    drawn: that would end where it is."""
    if streamlit_private.draws_page():
        return
    runs = curve_runs(services, subjects, names)
    before = is_reading(runs)
    read(runs)
    if before and not is_reading(runs):
        st.rerun()
    if marks(runs) != st.session_state.get(DRAWN):
        streamlit_private.rerun_fragment(BODY)


def draw_body(services: Services, subjects: Sequence[Subject], names: dict[str, str], *, ticks: bool) -> None:
    """Curves and numbers. ticks: whether a pulse looks for news: feeds that nobody has asked for in a while are read
    anew, and that may take longer than this."""
    runs = curve_runs(services, subjects, names)
    read(runs)
    if is_reading(runs) and not ticks:
        st.rerun()
    with st.container():  # one place, however many parts are in it
        if runs:
            draw_curves(runs)
    st.html(heading(t("ui.compare_numbers")))
    numbers.draw(services, subjects, names)
    st.session_state[DRAWN] = marks(runs)


def draw_curves(runs: Sequence[CurveRun]) -> None:
    """One large chart, and the others where they are asked for."""
    group = state.group()
    found = curves.settings_of(group)
    charts = lines.charts_of(runs)
    if not charts:
        st.caption(t("ui.compare_no_curves"))
        return
    first = next((chart for chart in charts if chart.name == found.chart), charts[0])
    shown = write(state.current())
    curves.draw(
        "compare_curves", runs, [first], found, group=group, choices=charts, large=True, file="compare", shown=shown
    )
    draw_others(runs, [chart for chart in charts if chart is not first], group)


def draw_others(runs: Sequence[CurveRun], charts: Sequence[Chart], group: str) -> None:
    """The other charts, small."""
    if not charts:
        return
    with keyed.expander(t("ui.compare_more_curves", count=len(charts)), key=MORE, page="compare") as box:
        if box.open:
            curves.draw("compare_others", runs, charts, curves.settings_of(group), group=group)
