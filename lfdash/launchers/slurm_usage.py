"""What Slurm counts of jobs that go on: main memory and processor time so far, where a cluster counts them
(slurm.conf, JobAcctGatherType).

A thread of its own asks, once a minute at most and for all jobs at once; who asks here never waits. sstat(1), of Slurm
22.05. A cluster that does not count is asked again seldom.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from lfdash.launchers.slurm_accounts import SIZE, UNITS
from lfdash.launchers.slurm_calls import JOB_ID, Calls

COLUMNS = ("JobID", "MaxRSS", "AveCPU", "NTasks")
EVERY_S = 60.0  # between two questions
NOTHING_S = 600.0  # at most, after several that told nothing of any job
FORGET_S = 300.0  # a job that nobody looks at is not asked for
MOST = 200  # jobs of one question
SPAN = re.compile(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+(?:\.\d+)?)")  # [DAYS-][HOURS:]MINUTES:SECONDS

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Usage:
    """What a job has used so far. max_rss: bytes of main memory that one of its tasks used at most. cpu_s: seconds of
    processors, of all its tasks; each None where that was not counted."""

    max_rss: int | None = None
    cpu_s: float | None = None


def parse(text: str) -> dict[str, Usage]:
    """Number of each job -> what all its steps have used: the most memory, and the time together."""
    found: dict[str, Usage] = {}
    for line in text.splitlines():
        parts = [part.strip() for part in line.split("|")]
        if len(parts) != len(COLUMNS) or not JOB_ID.match(parts[0]):
            continue
        step, memory, average, tasks = parts
        job, size, span = step.partition(".")[0], SIZE.fullmatch(memory), SPAN.fullmatch(average)
        rss = int(float(size[1]) * UNITS[size[2]]) if size else None
        seconds = seconds_of(span) * int(tasks) if span and re.fullmatch(r"[0-9]{1,9}", tasks) else None
        before = found.get(job, Usage())
        found[job] = Usage(most(before.max_rss, rss), total(before.cpu_s, seconds))
    return {job: usage for job, usage in found.items() if usage != Usage()}


def seconds_of(span: re.Match[str]) -> float:
    """A time as Slurm writes it, in seconds."""
    days, hours, minutes, seconds = span.groups()
    return ((int(days or 0) * 24 + int(hours or 0)) * 60 + int(minutes)) * 60 + float(seconds)


def most(*values: int | None) -> int | None:
    """The largest that is known."""
    return max((value for value in values if value is not None), default=None)


def total(*values: float | None) -> float | None:
    """The sum of what is known."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


class Usages:
    """Asks one cluster."""

    def __init__(self, calls: Calls, clock: Callable[[], float] = time.monotonic) -> None:
        self.asked = 0  # how often sstat was called
        self._calls = calls
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, Usage] = {}
        self._wanted: dict[str, float] = {}  # job -> when somebody looked last
        self._due = float("-inf")
        self._pause = EVERY_S
        self._busy = False

    def look(self, job: str) -> Usage | None:
        """What is known of a job by its number; None: nothing, or nothing yet."""
        now = self._clock()
        with self._lock:
            self._wanted[job] = now
            asks = not self._busy and now >= self._due
            self._busy |= asks
        if asks:
            threading.Thread(target=self._work, name="slurm-usage", daemon=True).start()
        return self._known.get(job)

    def _work(self) -> None:
        found: dict[str, Usage] = {}
        try:
            with self._lock:
                old = self._clock() - FORGET_S
                self._wanted = {job: when for job, when in self._wanted.items() if when >= old}
                jobs = list(self._wanted)[:MOST]
            self.asked += 1
            found = parse(self._calls.run(
                "sstat", "--allsteps", "--parsable2", "--noheader", "--noconvert", "-j", ",".join(jobs),
                "--format", ",".join(COLUMNS),
            ))
            self._known = found
        except OSError as error:
            logger.info("sstat: %s", error)
        finally:
            with self._lock:
                self._due, self._busy = self._clock() + self._pause, False
                self._pause = EVERY_S if found else min(NOTHING_S, 2 * self._pause)
