"""A run's machine (machine.jsonl) over the axes of its curves, to be drawn beside them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from lfdash.machine.history import Column, MachineColumns
from lfdash.runs.metrics.drawing import Axis, Curve
from lfdash.runs.metrics.frame import MetricFrame

OF_DEVICE = ("load", "memory", "temperature", "power")  # percent, percent, °C, W; column `<key>/<name>`
GB = 1e9  # of a disk, as its maker counts


class MachineFeed:
    """What curves are drawn from (see `RunFeed`), made of a run's machine and of what the run has logged. planned: its
    last planned step.

    frame: columns `cpu`, `ram` (percent), `disk_free` (GB), and of each device those of OF_DEVICE, over the axes of the
    run. placed: whether the rows could be placed on them; where no step is known, `seconds` are those since the first
    row, and there is no other axis.
    """

    reading: float | None = None
    version = 0

    def __init__(self, machine: MachineColumns, run: MetricFrame, planned: int | None) -> None:
        self.planned = planned
        steps = steps_at(machine)
        rows = not_redone(machine.attempt, steps)
        self.placed = bool(len(rows))
        if self.placed:
            axes = axes_at(steps[rows], run)
        else:
            rows = np.arange(len(machine))
            axes = {"step": np.zeros(len(machine)), "seconds": machine.seconds}
        self.frame = MetricFrame({**axes, **{name: column[rows] for name, column in values_of(machine).items()}})

    def poll(self, _budget_s: float | None = None) -> bool:
        """Nothing is new: it is made anew of what is."""
        return False

    def draw(
        self, column: str, *, x: Axis = "step", span: float = 0.0, lo: float | None = None, hi: float | None = None,
        points: int = 2000,
    ) -> Curve:
        """As `RunFeed.draw`; nothing is smoothed."""
        across, values = self.frame[x], self.frame[column]
        places = np.flatnonzero(np.isfinite(across) & np.isfinite(values))
        ascending = np.maximum.accumulate(across[places])
        begin = 0 if lo is None else max(0, int(np.searchsorted(ascending, lo)) - 1)
        end = len(places) if hi is None else int(np.searchsorted(ascending, hi, side="right")) + 1
        chosen = ends(values[places], begin, min(end, len(places)), points)
        return Curve(ascending[chosen], values[places][chosen], places[chosen])


def steps_at(machine: MachineColumns) -> Column:
    """The step at each row: between two that were logged by the time that has passed; NaN before an attempt's first."""
    steps = np.full(len(machine), np.nan)
    for attempt in np.unique(machine.attempt[np.isfinite(machine.attempt)]):
        rows = np.flatnonzero((machine.attempt == attempt) & np.isfinite(machine.step))
        if not len(rows):
            continue
        logged = rows[np.concatenate(([True], np.diff(machine.step[rows]) > 0))]
        after = np.flatnonzero(machine.attempt == attempt)
        after = after[after >= rows[0]]
        steps[after] = np.interp(machine.seconds[after], machine.seconds[logged], machine.step[logged])
    return steps


def not_redone(attempts: Column, steps: Column) -> npt.NDArray[np.int64]:
    """The rows whose step is known and was not trained once more by a later attempt."""
    keep = np.isfinite(steps)
    first = np.inf
    for attempt in np.unique(attempts[keep])[::-1]:
        own = keep & (attempts == attempt)
        keep &= ~own | (steps < first)
        first = min(first, float(steps[own].min()))
    return np.flatnonzero(keep)


def axes_at(steps: Column, run: MetricFrame) -> dict[str, Column]:
    """Where steps lie on the axes that the run has."""
    axes = {"step": steps}
    for name in ("epoch", "tokens", "seconds"):
        known = np.isfinite(run[name]) if name in run else np.zeros(0, bool)
        if known.any():
            axes[name] = np.interp(steps, run["step"][known], run[name][known])
    return axes


def values_of(machine: MachineColumns) -> dict[str, Column]:
    """What can be drawn, by name."""
    of_devices = {
        f"{key}/{name}": getattr(device, name) for key, device in machine.devices.items() for name in OF_DEVICE
    }
    return {"cpu": machine.cpu, "ram": machine.memory, "disk_free": machine.disk_free / GB, **of_devices}


def ends(values: Column, begin: int, end: int, points: int) -> npt.NDArray[np.int64]:
    """At most `points` places of a stretch: where each part of it is lowest and highest, so that spikes stay."""
    places = np.arange(begin, max(begin, end))
    parts = max(1, points // 2 - 1)
    if len(places) <= points:
        return places
    edges = np.linspace(begin, end, parts + 1).astype(int)
    found = {begin, end - 1}
    for low, high in pairwise(edges.tolist()):
        found |= {low + int(np.argmin(values[low:high])), low + int(np.argmax(values[low:high]))}
    return np.array(sorted(found), dtype=np.int64)
