"""What the finished trainings of a workspace took of GPU memory: by it the next estimates are corrected."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from lfdash.engine.memory import Foretold, fits_here
from lfdash.engine.run_memory import GIB, foretold_of, largest
from lfdash.engine.services import Services
from lfdash.jobs.kinds import named
from lfdash.machine.history import DeviceColumns, History, MachineColumns
from lfdash.memory.estimate import estimate
from lfdash.memory.learned import PastRun, learned_of
from lfdash.outcomes import Refused
from lfdash.runs.metadata import FIRST_LINES, read_head
from lfdash.runs.metrics.feed import RunFeed
from lfdash.runs.record import RunState
from lfdash.runs.view import RunView

MOST = 50  # trainings that are looked at, the newest ones
EMPTY_CARD = 1 << 30  # bytes in use before a run, up to which what came later was its own
SAME = 0.01  # share by which the memory of two cards of one kind may differ
WORKED = (RunState.SUCCEEDED, RunState.STOPPED)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class OnCard:
    """A past run, and how much memory its card has, in bytes: machine.jsonl tells no card's name."""

    run: PastRun
    total: int


def learn(services: Services, foretold: Foretold, totals: Iterable[int], *, wait: bool = False) -> Foretold:
    """What was foretold, corrected by past runs of this workspace on cards of one of these sizes (bytes). wait: read
    the runs that are new first; else that is done in the background, and the next call has them."""
    sizes = set(totals)
    if not sizes:
        return foretold
    shown = services.registry.snapshot()
    (services.past_runs.find if wait else services.past_runs.want)(shown, partial(wanted, services, shown))
    answers: list[OnCard] = services.past_runs.answers()
    past = [one.run for one in answers if any(abs(one.total / size - 1) <= SAME for size in sizes)]
    learned = learned_of(foretold.subject, past)
    if learned is None:
        return foretold
    subject = replace(foretold.subject, learned=learned)
    found = estimate(subject)
    return replace(foretold, subject=subject, estimate=found, devices=fits_here(services, found))


def wanted(services: Services, shown: Iterable[RunView]) -> Mapping[Hashable, Callable[[], OnCard | None]]:
    """The newest trainings that went well, each with how to look at it."""
    tell = [view for view in shown if view.record and view.state in WORKED and named(view.kind).trains]
    newest = sorted(tell, key=lambda view: -(view.ended or 0))[:MOST]
    return {(view.run_id, view.attempt): partial(read, services, view) for view in newest}


def read(services: Services, view: RunView) -> OnCard | None:
    """What a run took, as `measured`; None also where that cannot be read or counted."""
    try:
        return measured(services, view)
    except OSError as error:
        logger.info("what %s took of GPU memory cannot be read: %s", view.name, error)
    except Exception:  # whatever one folder holds, the other runs count
        logger.warning("what %s took of GPU memory cannot be counted", view.name, exc_info=True)
    return None


def measured(services: Services, view: RunView) -> OnCard | None:
    """What a run took, beside what was foretold of it; None where it was not measured, or nothing was foretold."""
    machine = History(view.paths.machine).poll()
    fullest = fullest_device(machine)
    foretold = foretold_of(services, view) if fullest else None
    if fullest is None or foretold is None or isinstance(foretold, Refused):
        return None
    allocated, reserved = torch_peaks(view)
    own = own_use(fullest, machine, view.attempt)
    if own is None and reserved is None and allocated is None:
        return None
    run = PastRun(view.name, foretold.subject, foretold.estimate, allocated, reserved, own)
    return OnCard(run, int(largest(fullest.memory_total) or 0))


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


def torch_peaks(view: RunView) -> tuple[int | None, int | None]:
    """What PyTorch had allocated and reserved at most, in bytes, where the run logged it (RECORD_VRAM)."""
    if '"vram_' not in read_head(view.paths.trainer_log, FIRST_LINES):
        return None, None
    feed = RunFeed(view.paths)
    feed.poll()
    allocated, reserved = (
        int(peak) if name in feed.frame and (peak := largest(feed.frame[name], GIB)) else None
        for name in ("vram_allocated", "vram_reserved")
    )
    return allocated, reserved
