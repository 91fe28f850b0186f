"""The jobs of a Ray cluster as they were seen last. A thread of its own asks, for all runs at once, and only while
somebody wants to know; whoever asks here never waits for a head that does not answer."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from lfdash.launchers.ray_calls import Calls, Job
from lfdash.launchers.slurm_calls import CallError

EVERY_S = 3.0  # between two questions at least
SOON_S = 1.0  # the same, once after something was started or stopped
SHARE = 10.0  # times as long as an answer took: a head that is slow is asked less often
MOST_S = 60.0  # between two questions at most, while there are no answers
STALE_S = 45.0  # from which age on an answer is none
FIRST_S = 2.0  # for the first answer is waited, once
ASK_S = 20.0  # after which a question is given up

# JobStatus of Ray's: one that is not listed is taken for one that goes on: nothing is over without evidence.
PENDING = ("PENDING",)
OVER = ("STOPPED", "SUCCEEDED", "FAILED")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Snapshot:
    """What Ray said. began: when it was asked, by the monotonic clock."""

    began: float
    by_id: Mapping[str, Job] = field(default_factory=dict)


class RayJobs:
    """Asks one cluster. failure: why the last question had no answer; "" when it had one. asked: how often it was."""

    def __init__(self, calls: Calls, clock: Callable[[], float] = time.monotonic) -> None:
        self.calls = calls
        self.failure = ""
        self.asked = 0
        self._clock = clock
        self._seen: Snapshot | None = None
        self._answered = threading.Event()  # or failed: nobody waits any more
        self._lock = threading.Lock()
        self._busy = False
        self._again = False  # somebody wanted an answer of a later moment than the one that is being given
        self._began = float("-inf")
        self._due = 0.0
        self._pause = EVERY_S
        self._unwanted: set[str] = set()

    def look(self) -> Snapshot | None:
        """The last answer; None when there is none, or only an old one (`failure` says why). Waits for the very first
        one, at most FIRST_S and only once."""
        self._start()
        if not self._answered.is_set():
            self._answered.wait(FIRST_S)
            self._answered.set()
        seen = self._seen
        return seen if seen is not None and self._clock() - seen.began < STALE_S else None

    def stop(self, job: str) -> None:
        """Ends a job soon, and again as long as it is seen."""
        with self._lock:
            new = job not in self._unwanted
            self._unwanted.add(job)
        if new:
            self.hurry()

    def hurry(self) -> None:
        """Has the next question asked soon; not while there are no answers."""
        with self._lock:
            if not self.failure:
                self._due, self._again = min(self._due, self._began + SOON_S), self._busy
        self._start()

    def _start(self) -> None:
        """Has the thread ask, if it is time."""
        with self._lock:
            if self._busy or self._clock() < self._due:
                return
            self._busy = True
        threading.Thread(target=self._work, name="ray", daemon=True).start()

    def _work(self) -> None:
        try:
            with self._lock:
                unwanted, self._again = tuple(self._unwanted), False
            for job in unwanted:
                self._end(job)
            self.asked += 1
            began = self._began = self._clock()
            found = {job.id: job for job in self.calls.jobs(ASK_S)}
            self._seen = Snapshot(began, found)
            self.failure, self._pause = "", max(EVERY_S, SHARE * (self._clock() - began))
            over = {job for job in unwanted if job not in found or found[job].word in OVER}
            with self._lock:
                self._unwanted -= over
        except OSError as error:
            self.failure = str(error)
            self._pause = min(MOST_S, 2 * self._pause)
        finally:
            with self._lock:
                again = self._again and not self.failure
                self._due = self._began + SOON_S if again else self._clock() + self._pause
                self._busy = False
            self._answered.set()

    def _end(self, job: str) -> None:
        """Asks for the end of a job. What fails is no reason not to ask how the jobs are; a head that is silent is,
        since it would be waited for twice."""
        try:
            self.calls.stop(job, ASK_S)
        except CallError as error:
            if error.silent:
                raise
            logger.info("stop %s: %s", job, error)


KNOWN: WeakValueDictionary[Calls, RayJobs] = WeakValueDictionary()
LOCK = threading.Lock()


def jobs_of(calls: Calls) -> RayJobs:
    """The one that asks a cluster; all launchers of this process have the same."""
    with LOCK:
        found = KNOWN.get(calls)
        if found is None:
            found = KNOWN[calls] = RayJobs(calls)
        return found
