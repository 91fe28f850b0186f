"""What was foretold of a run's GPU memory, beside what was measured while it went on."""

from __future__ import annotations

from dataclasses import dataclass

from lfdash.engine.memory import Foretold, of_job
from lfdash.engine.resume import stored
from lfdash.engine.services import Services
from lfdash.engine.whole_run import every_length
from lfdash.jobs.args import build_args, job_from_args
from lfdash.jobs.kinds import named
from lfdash.machine.history import Column, MachineColumns
from lfdash.outcomes import Refused
from lfdash.runs.metrics.frame import MetricFrame
from lfdash.runs.view import RunView

GIB = 1 << 30  # LLaMA-Factory logs GiB (train/callbacks.py)
MOST_BYTES = 1e15  # that a file may say of GPU memory; more is no measurement
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


def peak_of(machine: MachineColumns) -> Peak | None:
    """The fullest moment of the fullest device; None where none was measured."""
    found = []
    for device in machine.devices.values():
        used, total = largest(device.memory_used), largest(device.memory_total)
        if used and total:
            found.append(Peak(device.label, int(used), int(total)))
    return max(found, key=lambda peak: peak.used / peak.total, default=None)


def reserved_of(frame: MetricFrame) -> int | None:
    """What PyTorch had reserved at most, in bytes, where the run logged it (RECORD_VRAM)."""
    found = largest(frame["vram_reserved"], GIB) if "vram_reserved" in frame else None
    return int(found) if found else None


def largest(column: Column, unit: int = 1) -> float | None:
    """The largest of a column in bytes; None without any. unit: bytes that its numbers count. What is below 0 or beyond
    MOST_BYTES, or no number, is not known."""
    known = column[(column >= 0) & (column <= MOST_BYTES / unit)]  # neither is so of NaN
    return float(known.max()) * unit if len(known) else None
