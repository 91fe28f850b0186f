"""CHARTS: every chart, one row each. Its specification is built once and its data are sent apart, so that a tick
neither redraws nor loses the zoom.

A chart is a row here and its texts; tests/golden/charts holds its specification (`make golden`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import altair as alt

from lfdash.ui.shared.text import t

ZOOM = "zoom"  # name of the interval selection: Streamlit keeps the zoom over new data when it is selected
COLOURS = ("#9bb8d9", "#1668c7", "#d9730d")

Drawn = alt.Chart | alt.LayerChart | alt.FacetChart


@dataclass(frozen=True)
class Series:
    """A line of a chart.

    column: of the run's metrics. word: key of the text that the legend shows; none where a chart has one line. name:
    what it shows as it is, where that is a name and no text.
    smooth: whether the column is smoothed. width: of the line, px. points: whether each value has a dot.
    """

    column: str
    word: str = ""
    smooth: bool = False
    width: float = 1.6
    points: bool = False
    name: str = ""


@dataclass(frozen=True)
class Chart:
    """One chart.

    name: of its golden specification; the column that it shows, where `series` says nothing. title: key of its text,
    `ui.curve_<name>` where it is not said. series: its lines; several have a legend.
    count: key of the text of the other axis of a histogram of the first column with a line at the second. scale: of
    the axis of values; "switch": linear or logarithmic, as the page's switch says. tab: where a run's page shows it,
    "" = above the tabs, where it can be zoomed, None = on another page. height: px.
    """

    name: str
    title: str = ""
    series: tuple[Series, ...] = ()
    count: str = ""
    scale: Literal["linear", "log", "switch"] = "linear"
    tab: str | None = "curves"
    height: int = 170

    @property
    def lines(self) -> tuple[Series, ...]:
        """Its lines, also where the row leaves them to its name."""
        return self.series or (Series(self.name),)

    @property
    def labels(self) -> tuple[str, ...]:
        """The words of the legend, in the order of the lines."""
        return tuple(line.name or (t(line.word) if line.word else "") for line in self.lines)


LOSS = (
    Series("loss", "ui.series_raw", width=1),
    Series("loss", "ui.series_smooth", smooth=True, width=2.2),
    Series("eval_loss", "ui.series_eval", points=True),
)
LENGTHS = Chart(
    "lengths", "ui.lengths_axis", (Series("tokens"), Series("cutoff", width=2)), "ui.data_rows", tab=None, height=160
)
CHARTS = (
    Chart("loss", "ui.loss", LOSS, scale="switch", tab="", height=290),
    Chart("learning_rate"),
    Chart("grad_norm"),
    Chart("tokens_per_s"),
    Chart("accuracy"),
    Chart("reward"),
    LENGTHS,
)


def each_eval(columns: Sequence[str]) -> tuple[Chart, ...]:
    """The chart of the losses on each of several evaluation datasets; none without a column of them."""
    names = [column.removeprefix("eval_").removesuffix("_loss") for column in columns]
    lines = tuple(Series(column, points=True, name=name) for column, name in zip(columns, names, strict=True))
    return (Chart("eval_each", series=lines),) if lines else ()


def of_tab(tab: str) -> tuple[Chart, ...]:
    """The charts of a tab of a run's page, in order; of "" those above the tabs."""
    return tuple(chart for chart in CHARTS if chart.tab == tab)


def spec(chart: Chart, *, log: bool = False) -> dict[str, Any]:
    """The Vega-Lite specification of a chart in the language of the page. log: what the page's switch says.

    Data: columns `step` (int), `value` (float) and, for several lines, `series` (one of `chart.labels`); of a
    histogram the columns of its row, the second the same in every row, `end` and `rows`.
    """
    logarithmic = chart.scale == "log" or (chart.scale == "switch" and log)
    title = t(chart.title or f"ui.curve_{chart.name}")
    return built(chart, title, t(chart.count or "ui.step"), chart.labels, log=logarithmic)


@cache
def built(chart: Chart, title: str, axis: str, labels: tuple[str, ...], *, log: bool) -> dict[str, Any]:
    """The specification with all its words: title, those of the other axis, those of the legend."""
    if chart.count:
        drawn: Drawn = histogram(chart, title, axis)
    elif len(labels) > 1:
        drawn = several(chart, title, axis, labels, log=log)
    else:
        drawn = single(chart, title, axis, log=log)
    if chart.tab == "":
        drawn = drawn.add_params(alt.selection_interval(name=ZOOM, bind="scales"))
    finished: dict[str, Any] = drawn.properties(width="container", height=chart.height).to_dict()
    return finished


def scale_of(*, log: bool) -> alt.Scale:
    """The scale of an axis of values."""
    return alt.Scale(type="log", zero=False) if log else alt.Scale(zero=False)


def several(chart: Chart, value: str, step: str, labels: tuple[str, ...], *, log: bool) -> Drawn:
    """Several lines over the steps, with a legend."""
    base = alt.Chart(alt.NamedData("source")).encode(
        x=alt.X("step:Q", title=step, axis=alt.Axis(tickMinStep=1, format="d")),
        y=alt.Y("value:Q", title=value, scale=scale_of(log=log)),
        color=alt.Color(
            "series:N",
            scale=alt.Scale(domain=list(labels), range=list(COLOURS[: len(labels)])),
            legend=alt.Legend(title=None, orient="top-right"),
        ),
        tooltip=[
            alt.Tooltip("series:N", title=" "),
            alt.Tooltip("step:Q", title=step),
            alt.Tooltip("value:Q", title=value, format=".4f"),
        ],
    )
    layers = []
    for line, label in zip(chart.lines, labels, strict=True):
        own = base.transform_filter(alt.datum.series == label)
        layers.append(own.mark_line(strokeWidth=line.width, point=dots(line)))
    return alt.layer(*layers)


def dots(line: Series) -> Any:
    """A dot for each value, where the line has them; its line is what a screen reader tells."""
    return alt.OverlayMarkDef(aria=False) if line.points else alt.Undefined


def single(chart: Chart, title: str, step: str, *, log: bool) -> alt.Chart:
    """One line over the steps: a small chart, whose title says what it shows."""
    (line,) = chart.lines
    return (
        alt.Chart(alt.NamedData("source"), title=title)
        .mark_line(strokeWidth=line.width, color=COLOURS[1], point=dots(line))
        .encode(
            x=alt.X("step:Q", title=None, axis=alt.Axis(tickMinStep=1, format="d")),
            y=alt.Y("value:Q", title=None, scale=scale_of(log=log), axis=alt.Axis(format="~g")),
            tooltip=[
                alt.Tooltip("step:Q", title=step),
                alt.Tooltip("value:Q", title=title, format=".5~g"),
            ],
        )
    )


def histogram(chart: Chart, title: str, count: str) -> Drawn:
    """Bars from the first column to `end`, as high as `rows`; a line at the second column."""
    bars, rule = chart.lines
    base = alt.Chart(alt.NamedData("source"))
    counted = base.mark_bar(color=COLOURS[0]).encode(
        x=alt.X(f"{bars.column}:Q", bin="binned", title=title), x2="end:Q", y=alt.Y("rows:Q", title=count)
    )
    line = base.mark_rule(color=COLOURS[2], strokeWidth=rule.width).encode(x=alt.X(f"max({rule.column}):Q"))
    return alt.layer(counted, line)
