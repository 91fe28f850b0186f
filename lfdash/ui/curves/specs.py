"""The Vega-Lite specification of a chart of curves. It is built once; the data are sent apart.

Data, by name: one set a line, `{x, y}`; `dots`, `{x, y, label}`: the lines of one value; `marks`, `{x, y, label, text,
side, dy}`: the values that are marked; `ticks`, `{x, kind}`: where a launch began or a checkpoint was saved; marks and
ticks only of what is shown. Parameters: `x_lo`, `x_hi`, `y_lo`, `y_hi`: what the axes show; `faint`: opacity of what is
drawn behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import altair as alt

from lfdash.ui.shared.charts import COLOURS

BEHIND = "#fefefe"  # stands for the colour behind the chart
GREY = COLOURS["grey"][0]
FAINT = 0.45  # opacity of what is drawn behind another, on a light page
CLOCK = (
    "(datum.value < 3600 ? '' : floor(datum.value / 3600) + ':')"
    " + format(floor(datum.value % 3600 / 60), datum.value < 3600 ? 'd' : '02d')"
    " + ':' + format(floor(datum.value % 60), '02d')"
)
# whole steps only: Vega's tickMinStep still gives halves of a few steps, and so does a count of one
WHOLE = {
    "tickCount": {"expr": "min(ceil(width / 40), max(1, ceil(x_hi - x_lo)))"},
    "labelExpr": "datum.value % 1 ? '' : format(datum.value, ',d')",
}
AXES: dict[str, dict[str, Any]] = {
    "step": WHOLE,
    "epoch": {"format": "~g"},
    "tokens": {"format": "~s"},
    "seconds": {"labelExpr": CLOCK, "values": {"expr": "x_ticks"}},
}


@dataclass(frozen=True)
class Line:
    """A line as it is drawn. id: of its data. label: in the legend. colour: on a light page. faint: drawn behind
    another that shows the same, smoothed; follows: the label of
    that one, where the legend has no place for both. shape: of its points, Vega's name."""

    id: str
    label: str
    colour: str
    width: float = 1.6
    faint: bool = False
    points: bool = False
    follows: str = ""
    dash: tuple[int, ...] = ()
    shape: str = "circle"


@lru_cache(maxsize=512)
def built(
    lines: tuple[Line, ...], title: str, x: str, x_title: str, *, log: bool = False, number: str = ",.6~g",
    height: int = 170,
) -> dict[str, Any]:
    """The specification of a chart. x: which axis, a key of AXES; x_title: its word. log: of the axis of values.
    number: how values are written (d3). height: px."""
    scale = alt.Scale(
        domain=[line.label for line in lines], range=[line.colour for line in lines],
    )
    across = alt.X("x:Q", title=x_title, scale=bounded("x"), axis=alt.Axis(labelFlush=True, **AXES[x]))
    values = alt.Y("y:Q", title=None, scale=bounded("y", log=log), axis=value_axis(number))
    legend = alt.Legend(title=None, orient="top", symbolOpacity=1)
    layers: list[alt.Chart] = [launches(across), *(
        alt.Chart(alt.NamedData(line.id)).mark_line(
            clip=True, strokeWidth=line.width, opacity=alt.ExprRef("faint") if line.faint else 1.0,
            strokeDash=list(line.dash) or alt.Undefined,
            point=points_of(line) if line.points else alt.Undefined,
        ).encode(x=across, y=values, color=alt.ColorDatum(line.label))
        for line in lines
    )]
    coloured = alt.Color("label:N", scale=scale, legend=legend)
    dots = alt.Chart(alt.NamedData("dots")).mark_point(clip=True, filled=True, size=60, opacity=1)
    layers += [dots.encode(x=across, y=values, color=coloured), *marks(across, values, coloured), saves(across)]
    chart = alt.layer(*layers, title=title).add_params(*(alt.param(name=name, value=0) for name in PARAMS))
    chart = chart.add_params(alt.param(name="faint", value=FAINT))
    if x == "seconds":
        chart = chart.add_params(alt.param(name="x_ticks", value=[]))
    finished: dict[str, Any] = chart.properties(width=600, height=height).to_dict()
    return finished


def points_of(line: Line) -> alt.OverlayMarkDef:
    """The points on a line; a circle is what Vega draws by itself."""
    shape = alt.Undefined if line.shape == "circle" else line.shape
    return alt.OverlayMarkDef(aria=False, size=24, shape=shape)


def value_axis(number: str) -> alt.Axis:
    """The axis of values. number: how they are written (d3)."""
    if number.endswith("e"):
        return alt.Axis(labelExpr=f"datum.value ? format(datum.value, '{number}') : '0'")
    return alt.Axis(format=number)


PARAMS = ("x_lo", "x_hi", "y_lo", "y_hi")


def bounded(axis: str, *, log: bool = False) -> alt.Scale:
    """The scale of an axis, which shows what the parameters say."""
    ends = {"domainMin": alt.ExprRef(f"{axis}_lo"), "domainMax": alt.ExprRef(f"{axis}_hi")}
    return alt.Scale(type="log" if log else alt.Undefined, zero=False, nice=False, **ends)


def launches(across: alt.X) -> alt.Chart:
    """Where a launch after the first began: a dashed line through the chart."""
    base = alt.Chart(alt.NamedData("ticks")).transform_filter(alt.datum.kind == "launch")
    return base.mark_rule(color=GREY, strokeDash=[3, 3], strokeWidth=1, clip=True).encode(x=across)


def saves(across: alt.X) -> alt.Chart:
    """Where a checkpoint was saved: a small triangle on the axis."""
    base = alt.Chart(alt.NamedData("ticks")).transform_filter(alt.datum.kind == "saved")
    place = {"value": {"expr": "height - 3"}}
    mark = base.mark_point(shape="triangle-up", filled=True, size=26, color=GREY, opacity=0.9)
    return mark.encode(x=across, y=alt.YValue(place["value"]))


def marks(across: alt.X, values: alt.Y, coloured: alt.Color) -> list[alt.Chart]:
    """The values that are marked, with a word."""
    base = alt.Chart(alt.NamedData("marks"))
    point = base.mark_point(filled=True, size=46, opacity=1)
    place: dict[str, Any] = {
        "fontSize": 11, "dy": alt.ExprRef("datum.dy"), "align": alt.ExprRef("datum.side"), "clip": True,
        "dx": alt.ExprRef("datum.side == 'right' ? -2 : 2"),
    }
    halo = base.mark_text(stroke=BEHIND, strokeWidth=3, strokeJoin="round", opacity=0.85, **place)
    words = [mark.encode(x=across, y=values, text="text:N") for mark in (halo, base.mark_text(**place))]
    return [point.encode(x=across, y=values, color=coloured), *words]
