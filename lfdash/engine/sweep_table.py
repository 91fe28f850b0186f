"""The trials of a sweep beside what the table of runs knows of them: best first."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lfdash.engine.services import Services
from lfdash.engine.sweep_views import SweepView, TrialView
from lfdash.runs.record import RunState
from lfdash.runs.table import TableRow

OWN = {"loss": ("best", "best_step"), "eval_loss": ("best_eval", "best_eval_step")}  # columns of the table of runs


@dataclass(frozen=True)
class TrialRow:
    """A trial in the table. name: of its run as it is called now. state: of its run; None where there is none (any
    more). value: of its metric: what it is measured by for good, else what is known so far; at: the step of that.
    percent: how far the run is."""

    trial: TrialView
    name: str
    state: RunState | None
    value: float | None
    at: int | None
    percent: float | None


def rows_of(services: Services, view: SweepView) -> list[TrialRow]:
    """A sweep's trials, of values that were tried again the last: those that are complete from the best to the worst,
    then the others with a value in the same order, then those without."""
    table = {row.run_id: row for row in services.table.rows(services.registry.snapshot())}
    rows = [row_of(view, trial, table.get(trial.run_id)) for trial in view.last]
    sign = 1 if view.sweep.direction == "minimize" else -1

    def place(row: TrialRow) -> tuple[bool, bool, float, int]:
        return (row.trial.state != "complete", row.value is None, sign * (row.value or 0.0), row.trial.number)

    return sorted(rows, key=place)


def row_of(view: SweepView, trial: TrialView, row: TableRow | None) -> TrialRow:
    """A trial with its run, where that is there."""
    if row is None:
        return TrialRow(trial, trial.name, None, trial.value, trial.at, None)
    value, at = trial.value, trial.at
    names = OWN.get(view.sweep.metric) if view.sweep.direction == "minimize" else None
    known, step = (getattr(row, names[0]), getattr(row, names[1])) if names else (None, None)
    if trial.state == "complete":
        if at is None and known is not None and same(known, value):
            at = step
    elif view.sweep.metric == "loss" and row.last is not None:
        value = row.last  # the lowest of a run that goes on would be a chance
    elif known is not None:
        value, at = known, step
    return TrialRow(trial, row.name, row.state, value, at, row.percent)


def same(one: float, other: float | None) -> bool:
    """Whether two numbers are the same, as far as a log tells them."""
    return other is not None and math.isclose(one, other, rel_tol=1e-6)
