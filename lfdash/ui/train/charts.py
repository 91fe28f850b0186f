"""The curves of the run that is shown: a large chart above the tabs, all others small in theirs."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import streamlit as st

from lfdash.engine.machine_feed import MachineFeed
from lfdash.engine.services import Services
from lfdash.machine.history import MachineColumns
from lfdash.runs.metrics.feed import RunFeed
from lfdash.runs.metrics_csv import as_csv
from lfdash.runs.record import TERMINAL
from lfdash.runs.view import RunView
from lfdash.ui.curves.draw import draw, settings_of
from lfdash.ui.curves.lines import RUN_COLOURS, CurveRun, charts_of
from lfdash.ui.curves.settings import CurveSettings
from lfdash.ui.shared.charts import Chart, of_machine
from lfdash.ui.shared.text import t


def curve_run(view: RunView, feed: RunFeed) -> CurveRun:
    """A run with what its curves need."""
    return CurveRun(
        view.name, RUN_COLOURS[0], feed, alive=view.state not in TERMINAL, checkpoints=view.saved.checkpoints
    )


def group_of(view: RunView) -> str:
    """What a zoom belongs to: a run, until it is resumed."""
    return f"{view.run_id}.{view.attempt}"


def main_chart(charts: tuple[Chart, ...], settings: CurveSettings) -> Chart | None:
    """The large one: the one that was chosen, else the first; None where there is none."""
    return next((chart for chart in charts if chart.name == settings.chart), charts[0] if charts else None)


def draw_main(view: RunView, feed: RunFeed) -> None:
    """The large chart with the bar of controls."""
    run, group = curve_run(view, feed), group_of(view)
    settings, charts = settings_of(group), charts_of([run])
    main = main_chart(charts, settings)
    draw(
        "curves_main", [run], [main] if main else [], settings, group=group, choices=charts, large=True,
        file=view.name, shown={"run": view.run_id}, csv=partial(all_values, feed),
    )


def draw_curves(services: Services, view: RunView, feed: RunFeed) -> None:
    """Small charts of whatever else was recorded."""
    run, group = curve_run(view, feed), group_of(view)
    settings, charts = settings_of(group), charts_of([run])
    main = main_chart(charts, settings)
    rest = [chart for chart in charts if chart is not main]
    machine = services.machine_histories.of(view.paths.machine).poll()
    if not rest and not len(machine):
        st.caption(t("ui.curves_empty"))
        return
    if rest:
        draw("curves_small", [run], rest, settings, group=group, file=view.name)
    if len(machine):
        draw_machine(view, feed, machine, settings)


def draw_machine(view: RunView, feed: RunFeed, machine: MachineColumns, settings: CurveSettings) -> None:
    """What the machine did for the time of the run, over the axis of its curves; over the time since its start where no
    step was made."""
    own = MachineFeed(machine, feed.frame, feed.planned)
    group = group_of(view)
    if not own.placed:
        settings, group = replace(settings, x="seconds", zoom=None), f"{group}.machine"
    elif settings.x not in own.frame:
        settings = replace(settings, x="step", zoom=None)
    run = CurveRun(view.name, RUN_COLOURS[0], own, alive=own.placed and view.state not in TERMINAL)
    st.caption(t("machine.title"))
    draw(
        "curves_machine", [run], of_machine({key: device.label for key, device in machine.devices.items()}), settings,
        group=group, file=f"{view.name}-machine",
    )


def all_values(feed: RunFeed) -> str | bytes:
    """All that was logged, not only what is drawn."""
    return as_csv(feed.frame)
