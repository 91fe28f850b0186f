"""Draws charts of curves: one part of the page for all charts of a place, which is sent only what is new."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import streamlit as st

from lfdash.runs.metrics.smoothing import ladder_at
from lfdash.ui.curves import lines, specs
from lfdash.ui.curves.deltas import Points, Sent
from lfdash.ui.curves.lines import DARK, CurveRun, Picture
from lfdash.ui.curves.settings import AXES, FIELDS, Axis, CurveSettings, from_query, query, told
from lfdash.ui.curves.vega import Bundle, cache_folder
from lfdash.ui.shared import browser_part, streamlit_private
from lfdash.ui.shared.charts import Chart
from lfdash.ui.shared.session import shared_services
from lfdash.ui.shared.text import language, t

SETTINGS = "curves.settings"
SENT = "curves.sent"
ASKED_CSV = "curves.csv"
LARGE, SMALL = 300, 190  # px
WORDS = (
    "bar", "chart", "smoothing", "smoothing_help", "span", "off", "x", "log", "log_help", "clip", "clip_help",
    "clipped", "least", "most", "reset", "reset_help", "save", "png", "svg", "spec", "csv", "link", "link_help",
    "copied", "best", "last", "keys", "launch", "saved", "loading", "reading", "more",
)
PATTERNS = ("name", "value", "x", "count", "total", "ends", "steps", "step", "percent")  # the browser fills them


def settings_of(group: str) -> CurveSettings:
    """What is shown, as this session was told last; first what the address says. group: what a zoom belongs to: the
    runs that are shown."""
    kept = st.session_state.get(SETTINGS)
    if kept is None:
        kept = (group, from_query({name: st.query_params.get(name, "") for name in FIELDS}))
    if kept[0] != group:
        kept = (group, replace(kept[1], zoom=None))
        st.query_params.pop("zoom", None)
    st.session_state[SETTINGS] = kept
    return kept[1]


def draw(
    key: str, runs: Sequence[CurveRun], charts: Sequence[Chart], settings: CurveSettings, *, group: str,
    choices: Sequence[Chart] = (), large: bool = False, file: str = "curves", shown: dict[str, str] | None = None,
    csv: Callable[[], str | bytes] | None = None,
) -> None:
    """Draws charts of runs where the script stands; nothing of a chart without a value.

    key: one a place of the page. group: see `settings_of`; the places of one group share zoom and rule. large: one
    above the other, with the bar of controls above, in which one of `choices` can be chosen as the chart. file: what
    downloads are called. shown: what else an address says that shows the same. csv: all values, made when asked for.
    """
    settings = possible(settings, runs)
    span = lines.span_of(runs, settings)
    points = lines.POINTS if large else lines.FEW_POINTS
    drawn = [lines.picture(chart, runs, settings, span=span, points=points) for chart in charts]
    drawn = [one for one in drawn if one.lines]
    reading = [run.feed.reading for run in runs if run.feed.reading is not None]
    page = {
        "vega": bundle().url(), "group": f"{group}\n{settings.x}", "large": large, "bar": large, "file": file,
        "words": words(), "dark": DARK, "run": runs[0].label if len(runs) == 1 else "",
        "fields": FIELDS, "shown": shown or {}, "csv": csv is not None,
    }
    parts: dict[str, Any] = {
        "page": page, "settings": bar(settings, span, runs, choices), "order": [one.chart.name for one in drawn],
        "ticks": lines.ticks(runs, settings.x),
    }
    reach = lines.reach(runs, drawn, settings.x)
    if reach is not None:
        parts["range"] = {"lo": reach[0], "hi": reach[1]}
    if settings.zoom is not None:
        parts["detail"] = settings.zoom
    if reading:
        parts["reading"] = min(reading)
    sent_points: dict[str, Points] = {}
    for one in drawn:
        parts[f"chart/{one.chart.name}"] = chart_part(one, settings, LARGE if large else SMALL)
        parts[f"marks/{one.chart.name}"] = one.marks
        sent_points |= one.points
    if csv is not None and st.session_state.get(ASKED_CSV):
        del st.session_state[ASKED_CSV]
        values = csv()
        content = values.encode() if isinstance(values, str) else values
        name = f"{file}.csv"
        parts["file"] = {"url": streamlit_private.offer_file(content, "text/csv", key, name), "name": name}
    sent = st.session_state.setdefault(SENT, {}).setdefault(key, Sent())
    message = sent.message((group, settings.x, language()), parts, sent_points)
    browser_part.mount(
        "curves", key, {"key": key, **message}, on_told_change=partial(take, key, group),
        on_asked_change=sent.forget,
    )


def take(key: str, group: str) -> None:
    """Takes what the browser said, and puts it into the address."""
    said = st.session_state[key].get("told")
    if not isinstance(said, dict):
        return
    if said.get("csv"):
        st.session_state[ASKED_CSV] = True
    settings = told(settings_of(group), said)
    st.session_state[SETTINGS] = (group, settings)
    wanted = query(settings)
    for name in FIELDS:
        if name in wanted:
            st.query_params[name] = wanted[name]
        elif name in st.query_params:
            del st.query_params[name]


def chart_part(one: Picture, settings: CurveSettings, height: int) -> dict[str, Any]:
    """What the browser is told of a chart beside its values."""
    log = settings.log and one.chart.scale == "switch"
    title = one.chart.words
    spec = specs.built(
        tuple(one.lines), title, settings.x, axis_word(settings.x), log=log, number=one.chart.number, height=height
    )
    return {
        "title": title, "spec": spec, "log": log, "height": height,
        "lines": [
            {"id": line.id, "label": line.label, "colour": line.colour, "faint": line.faint, "points": line.points,
             "follows": line.follows, "dash": line.dash}
            for line in one.lines
        ],
    }


def axes_of(runs: Sequence[CurveRun]) -> list[Axis]:
    """The axes that any of the runs has."""
    return [axis for axis in AXES if axis == "step" or any(axis in run.feed.frame for run in runs)]


def possible(settings: CurveSettings, runs: Sequence[CurveRun]) -> CurveSettings:
    """The same, over steps where the axis that was chosen for other runs is one that none of these has."""
    return settings if settings.x in axes_of(runs) else replace(settings, x="step", zoom=None)


def bar(settings: CurveSettings, span: float, runs: Sequence[CurveRun], choices: Sequence[Chart]) -> dict[str, Any]:
    """What the bar of controls shows."""
    axes = axes_of(runs)
    return {
        "x": settings.x, "log": settings.log, "clip": settings.clip, "chart": settings.chart,
        "hidden": settings.hidden, "zoom": settings.zoom, "spanUsed": span, "ladder": ladder(span, runs),
        "axes": [(axis, axis_word(axis)) for axis in axes],
        "charts": [(chart.name, chart.words) for chart in choices], "query": query(replace(settings, zoom=None)),
    }


def ladder(span: float, runs: Sequence[CurveRun]) -> list[float]:
    """The half-lives that can be chosen: none, 1, 2, 5, 10 ... up to half of the longest run, and the one used."""
    last = max((float(run.feed.frame["step"][-1]) for run in runs if len(run.feed.frame["step"])), default=1.0)
    longest = ladder_at(max(last, *(run.feed.planned or 0 for run in runs), 4.0) / 2)
    steps = {0.0, span}
    value = 1.0
    while value <= longest:
        steps |= {value, 2 * value, 5 * value}
        value *= 10
    return [int(step) if step == int(step) else step for step in sorted(steps) if step <= max(longest, span)]


def axis_word(axis: str) -> str:
    """What an axis is called."""
    return t(f"ui.curves_axis_{axis}")


def words() -> dict[str, str]:
    """What the browser says, with its patterns as they are."""
    patterns = {name: f"{{{name}}}" for name in PATTERNS}
    return {name: t(f"ui.curves_{name}", **patterns) for name in WORDS}


_bundles: list[Bundle] = []


def bundle() -> Bundle:
    """Vega for the browsers of this server."""
    if not _bundles:
        _bundles.append(Bundle(cache_folder(), shared_services().workspace.private / "browser"))
    return _bundles[0]
