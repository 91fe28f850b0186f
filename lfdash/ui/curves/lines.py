"""Which lines a chart has, and what they show: from the columns of one run, or of several over each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lfdash.engine.machine_feed import MachineFeed
from lfdash.runs.metrics.drawing import Curve
from lfdash.runs.metrics.feed import RunFeed
from lfdash.runs.metrics.frame import MetricFrame
from lfdash.runs.metrics.smoothing import default_span
from lfdash.ui.curves.deltas import Points
from lfdash.ui.curves.settings import Axis, CurveSettings
from lfdash.ui.curves.specs import Line
from lfdash.ui.shared.charts import CHARTS, COLOURS, Chart, Series, each_eval, others
from lfdash.ui.shared.text import t

POINTS = 1600  # at most, a line of the large chart
FEW_POINTS = 700  # of a small one
LONGEST_LABEL = 60
MOST_TICKS = 200
FURTHEST = np.finfo("float32").max  # a spoiled row of the log may say anything


@dataclass(frozen=True)
class RunColour:
    """Of a run among several: on a light page, on a dark one, the dashes of its lines and the shape of its points
    (Vega's name): runs of one colour differ by both."""

    light: str
    dark: str
    dash: tuple[int, ...] = ()
    shape: str = "circle"


@dataclass(frozen=True)
class CurveRun:
    """A run whose curves are drawn. label: its name; colour: of its lines where several runs are drawn, one of
    RUN_COLOURS. alive: whether it goes on: then the axis goes to its last planned step. checkpoints: their
    steps."""

    label: str
    colour: RunColour
    feed: RunFeed | MachineFeed
    alive: bool = False
    checkpoints: tuple[int, ...] = ()


@dataclass
class Picture:
    """A chart with its data. lines: in the order in which they are drawn. points: of each line by its id, and, where
    the settings say a part of the axis, in full detail there by `<id>@`. number: how values are written."""

    chart: Chart
    lines: list[Line] = field(default_factory=list)
    points: dict[str, Points] = field(default_factory=dict)
    marks: list[dict[str, Any]] = field(default_factory=list)


# on a light page, on a dark one: few, so that they can be told apart by whoever sees no red, no green or no blue, too
HUES = (
    ("#0a6fb0", "#3f9df5"), ("#d05a00", "#ff7a3d"), ("#0b9e6e", "#3ddcb0"), ("#8a2f73", "#c85aa8"),
    ("#20252c", "#f4f5f7"),
)
MOST_MARKED = 3  # runs whose best values are marked: of more, the words would lie over each other
STYLES: tuple[tuple[tuple[int, ...], str], ...] = (
    ((), "circle"), ((7, 3), "square"), ((2, 2), "triangle-up"), ((9, 2, 2, 2), "diamond"),
)
RUN_COLOURS = tuple(RunColour(light, dark, dash, shape) for dash, shape in STYLES for light, dark in HUES)
DARK = dict(COLOURS.values()) | dict(HUES)


def charts_of(runs: Sequence[CurveRun]) -> tuple[Chart, ...]:
    """Every chart that has a value to show of these runs, in order."""
    frames = [run.feed.frame for run in runs]
    known = [chart for chart in CHARTS if any(column(frame, line) for frame in frames for line in chart.lines)]
    evals = {name: None for frame in frames for name in frame.each_eval}
    rest = {name: None for frame in frames for name in frame.columns}
    return (*known, *each_eval(evals), *others(rest, drawn=evals))


def column(frame: MetricFrame, series: Series) -> str:
    """The column of a line in a run's frame; "" where it has none."""
    return next((name for name in (series.column, series.also) if name and name in frame), "")


def span_of(runs: Sequence[CurveRun], settings: CurveSettings) -> float:
    """The half-life of the smoothing, in steps."""
    if settings.span is not None:
        return settings.span
    return max((usual_span(run) for run in runs), default=0.0)


def usual_span(run: CurveRun) -> float:
    """The half-life where nobody chose one, for the length of the run."""
    steps = run.feed.frame["step"]
    if len(steps) == 0:
        return 0.0
    return default_span(run.feed.planned, float(steps[-1]), float(steps[-1] - steps[0]) / max(len(steps) - 1, 1))


def picture(chart: Chart, runs: Sequence[CurveRun], settings: CurveSettings, *, span: float, points: int) -> Picture:
    """A chart as it is drawn now; without lines where nothing of it was recorded."""
    drawn = Picture(chart)
    for place, run in enumerate(runs):
        lead = ""
        for series in chart.lines:
            name = column(run.feed.frame, series)
            if name:
                lead = add(drawn, run, series, name, settings, place if len(runs) > 1 else None, span, points) or lead
        if lead and len(runs) <= MOST_MARKED:
            mark(drawn, lead, alone=len(runs) == 1)
    return drawn


def add(
    drawn: Picture, run: CurveRun, series: Series, name: str, settings: CurveSettings, place: int | None, span: float,
    points: int,
) -> str:
    """Adds the lines of one series of a run: the values, and the same smoothed. Returns the id of the one that counts.

    place: of the run among several, which have one line each where one is smoothed; None for a single run.
    """
    smooth = series.smooth and span > 0
    wanted = ((name, 0.0), (f"{name}~", span)) if smooth and place is None else ((f"{name}~", span),) if smooth else (
        (name, 0.0),)
    lead = ""
    for own, half in wanted:
        curve = run.feed.draw(name, x=settings.x, span=half, points=points)
        known = plain(curve)
        if not len(known[0]):
            continue
        line = styled(drawn.chart, run, series, own, place, faint=smooth and not half)
        drawn.lines.append(line)
        drawn.points[line.id] = known
        if settings.zoom is not None and len(known[0]) > 2:
            lo, hi = settings.zoom
            drawn.points[f"{line.id}@"] = plain(
                run.feed.draw(name, x=settings.x, span=half, lo=lo, hi=hi, points=points)
            )
        lead = line.id
    return lead


def plain(curve: Curve) -> Points:
    """The points of a line that a browser can draw."""
    x, y = curve.x, curve.y
    known = (np.abs(y) <= FURTHEST) & (np.abs(x) < 2**53)
    return (x, y) if known.all() else (x[known], y[known])


def styled(chart: Chart, run: CurveRun, series: Series, own: str, place: int | None, *, faint: bool) -> Line:
    """How a line looks, and what it is called."""
    smoothed = own.endswith("~")
    several = len(chart.lines) > 1
    if place is not None:
        label = run.label[:LONGEST_LABEL]
        word = series.label if several else ""
        first = series is chart.lines[0] and not series.points
        alone = first or not word
        return Line(
            f"{chart.name}/{place}/{own}", label if alone else f"{label} · {word}", run.colour.light, width=1.8,
            points=series.points, dash=run.colour.dash if alone else (1, 3), follows="" if alone else label,
            shape=run.colour.shape,
        )
    several_smooth, follows = sum(one.smooth for one in chart.lines) > 1, ""
    word = series.label or (t("ui.series_plain") if faint else chart.words)
    if several_smooth and faint:
        follows, word = word, t("ui.series_plain_of", name=word)
    elif smoothed and not several_smooth:
        word = t("ui.series_smooth")
    width = 1.0 if faint else 2.2 if smoothed else series.width
    return Line(
        f"{chart.name}/{own}", word, COLOURS[series.colour][0], width=width, faint=faint, points=series.points,
        follows=follows, dash=series.dash,
    )


def mark(drawn: Picture, lead: str, *, alone: bool) -> None:
    """Marks the best value of a line, where the chart knows which is better, and, of a single run, its last."""
    x, y = drawn.points[lead]
    label = next(line.label for line in drawn.lines if line.id == lead)
    if not alone and lead.endswith("~"):
        label = t("ui.series_smooth_of", name=label)
    if alone:
        drawn.marks.append({"x": float(x[-1]), "y": float(y[-1]), "label": label, "kind": "last", "line": lead})
    if drawn.chart.best and (len(y) > 1):
        place = int(np.argmin(y) if drawn.chart.best == "least" else np.argmax(y))
        drawn.marks.append({"x": float(x[place]), "y": float(y[place]), "label": label, "kind": "best", "line": lead})


def reach(runs: Sequence[CurveRun], pictures: Sequence[Picture], axis: Axis) -> tuple[float, float] | None:
    """What the axis shows without a zoom: all lines, and of a run that goes on all that is planned; None where there
    is nothing."""
    ends = [(points[0][0], points[0][-1]) for drawn in pictures for points in drawn.points.values() if len(points[0])]
    if not ends:
        return None
    low, high = float(min(end[0] for end in ends)), float(max(end[1] for end in ends))
    if axis in ("step", "epoch"):
        high = max(high, *(planned_end(run, axis) for run in runs if run.alive), high)
    return low, high


def planned_end(run: CurveRun, axis: str) -> float:
    """Where a run will end on an axis, as far as that is known; else 0."""
    steps = run.feed.frame["step"]
    if not run.feed.planned or len(steps) == 0:
        return 0.0
    if axis == "step":
        return float(run.feed.planned)
    epochs = run.feed.frame["epoch"]
    known = np.isfinite(epochs[-50:]) & (steps[-50:] > 0)
    if not known.any():
        return 0.0
    return float(epochs[-50:][known][-1] / steps[-50:][known][-1] * run.feed.planned)


def ticks(runs: Sequence[CurveRun], axis: str) -> list[dict[str, Any]]:
    """Where launches after the first began and checkpoints were saved, of a single run."""
    if len(runs) != 1:
        return []
    run = runs[0]
    frame = run.feed.frame
    launches = [segment.step for segment in frame.segments[-MOST_TICKS:]]
    steps = [("launch", float(step)) for step in launches if step > frame["step"][0]]
    steps += [("saved", float(step)) for step in run.checkpoints[-MOST_TICKS:]]
    return [
        {"x": place, "kind": kind, "step": step} for kind, step in steps
        if (place := at_step(frame, step, axis)) is not None
    ]


def at_step(frame: MetricFrame, step: float, axis: str) -> float | None:
    """Where a step lies on an axis; None where that is not known."""
    if axis == "step":
        return float(step)
    steps = frame["step"]
    if len(steps) == 0 or axis not in frame:
        return None
    place = min(int(np.searchsorted(steps, step)), len(steps) - 1)
    value = float(frame[axis][place])
    return value if np.isfinite(value) else None
