"""The jobs of a Slurm cluster as they were seen last, and what is wanted of them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from lfdash.launchers.asking import ASK_S, Asking, CallError
from lfdash.launchers.slurm_accounts import Accounts
from lfdash.launchers.slurm_calls import Calls, Job
from lfdash.launchers.slurm_script import task_name
from lfdash.launchers.slurm_usage import Usages

# Slurm's states (squeue(1), JOB STATE CODES): what each means for a run. One that is not listed is taken for "live":
# nothing is over without evidence.
PENDING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD", "EXPEDITING")
OVER = (
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "LAUNCH_FAILED", "NODE_FAIL", "OUT_OF_MEMORY",
    "PREEMPTED", "RECONFIG_FAIL", "REVOKED", "TIMEOUT",
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Snapshot:
    """What squeue said. began: when it was asked, by the monotonic clock."""

    began: float
    by_id: Mapping[str, Job] = field(default_factory=dict)
    by_name: Mapping[str, tuple[Job, ...]] = field(default_factory=dict)
    arrays: frozenset[str] = frozenset()  # numbers of arrays of which a job is known

    @classmethod
    def of(cls, began: float, jobs: Iterable[Job]) -> Snapshot:
        by_name: dict[str, tuple[Job, ...]] = {}
        found, arrays = list(jobs), set()
        for job in found:
            number, of_array, task = job.id.partition("_")
            name = task_name(job.name, int(task)) if of_array and task.isdecimal() else job.name
            by_name[name] = (*by_name.get(name, ()), job)
            arrays |= {number} if of_array else set()
        return cls(began, {job.id: job for job in found}, by_name, frozenset(arrays))

    def find(self, job: str, name: str, ticket: str) -> Job | None:
        """A job by its number, where it is that job still: a controller that has lost its state counts anew. Where
        nobody wrote the number down, by its name and ticket."""
        if job:
            found = self.by_id.get(job)
            return found if found is not None and (found.name == name or found.comment == ticket) else None
        named = self.by_name.get(name, ())
        return next((one for one in named if one.comment == ticket), None)

    def left_array(self, job: str) -> bool:
        """Whether a job is not in its array any more, of which others are known: one that waited and was canceled is
        forgotten at once."""
        number, of_array, _task = job.partition("_")
        return bool(of_array) and job not in self.by_id and number in self.arrays


class SlurmJobs(Asking[Snapshot]):
    """Asks one cluster. accounts: asks its accounting. usages: asks what jobs that go on have used."""

    name = "slurm"

    def __init__(self, calls: Calls, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self.calls = calls
        self.accounts = Accounts(calls, clock)
        self.usages = Usages(calls, clock)
        self._wanted: dict[tuple[str, str], tuple[str, str, str]] = {}  # (what, job or name) -> how to find it

    def cancel(self, job: str, name: str, ticket: str) -> None:
        """Ends a job soon, and again as long as it is seen."""
        with self._lock:
            new = ("cancel", job or name) not in self._wanted
            self._wanted[("cancel", job or name)] = (job, name, ticket)
        if new:
            self.hurry()

    def wake(self, job: str, name: str, ticket: str) -> None:
        """Has a job's supervisor look for a wish, soon and once."""
        with self._lock:
            self._wanted[("wake", job or name)] = (job, name, ticket)
        self.hurry()

    def wants(self) -> bool:
        """Whether there are such jobs."""
        return bool(self._wanted)

    def _ask(self) -> Snapshot:
        with self._lock:
            known = dict(self._wanted)
        seen = Snapshot.of(self._begins(), self.calls.jobs(ASK_S))
        if self._carry_out(known, seen):
            with self._lock:
                self._again = True  # what came of it
        self._tidy(known, seen)
        return seen

    def _carry_out(self, wanted: Mapping[tuple[str, str], tuple[str, str, str]], seen: Snapshot) -> bool:
        """Does what is wanted of the jobs that are seen to be those, in one call each for all; whether there were any.
        What fails is tried again with the next question."""
        any_done = False
        for what, do in (("cancel", self.calls.cancel), ("wake", self.calls.wake)):
            asked = {key: seen.find(*how) for key, how in wanted.items() if key[0] == what}
            found = {key: job.id for key, job in asked.items() if job is not None and job.word not in OVER}
            if not found:
                continue
            any_done = True
            try:
                do(sorted(found.values()))
            except CallError as error:
                logger.info("%s %s: %s", what, " ".join(sorted(found.values())), error)
            if what == "wake":  # the wish lies in its folder; without this it is seen half a second later
                with self._lock:
                    for key in found:
                        self._wanted.pop(key, None)
        return any_done

    def _tidy(self, wanted: Mapping[tuple[str, str], tuple[str, str, str]], seen: Snapshot) -> None:
        """Forgets what has come true: a job that is over, or not there, is canceled. Not one that was asked for in
        this very moment."""
        with self._lock:
            for key, how in wanted.items():
                job = seen.find(*how)
                if job is None or job.word in OVER:
                    self._wanted.pop(key, None)


class StrangeJobs(SlurmJobs):
    """Of a cluster that this user has not used: it is asked nothing, and told nothing."""

    def __init__(self, conf: str) -> None:
        super().__init__(Calls(conf))
        self.accounts.off = True
        self.failure = (
            f"{conf} was never used from this account, so it is not asked: use a target with it first (Test this "
            "target, or a run)"
        )

    def look(self) -> Snapshot | None:
        """Nothing."""
        return None

    def _start(self) -> None:
        """Never."""

    def _ask(self) -> Snapshot:
        raise CallError(self.failure)


KNOWN: WeakValueDictionary[str, SlurmJobs] = WeakValueDictionary()
LOCK = threading.Lock()


def jobs_of(conf: str) -> SlurmJobs:
    """The one that asks a cluster; all launchers of this process have the same."""
    with LOCK:
        found = KNOWN.get(conf)
        if found is None:
            found = KNOWN[conf] = SlurmJobs(Calls(conf))
        return found
