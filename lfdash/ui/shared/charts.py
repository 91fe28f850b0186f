"""Chart specifications: built once, data sent apart, so that a tick neither redraws nor loses the zoom."""

from __future__ import annotations

from functools import cache
from typing import Any

import altair as alt

ZOOM = "zoom"  # name of the interval selection: Streamlit keeps the zoom over new data when it is selected
SERIES = ("raw", "smoothed", "evaluation")
COLOURS = ("#9bb8d9", "#1668c7", "#d9730d")


@cache
def loss_spec(labels: tuple[str, str, str], step: str, loss: str, *, log: bool = False) -> dict[str, Any]:
    """Vega-Lite spec of the loss chart.

    Data: long form, columns `step` (int), `value` (float), `series` (one of `labels`, in the order raw,
    smoothed, evaluation). `step` and `loss` are axis titles; `log` makes the loss axis logarithmic.
    """
    scale = alt.Scale(type="log", zero=False) if log else alt.Scale(zero=False)
    base = alt.Chart(alt.NamedData("source")).encode(
        x=alt.X("step:Q", title=step, axis=alt.Axis(tickMinStep=1, format="d")),
        y=alt.Y("value:Q", title=loss, scale=scale),
        color=alt.Color(
            "series:N",
            scale=alt.Scale(domain=list(labels), range=list(COLOURS)),
            legend=alt.Legend(title=None, orient="top-right"),
        ),
        tooltip=[
            alt.Tooltip("series:N", title=" "),
            alt.Tooltip("step:Q", title=step),
            alt.Tooltip("value:Q", title=loss, format=".4f"),
        ],
    )
    raw, smoothed, evaluation = (base.transform_filter(alt.datum.series == name) for name in labels)
    chart = alt.layer(
        raw.mark_line(strokeWidth=1),
        smoothed.mark_line(strokeWidth=2.2),
        evaluation.mark_line(strokeWidth=1.6, point=True),
    ).add_params(alt.selection_interval(name=ZOOM, bind="scales"))
    return finished(chart, 290)


@cache
def curve_spec(title: str, step: str) -> dict[str, Any]:
    """Vega-Lite spec of a small chart of one quantity. Data: columns `step` (int) and `value` (float)."""
    chart = (
        alt.Chart(alt.NamedData("source"), title=title)
        .mark_line(strokeWidth=1.6, color=COLOURS[1])
        .encode(
            x=alt.X("step:Q", title=None, axis=alt.Axis(tickMinStep=1, format="d")),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(format="~g")),
            tooltip=[
                alt.Tooltip("step:Q", title=step),
                alt.Tooltip("value:Q", title=title, format=".5~g"),
            ],
        )
    )
    return finished(chart, 170)


def finished(chart: alt.Chart | alt.LayerChart | alt.FacetChart, height: int) -> dict[str, Any]:
    """The spec as a dict, as wide as its container and `height` px high."""
    spec: dict[str, Any] = chart.properties(width="container", height=height).to_dict()
    return spec


@cache
def length_spec(tokens: str, rows: str) -> dict[str, Any]:
    """Vega-Lite spec of a histogram of row lengths with a line at the cutoff.

    Data: columns `tokens` (int) and `cutoff` (int, the same in every row). `tokens` and `rows` are axis titles.
    """
    base = alt.Chart(alt.NamedData("source"))
    bars = base.mark_bar(color=COLOURS[0]).encode(
        x=alt.X("tokens:Q", bin=alt.Bin(maxbins=40), title=tokens), y=alt.Y("count():Q", title=rows)
    )
    line = base.mark_rule(color=COLOURS[2], strokeWidth=2).encode(x=alt.X("max(cutoff):Q"))
    return finished(alt.layer(bars, line), 160)
