"""The jobs of a Ray cluster as they were seen last, and which of them are to end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from lfdash.launchers.asking import ASK_S, Asking, CallError
from lfdash.launchers.ray_calls import Calls, Job

STOPS_S = 10.0  # for stops before a question; what is left is asked for before the next

# JobStatus of Ray's: one that is not listed is taken for one that goes on: nothing is over without evidence.
PENDING = ("PENDING",)
OVER = ("STOPPED", "SUCCEEDED", "FAILED")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Snapshot:
    """What Ray said. began: when it was asked, by the monotonic clock."""

    began: float
    by_id: Mapping[str, Job] = field(default_factory=dict)


class RayJobs(Asking[Snapshot]):
    """Asks one cluster."""

    name = "ray"

    def __init__(self, calls: Calls, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self.calls = calls
        self._unwanted: dict[str, int] = {}  # job -> how often its end was asked for

    def stop(self, job: str) -> None:
        """Ends a job soon, and again as long as it is seen."""
        with self._lock:
            new = job not in self._unwanted
            self._unwanted.setdefault(job, 0)
        if new:
            self.hurry()

    def wants(self) -> bool:
        """Whether there are such jobs."""
        return bool(self._unwanted)

    def _ask(self) -> Snapshot:
        with self._lock:
            unwanted = sorted(self._unwanted, key=lambda job: self._unwanted[job])
        until = self._clock() + STOPS_S
        for job in unwanted:  # those first that were asked least
            if self._clock() >= until:
                break
            self._end(job)
        began = self._begins()
        found = {job.id: job for job in self.calls.jobs(ASK_S)}
        with self._lock:
            for job in unwanted:
                if job not in found or found[job].word in OVER:
                    self._unwanted.pop(job, None)
        return Snapshot(began, found)

    def _end(self, job: str) -> None:
        """Asks for the end of a job. What fails is no reason not to ask how the jobs are; a head that is silent is,
        since it would be waited for twice."""
        with self._lock:
            self._unwanted[job] = self._unwanted.get(job, 0) + 1
        try:
            self.calls.stop(job, ASK_S)
        except CallError as error:
            if error.silent:
                raise
            logger.info("stop %s: %s", job, error)


class StrangeJobs(RayJobs):
    """Of an address that this user has not used: nothing is sent there."""

    def __init__(self, calls: Calls) -> None:
        super().__init__(calls)
        self.failure = (
            f"{calls.address} was never used from this account, so it is not asked: use a target with it first (Test "
            "this target, or a run)"
        )

    def look(self) -> Snapshot | None:
        """Nothing."""
        return None

    def _start(self) -> None:
        """Never."""

    def _ask(self) -> Snapshot:
        raise CallError(self.failure)


KNOWN: WeakValueDictionary[Calls, RayJobs] = WeakValueDictionary()
LOCK = threading.Lock()


def jobs_of(calls: Calls) -> RayJobs:
    """The one that asks a cluster; all launchers of this process have the same."""
    with LOCK:
        found = KNOWN.get(calls)
        if found is None:
            found = KNOWN[calls] = RayJobs(calls)
        return found
