"""What Slurm's accounting says of jobs that are over, where a cluster has one: how they ended after squeue has
forgotten them, the main memory that they used, how long they took. Without accounting nothing is asked after the first
time.

A thread of its own asks, once for each job; who asks here never waits. sacct(1), of Slurm 22.05.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lfdash.launchers.asking import CallError
from lfdash.launchers.slurm_calls import Calls

COLUMNS = ("JobID", "JobName", "State", "ElapsedRaw", "MaxRSS")
AGAIN_S = 60.0  # after a failure, and for a job that is not there yet
SETTLE_S = 10.0  # after its end, until what its last step used is told
TRIES = 3  # of a job that accounting does not know
MOST = 200  # jobs of one question
ABSENT = re.compile(r"accounting storage is disabled|sacct: No such file|only supported with", re.IGNORECASE)
LIVE = ("PENDING", "RUNNING", "SUSPENDED", "REQUEUED", "RESIZING")  # sacct(1), JOB STATE CODES: not over yet
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
SIZE = re.compile(r"(\d+(?:\.\d+)?)([KMGT]?)")


@dataclass(frozen=True)
class Account:
    """What accounting says of a job. word: its state, as squeue calls it. seconds: how long it took. max_rss: bytes of
    main memory that one of its processes' steps used at most; None where that was not measured."""

    word: str
    name: str = ""
    seconds: int | None = None
    max_rss: int | None = None


def parse(text: str) -> dict[str, Account]:
    """Number of each job (7, or 7_2 of an array) -> its account; a step's memory is its job's."""
    found: dict[str, Account] = {}
    used: dict[str, int] = {}
    for line in text.splitlines():
        parts = [part.strip() for part in line.split("|")]
        if len(parts) < len(COLUMNS):
            continue
        job, *name, word, seconds, memory = parts  # a name may hold the separator
        size = SIZE.fullmatch(memory)
        base = job.partition(".")[0]
        if size:
            used[base] = max(used.get(base, 0), int(float(size[1]) * UNITS[size[2]]))
        if "." not in job and "[" not in job and word:
            state = word.split()[0].rstrip("+")  # "CANCELLED by 1000"
            found[job] = Account(state, "|".join(name), int(seconds) if seconds.isdigit() else None)
    return {job: Account(one.word, one.name, one.seconds, used.get(job)) for job, one in found.items()}


class Accounts:
    """Asks the accounting of one cluster. off: whether it has none, or none that we may ask."""

    def __init__(self, calls: Calls, clock: Callable[[], float] = time.monotonic) -> None:
        self.off = False
        self.asked = 0  # how often sacct was called
        self._calls = calls
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, Account] = {}
        self._wanted: dict[str, int] = {}  # job -> how often it was asked for
        self._due = 0.0
        self._busy = False

    def look(self, job: str, name: str) -> Account | None:
        """What is known of a job of that number and name; asked for where it is not. None: nothing, or nothing yet
        (`waits` tells which)."""
        found = self._known.get(job)
        if found is not None:
            return found if found.name == name else None
        with self._lock:
            if self.off or not job:
                return None
            self._wanted.setdefault(job, 0)
            if self._busy or self._clock() < self._due or self._wanted[job] >= TRIES:
                return None
            self._busy = True
        threading.Thread(target=self._work, name="slurm-accounts", daemon=True).start()
        return None

    def waits(self, job: str) -> bool:
        """Whether a job is asked for, and may be told of yet."""
        with self._lock:
            return not self.off and 0 <= self._wanted.get(job, TRIES) < TRIES and job not in self._known

    def _work(self) -> None:
        pause = AGAIN_S
        try:
            with self._lock:
                jobs = [job for job, tries in self._wanted.items() if job not in self._known and tries < TRIES][:MOST]
            self.asked += 1
            found = self._ask(jobs)
            with self._lock:
                self._known.update({job: found[job] for job in jobs if job in found and found[job].word not in LIVE})
                for job in jobs:
                    self._wanted[job] += 1
            pause = SETTLE_S
        except CallError as error:
            self.off = bool(ABSENT.search(str(error))) or "No such file" in str(error)
            with self._lock:
                for job in self._wanted:
                    self._wanted[job] += 1
        finally:
            with self._lock:
                self._due, self._busy = self._clock() + pause, False

    def _ask(self, jobs: Sequence[str]) -> dict[str, Account]:
        return parse(self._calls.run(
            "sacct", "--parsable2", "--noheader", "--noconvert", "-j", ",".join(jobs), "--format", ",".join(COLUMNS)
        ))
