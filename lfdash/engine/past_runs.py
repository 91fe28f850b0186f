"""What the finished trainings of a workspace took of GPU memory: by it the next estimates are corrected."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from lfdash.engine.memory import Foretold, fits_here
from lfdash.engine.run_memory import foretold_of, fullest_device, largest, own_use, torch_peaks
from lfdash.engine.services import Services
from lfdash.jobs.kinds import named
from lfdash.machine.history import History
from lfdash.memory.cards import is_same
from lfdash.memory.estimate import estimate
from lfdash.memory.learned import PastRun, PastRuns
from lfdash.outcomes import Refused
from lfdash.runs.metadata import FIRST_LINES, read_head
from lfdash.runs.metrics.feed import RunFeed
from lfdash.runs.record import RunState
from lfdash.runs.view import RunView

MOST = 50  # trainings that are looked at, the newest ones
WORKED = (RunState.SUCCEEDED, RunState.STOPPED)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class OnCard:
    """A past run, and its card: the driver's name of it, "" where machine.jsonl does not tell, and its memory in bytes.
    """

    run: PastRun
    total: int
    name: str = ""


def learn(services: Services, foretold: Foretold, cards: Iterable[tuple[str, int]], *, wait: bool = False) -> Foretold:
    """What was foretold, corrected by past runs of this workspace on such cards. cards: of this machine that the job
    may get, each its driver's name and its memory in bytes. wait: read the runs that are new first; else that is done
    in the background, and the next call has them."""
    here = set(cards)
    if not here:
        return foretold
    shown = services.registry.snapshot()
    (services.past_runs.find if wait else services.past_runs.want)(shown, partial(wanted, services, shown))
    answers: list[OnCard] = services.past_runs.answers()
    past = [one.run for one in answers if any(is_same((one.name, one.total), card) for card in here)]
    subject = replace(foretold.subject, past=PastRuns(past, foretold.subject))
    if subject.learned is None:
        return foretold
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
    allocated, reserved = logged_peaks(view)
    own = own_use(fullest, machine, view.attempt)
    if own is None and reserved is None and allocated is None:
        return None
    run = PastRun(view.name, foretold.subject, foretold.estimate, allocated, reserved, own)
    return OnCard(run, int(largest(fullest.memory_total) or 0), fullest.name)


def logged_peaks(view: RunView) -> tuple[int | None, int | None]:
    """As `torch_peaks`, of a run."""
    if '"vram_' not in read_head(view.paths.trainer_log, FIRST_LINES):
        return None, None
    feed = RunFeed(view.paths)
    feed.poll()
    return torch_peaks(feed.frame)
