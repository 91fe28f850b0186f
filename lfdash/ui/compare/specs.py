"""The specifications of the view of a setting against a metric: points, or a line a run over several axes.

Built once; the data are sent apart. tests/golden/charts holds them (`make golden`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import altair as alt

from lfdash.ui.curves.lines import STYLES

PLAIN = "#0072b2"  # of many runs, which have no colour of their own
GREY = "#8b949e"  # seen on white and on black
HEIGHT = 380
DASHES = {shape: dash or (1, 0) for dash, shape in STYLES}  # by the shape of the points
BELOW = -0.1  # place of the runs that have no such setting
WIDTH = 132  # px between two axes of many
FEW_TICKS = 6
ROOM = 24  # px between the outermost points and the ends of their axis


@lru_cache(maxsize=64)
def scatter(
    setting: str, setting_kind: str, metric: str, metric_kind: str, *, ticks: tuple[str, ...] = (),
    numbers: tuple[float, ...] = (), coloured: bool = True,
) -> dict[str, Any]:
    """A point a run. Data `source`: run (its name), x, y, x_text, y_text, colour, shape. kinds: those of axes.Axis;
    ticks: of an axis of words; numbers: those that stand on an axis of few numbers. coloured: whether `colour` and
    `shape` are those of the run."""
    tooltip = [
        alt.Tooltip("run:N", title=" "), alt.Tooltip("x_text:N", title=setting), alt.Tooltip("y_text:N", title=metric),
    ]
    if setting_kind == "words":
        across = alt.X("x:N", title=setting, sort=list(ticks), axis=alt.Axis(labelAngle=0, labelLimit=140))
    else:
        across = alt.X("x:Q", title=setting, scale=scale_of(setting_kind), axis=lower_axis(numbers))
    colour = alt.Color("colour:N", scale=None) if coloured else alt.value(PLAIN)
    upright = alt.Y("y:Q", title=metric, scale=scale_of(metric_kind), axis=alt.Axis(format="~g"))
    base = alt.Chart(alt.NamedData("source")).encode(x=across, y=upright, color=colour, tooltip=tooltip)
    layers = [base.mark_circle(size=110, opacity=0.85)]
    if coloured:
        layers = [base.mark_point(size=110, opacity=0.85, filled=True).encode(shape=alt.Shape("shape:N", scale=None))]
        layers.append(base.mark_text(align="left", dx=9, fontSize=11, limit=130).encode(text="run:N"))
    finished: dict[str, Any] = alt.layer(*layers).properties(width="container", height=HEIGHT).to_dict()
    return finished


def lower_axis(numbers: tuple[float, ...]) -> alt.Axis:
    """The axis of a setting that is a number: of few values these are written there, else some round ones."""
    if numbers:
        return alt.Axis(format="~g", grid=False, values=list(numbers), labelOverlap="greedy")
    return alt.Axis(format="~g", grid=False, tickCount=FEW_TICKS)


def scale_of(kind: str) -> alt.Scale:
    """The scale of an axis of numbers."""
    return alt.Scale(type="log" if kind == "log" else "linear", zero=False, padding=ROOM)


@lru_cache(maxsize=64)
def parallel(axes: tuple[str, ...], metric: str, *, coloured: bool = True) -> dict[str, Any]:
    """A line a run over several upright axes, the last of which is the metric. Data `source`: kind ("line", "tick": a
    value that is written beside its axis), axis, place (0..1, or BELOW), text, and of lines: run (its name), id,
    colour, shape (of its points, by which its dashes are known), and value: the metric, by which lines are coloured
    where there are too many runs for colours of their own.
    """
    across = alt.X(
        "axis:N", sort=list(axes), title=None, scale=alt.Scale(domain=list(axes), padding=0.5),
        axis=alt.Axis(orient="top", labelAngle=0, labelLimit=WIDTH - 12, labelFontWeight="bold", ticks=False,
                      domain=False, labelPadding=8),
    )
    upright = alt.Y("place:Q", title=None, axis=None, scale=alt.Scale(domain=[BELOW - 0.03, 1.04]))
    hover = alt.selection_point(name="hover", fields=["id"], on="mouseover", empty=False)
    colour = (
        alt.Color("colour:N", scale=None) if coloured
        else alt.Color("value:Q", title=metric, scale=alt.Scale(scheme="viridis"), legend=alt.Legend(orient="bottom"))
    )
    source = alt.Chart(alt.NamedData("source"))
    base = source.transform_filter(alt.datum.kind == "line")
    rules = base.mark_rule(color=GREY, strokeWidth=1).encode(x=across)
    lines = base.mark_line(point=alt.OverlayMarkDef(size=55, aria=False), opacity=0.85).encode(
        x=across, y=upright, detail="id:N", color=colour,
        strokeWidth=alt.when(hover).then(alt.value(4)).otherwise(alt.value(2)),
        tooltip=[alt.Tooltip("run:N", title=" "), alt.Tooltip("axis:N", title="·"), alt.Tooltip("text:N", title="=")],
    ).add_params(hover)
    if coloured:
        dashes = alt.Scale(domain=list(DASHES), range=[list(dash) for dash in DASHES.values()])
        lines = lines.encode(
            strokeDash=alt.StrokeDash("shape:N", scale=dashes, legend=None),
            shape=alt.Shape("shape:N", scale=alt.Scale(domain=list(DASHES), range=list(DASHES)), legend=None),
        )
    ticks = source.transform_filter(alt.datum.kind == "tick").mark_text(
        align="right", dx=-8, dy=-7, fontSize=11, color=GREY, limit=WIDTH - 24
    ).encode(x=across, y=upright, text="text:N")
    drawn = alt.layer(rules, lines, ticks).properties(width=WIDTH * len(axes), height=HEIGHT)
    finished: dict[str, Any] = drawn.to_dict()
    return finished
