"""What was foretold of a run's GPU memory, beside what was measured while it went on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lfdash.engine.memory import Foretold, of_job
from lfdash.engine.resume import stored
from lfdash.engine.services import Services
from lfdash.engine.whole_run import every_length
from lfdash.jobs.args import build_args, job_from_args
from lfdash.jobs.kinds import named
from lfdash.machine.history import Column, DeviceColumns, MachineColumns
from lfdash.memory.correction import Figure
from lfdash.memory.estimate import Estimate
from lfdash.outcomes import Refused
from lfdash.runs.metrics.frame import MetricFrame
from lfdash.runs.view import RunView

GIB = 1 << 30  # LLaMA-Factory logs GiB (train/callbacks.py)
MOST_BYTES = 1e15  # that a file may say of GPU memory; more is no measurement
EMPTY_CARD = 1 << 30  # bytes in use before a run, up to which what came later was its own
NEAR = 0.05  # share of a card that was left at its fullest, up to which it is told


@dataclass(frozen=True)
class Peak:
    """The fullest moment of a run's devices. used: bytes in use on the fullest, by whomever; total: it has; label: as a
    page calls it."""

    label: str
    used: int
    total: int

    @property
    def near(self) -> bool:
        """Whether hardly anything was left."""
        return self.used >= self.total * (1 - NEAR)


def foretold_of(services: Services, view: RunView) -> Foretold | Refused | None:
    """What the closed form says of a run's own arguments; None where these cannot be read, or it trains nothing."""
    document = stored(view) if named(view.kind).trains else None
    if document is None:
        return None
    job = job_from_args(document.args, document.env, view.kind)
    devices = (view.record.last.devices if view.record else None) or ()
    lengths = every_length(services, build_args(job))
    return of_job(services, job, world=len(devices) or None, lengths=lengths)


def fullest_device(machine: MachineColumns) -> DeviceColumns | None:
    """The device that was fullest at its fullest moment."""
    known = [one for one in machine.devices.values() if largest(one.memory_used) and largest(one.memory_total)]
    return max(known, key=lambda one: largest(one.memory_used) or 0, default=None)


def own_use(device: DeviceColumns, machine: MachineColumns, attempt: int) -> int | None:
    """By how many bytes a device got fuller while an attempt went on. None where it was in use before, or nobody looked
    once a step had been made: only then all is there that a step takes."""
    rows: npt.NDArray[np.bool_] = machine.attempt == attempt
    used, step = device.memory_used[rows], machine.step[rows]
    peak = largest(used[step >= 1])
    before = used[0] if len(used) else np.nan
    if peak is None or not 0 <= before <= EMPTY_CARD:  # NaN, too
        return None
    return int(peak - before)


def peak_of(machine: MachineColumns) -> Peak | None:
    """The fullest moment of the fullest device; None where none was measured."""
    found = []
    for device in machine.devices.values():
        used, total = largest(device.memory_used), largest(device.memory_total)
        if used and total:
            found.append(Peak(device.label, int(used), int(total)))
    return max(found, key=lambda peak: peak.used / peak.total, default=None)


@dataclass(frozen=True)
class Beside:
    """One figure of a run, foretold and measured, in bytes: allocated and reserved by PyTorch, driver: what its card
    had in use for it."""

    figure: Figure
    foretold: int
    measured: int


def beside(found: Estimate, machine: MachineColumns, attempt: int, frame: MetricFrame) -> tuple[Beside, ...]:
    """What was measured of an attempt, each beside the same figure of its estimate; of a card that others used, too,
    nobody knows what was the run's own."""
    fullest = fullest_device(machine)
    allocated, reserved = torch_peaks(frame)
    own = own_use(fullest, machine, attempt) if fullest else None
    figures: tuple[tuple[Figure, int, int | None], ...] = (
        ("driver", found.driver, own), ("reserved", found.reserved, reserved),
        ("allocated", found.allocated, allocated),
    )
    return tuple(Beside(figure, foretold, size) for figure, foretold, size in figures if size)


def torch_peaks(frame: MetricFrame) -> tuple[int | None, int | None]:
    """What PyTorch had allocated and reserved at most, in bytes, where the run logged it (RECORD_VRAM)."""
    allocated, reserved = (
        int(peak) if name in frame and (peak := largest(frame[name], GIB)) else None
        for name in ("vram_allocated", "vram_reserved")
    )
    return allocated, reserved


def largest(column: Column, unit: int = 1) -> float | None:
    """The largest of a column in bytes; None without any. unit: bytes that its numbers count. What is below 0 or beyond
    MOST_BYTES, or no number, is not known."""
    known = column[(column >= 0) & (column <= MOST_BYTES / unit)]  # neither is so of NaN
    return float(known.max()) * unit if len(known) else None
