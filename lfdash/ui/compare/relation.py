"""A setting against a metric: a point a run, or a line a run over all settings that differ."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from lfdash.engine.comparison import Subject, evaluations_of, settings_of
from lfdash.engine.services import Services
from lfdash.jobs.kinds import named
from lfdash.runs.compare.axes import Axis, axis_of
from lfdash.runs.compare.numbers import better
from lfdash.runs.compare.scores import Evaluation
from lfdash.runs.compare.settings import VALUED, SettingRow, shortened
from lfdash.runs.table import TableRow
from lfdash.ui.compare import specs, state
from lfdash.ui.compare.numbers import number_words
from lfdash.ui.compare.runs import colour_of, some_of
from lfdash.ui.shared import keyed
from lfdash.ui.shared.text import t

SETTING, METRIC, LOOK = "compare.setting", "compare.metric", "compare.look"
LOOKS = ("points", "lines")
OWN = ("best", "best_eval", "last", "duration")  # numbers of the runs table
OWN_COLUMN = {"best": "loss", "best_eval": "eval_loss", "last": "loss", "duration": "duration"}
MOST_AXES = 8  # settings that stand beside each other
MOST_TICKS = 9  # of an axis of words
LONGEST_TICK = 22  # characters
NOTHING = "–"  # stands for a setting that a run does not have
FIRST = ("learning_rate", "lora_rank")  # the settings that are looked at first


@dataclass(frozen=True)
class Point:
    """A run in the view. shape: of its point, by which runs of one colour differ. settings: setting -> what stands for
    it; metrics: metric -> its number."""

    run_id: str
    name: str
    colour: str
    shape: str
    settings: Mapping[str, Any]
    metrics: Mapping[str, float]


def draw(services: Services, subjects: Sequence[Subject], names: dict[str, str]) -> None:
    """The choices, and the picture."""
    rows = [row for row in settings_of(services, subjects) if row.in_effect]
    points = points_of(services, subjects, names, rows)
    metrics = metrics_of(points)
    if not rows or not metrics:
        st.caption(t("ui.compare_settings_none" if not rows else "ui.compare_no_numbers"))
        return
    setting, metric, look = choose([row.name for row in rows], metrics)
    coloured = all(point.colour for point in points)
    shown = [point for point in points if metric in point.metrics]
    if len(shown) < len(points):
        st.caption(t("ui.compare_without_metric", count=len(points) - len(shown)))
    if not shown:
        return
    if look == "points":
        draw_scatter(shown, setting, metric, coloured=coloured)
    else:
        draw_parallel(shown, [setting, *(row.name for row in rows if row.name != setting)], metric, coloured=coloured)


def choose(settings: Sequence[str], metrics: Sequence[str]) -> tuple[str, str, str]:
    """Which setting and metric, and how they are shown."""
    wanted = state.current()
    usual = next((name for name in FIRST if name in settings), settings[0])
    st.session_state[SETTING] = wanted.setting if wanted.setting in settings else usual
    st.session_state[METRIC] = wanted.metric if wanted.metric in metrics else metrics[0]
    with st.container(horizontal=True, vertical_alignment="bottom", key="compare_relation_bar"):
        keyed.select(t("ui.compare_setting"), settings, key=SETTING, page="compare", empty=False, on_change=chosen,
                     width=260)
        keyed.select(t("ui.compare_metric"), metrics, key=METRIC, page="compare", empty=False, word=metric_word,
                     on_change=chosen, width=260)
        look = keyed.segments(t("ui.compare_look"), LOOKS, key=LOOK, page="compare", required=True,
                              word=lambda name: t(f"ui.compare_{name}"), label_visibility="collapsed")
    return st.session_state[SETTING], st.session_state[METRIC], look


def chosen() -> None:
    """Another setting or metric is looked at."""
    state.change(setting=st.session_state[SETTING], metric=st.session_state[METRIC])


def metric_word(name: str) -> str:
    """What a metric is called."""
    return t(f"ui.runs_col_{name}") if name in OWN else name


# -- what there is --------------------------------------------------------------------------------------


def points_of(
    services: Services, subjects: Sequence[Subject], names: Mapping[str, str], rows: Sequence[SettingRow]
) -> list[Point]:
    """The runs with their settings and numbers; an evaluation counts for the run whose weights it evaluated."""
    table = {row.run_id: row for row in services.table.rows(services.registry.snapshot())}
    scores = scores_by_run(evaluations_of(services, subjects))
    found = []
    for place, subject in enumerate(subjects):
        if not named(subject.kind).trains:
            continue
        known = {row.name: row.cells[place].value for row in rows if row.cells[place].how in VALUED}
        numbers = {**own_numbers(table.get(subject.run_id)), **scores.get(subject.run_id, {})}
        finite = {name: value for name, value in numbers.items() if value is not None and math.isfinite(value)}
        own = colour_of(subject.place)
        shape = own.shape if own is not None else ""
        found.append(Point(subject.run_id, names[subject.run_id], colour_words(subject.place), shape, known, finite))
    return found


def colour_words(place: int) -> str:
    """The colour of a run's place as the page is: light or dark; "" for none."""
    colour = colour_of(place)
    if colour is None:
        return ""
    return colour.dark if st.context.theme.type == "dark" else colour.light


def own_numbers(row: TableRow | None) -> dict[str, float | None]:
    """What the runs table knows of a run."""
    return {name: getattr(row, name) for name in OWN} if row is not None else {}


def scores_by_run(found: Sequence[Evaluation]) -> dict[str, dict[str, float | None]]:
    """Scores by the run whose weights they are of; the last checkpoint's count."""
    scores: dict[str, dict[str, float | None]] = {}
    for one in found:
        scores.setdefault(one.origin.run_id if one.origin else one.run_id, {}).update(one.scores)
    return scores


def metrics_of(points: Sequence[Point]) -> list[str]:
    """The metrics that any run has: those of the runs table, those of which is known which way is better, the others.
    """
    names = {name for point in points for name in point.metrics if name not in OWN}
    own = [name for name in OWN if any(name in point.metrics for point in points)]
    return [*own, *sorted(names, key=lambda name: (better(name) == 0, name))]


# -- points ---------------------------------------------------------------------------------------------


def draw_scatter(points: Sequence[Point], setting: str, metric: str, *, coloured: bool) -> None:
    """A point a run."""
    across = axis_of(setting, [point.settings.get(setting) for point in points])
    upright = axis_of(metric, [point.metrics[metric] for point in points])
    short = dict(zip(across.ticks, shortened(across.ticks, LONGEST_TICK), strict=True))
    data = pd.DataFrame([
        {
            "run": point.name, "x": placed(across, value, short), "y": point.metrics[metric],
            "x_text": across.word(value), "y_text": metric_text(metric, point.metrics[metric]), "colour": point.colour,
            "shape": point.shape,
        }
        for point in points if (value := point.settings.get(setting)) is not None
    ])
    if data.empty:
        st.caption(t("ui.compare_no_setting"))
        return
    spec = specs.scatter(
        setting, across.kind, metric_word(metric), upright.kind, ticks=tuple(short.values()),
        numbers=across.numbers, coloured=coloured,
    )
    st.vega_lite_chart(data, spec, key=f"compare_scatter_{coloured}", width="stretch")
    missing = [point.name for point in points if point.settings.get(setting) is None]
    if missing:
        st.caption(t("ui.compare_without_setting", names=some_of(missing)))


def placed(axis: Axis, value: Any, short: Mapping[str, str]) -> Any:
    """A value as the axis takes it. short: the words of an axis, as they are written there."""
    return short[axis.word(value)] if axis.kind == "words" else float(value)


def metric_text(metric: str, value: float) -> str:
    """A metric's value as its quantity is read."""
    return number_words(OWN_COLUMN.get(metric, metric), value)


# -- lines ----------------------------------------------------------------------------------------------


def draw_parallel(points: Sequence[Point], settings: Sequence[str], metric: str, *, coloured: bool) -> None:
    """A line a run over the settings and the metric."""
    names = list(settings)[:MOST_AXES]
    axes = [axis_of(name, [point.settings.get(name) for point in points]) for name in names]
    axes.append(axis_of(metric_word(metric), [point.metrics[metric] for point in points]))
    lines = [
        {
            "kind": "line", "run": point.name, "id": point.run_id, "axis": axis.name, "place": place, "text": text,
            "colour": point.colour, "shape": point.shape, "value": point.metrics[metric],
        }
        for point in points for axis in axes for place, text in [on_axis(axis, point, metric)]
    ]
    below = {line["axis"] for line in lines if line["place"] == specs.BELOW}
    ticks = [
        {"kind": "tick", "axis": axis.name, "place": place, "text": text} for axis in axes
        for place, text in [*ticks_of(axis), *([(specs.BELOW, NOTHING)] if axis.name in below else [])]
    ]
    spec = specs.parallel(tuple(axis.name for axis in axes), metric_word(metric), coloured=coloured)
    with st.container(key="compare_parallel"):
        st.vega_lite_chart(pd.DataFrame([*lines, *ticks]), spec, key=f"compare_lines_{coloured}", width="content")
    if len(settings) > MOST_AXES:
        st.caption(t("ui.compare_more_axes", count=len(settings) - MOST_AXES))


def on_axis(axis: Axis, point: Point, metric: str) -> tuple[float, str]:
    """Where a run stands on an axis, and with what; below it where the run has no such setting."""
    if axis.name == metric_word(metric):
        value: Any = point.metrics[metric]
        return axis.place(value) or 0.0, metric_text(metric, value)
    value = point.settings.get(axis.name)
    place = axis.place(value)
    return (specs.BELOW, NOTHING) if place is None else (place, axis.word(value))


def ticks_of(axis: Axis) -> list[tuple[float, str]]:
    """The places of an axis that are written beside it."""
    if axis.kind != "words":
        return axis.marks()
    short = shortened(axis.ticks, LONGEST_TICK)
    step = max(1, -(-len(short) // MOST_TICKS))
    last = max(len(short) - 1, 1)
    return [(place / last if len(short) > 1 else 0.5, short[place]) for place in range(0, len(short), step)]
