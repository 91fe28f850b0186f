"""Draws the charts of the run that is shown: those of the table in ui/shared/charts.py."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from lfdash.engine.services import Services
from lfdash.runs.console import ConsoleTail
from lfdash.runs.metrics.feed import RunFeed
from lfdash.runs.view import RunView
from lfdash.ui.shared import charts
from lfdash.ui.shared.charts import Chart, Series
from lfdash.ui.shared.text import t

POINTS = 2000  # at most, a line
SPAN = 10.0  # steps after which a value counts half in the smoothed line
LOG_SCALE = "page.log_scale"


def line_data(feed: RunFeed, line: Series) -> pd.DataFrame:
    """The values of a line: columns step (int32) and value (float32), at most 2,000 points."""
    curve = feed.draw(line.column, span=SPAN if line.smooth else 0.0, points=POINTS)
    known = np.abs(curve.x) < 2**31  # a spoiled row of the log may say anything
    return pd.DataFrame({"step": curve.x[known].astype("int32"), "value": curve.y[known].astype("float32")})


def chart_data(feed: RunFeed, chart: Chart) -> pd.DataFrame:
    """The data of a chart: those of its line, or of its lines below each other with a column `series` for the word
    of each."""
    if len(chart.lines) == 1:
        return line_data(feed, chart.lines[0])
    lines = zip(chart.lines, chart.labels, strict=True)
    return pd.concat([line_data(feed, line).assign(series=label) for line, label in lines], ignore_index=True)


def draw_main(feed: RunFeed) -> None:
    """The charts above the tabs; they can be zoomed."""
    log = logarithmic()
    for chart in charts.of_tab(""):
        st.vega_lite_chart(
            chart_data(feed, chart),
            charts.spec(chart, log=log),
            key=f"{chart.name}_{'log' if log else 'linear'}",
            width="stretch",
            on_select="rerun",
            selection_mode=charts.ZOOM,
        )


def draw_curves(_services: Services, _view: RunView, feed: RunFeed, _console: ConsoleTail) -> None:
    """Small charts of whatever else was recorded."""
    every = (*charts.each_eval(feed.frame.each_eval), *charts.of_tab("curves"))
    drawn = [chart for chart in every if any(holds(feed, line) for line in chart.lines)]
    if not drawn:
        st.caption(t("ui.curves_empty"))
        return
    columns = st.columns(2)
    for place, chart in enumerate(drawn):
        columns[place % 2].vega_lite_chart(
            chart_data(feed, chart), charts.spec(chart, log=logarithmic()), key=f"curve_{chart.name}", width="stretch"
        )


def logarithmic() -> bool:
    """What the switch of the page says."""
    return bool(st.session_state.get(LOG_SCALE))


def holds(feed: RunFeed, line: Series) -> bool:
    """Whether there is any value to draw."""
    return feed.best(line.column) is not None
