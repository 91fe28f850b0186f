"""*Test this target*: a job of some seconds looks around there, and reports into the workspace. It waits in a thread,
may be called off, and leaves nothing behind."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lfdash.engine.background import Background, Work
from lfdash.engine.target_facts import (
    Failure,
    TargetFacts,
    TargetResult,
    TargetTestFiles,
    result_in,
    written,
)
from lfdash.files import NOT_THERE, read_json_file, read_text_file
from lfdash.launchers import table
from lfdash.launchers.local import holder
from lfdash.launchers.setup_lines import FAILED
from lfdash.launchers.slurm_script import LOG
from lfdash.launchers.target_probe import Probe, ProbeJob, Seen, left_behind, named_probe, new_probe
from lfdash.runs.paths import private
from lfdash.supervisor.target_probe import ANSWER, LOCK, MODULES, PYTHON, REPORT, SETUP, UNSEEN, UNWRITTEN
from lfdash.targets.target import Target

LOOK_S = 0.25  # between two looks at the report
ASK_S = 1.0  # between two at what the scheduler says
WAIT_S = 1800.0  # for the job to begin
RUN_S = 600.0  # from then on, for its report
SETTLE_S = 8.0  # for a report to be seen of a job that is over
SILENT_S = 120.0  # without an answer of the scheduler
GONE_S = 20.0  # for a job that was canceled to be over
CLOSE_S = 3.0  # for jobs to be canceled when the dashboard ends
MOST_BYTES = 1 << 20  # of a report
SAID = 300  # characters of what a line of a setup has printed
CODES = {UNSEEN: "unseen", UNWRITTEN: "unwritten", MODULES: "modules", PYTHON: "python"}

NOTHING_SEEN = Seen()

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Step:
    """Where a test is. name: "submit", "wait", "run" (a step's word in [target_test] is step_NAME). seen: what the
    scheduler says."""

    name: str = "submit"
    seen: Seen = NOTHING_SEEN


@dataclass(frozen=True)
class Outcome:
    """How a test ended: with a report, or why without."""

    report: Mapping[str, Any] | None = None
    failure: Failure | None = None


class TargetTests:
    """The tests of a workspace's targets, at most one of each at a time. For any thread.

    workspace: its folder (absolute). cli: the dashboard's own llamafactory-cli. check: raises an OSError when the
    workspace is not where it was. make: the job of a test; None for a kind that cannot be tested.
    """

    def __init__(
        self, workspace: Path, cli: Callable[[], str], check: Callable[[], None] = lambda: None,
        make: Callable[[Probe], ProbeJob | None] = table.probe_job,
    ) -> None:
        self.files = TargetTestFiles(private(workspace))
        self._workspace = workspace
        self._cli = cli
        self._check = check
        self._make = make
        self._lock = threading.Lock()
        self._works: dict[str, Background[Outcome]] = {}
        self._steps: dict[str, Step] = {}
        self._unwritten: dict[str, TargetResult] = {}  # results that could not be kept
        self._ours: set[str] = set()  # names of tests that go on here: a process does not see its own locks

    @staticmethod
    def is_possible(target: Target) -> bool:
        """Whether targets of this kind can be tested at all."""
        return target.kind in table.PROBES

    def start(self, target: Target) -> None:
        """Begins a test, where none of the target goes on."""
        self._of(target.name).start(target.name, lambda stop: self._test(target, stop))

    def cancel(self, name: str) -> None:
        """Calls a target's test off; its job is canceled."""
        self._of(name).cancel(name)

    def going(self, name: str) -> tuple[Work[Outcome], Step] | None:
        """The test of a target that goes on, and where it is."""
        work = self._of(name).of(name)
        if work is None or work.found is not None:
            return None
        return work, self._steps.get(name, Step())

    def last(self, name: str) -> TargetResult | None:
        """How the last test of a target ended, in whatever dashboard of the workspace."""
        kept, here = self.files.load(name), self._unwritten.get(name)
        return here if here is not None and (kept is None or kept.time < here.time) else kept

    def is_unread(self, name: str) -> bool:
        """Whether how the last test of a target ended is written down, and cannot be read."""
        try:
            return self.last(name) is None and os.lstat(self.files.path(name)) is not None
        except OSError as error:
            return error.errno not in NOT_THERE

    def facts(self, target: Target) -> TargetFacts | None:
        """What is known of a target as its row is now; None when that is nothing."""
        result = self.last(target.name)
        return result.facts if result is not None and result.is_of(target) else None

    def forget(self, name: str) -> None:
        """Forgets how the last test of a target ended, which is removed. What cannot be taken away is of a target that
        is not there."""
        self._unwritten.pop(name, None)
        with suppress(OSError):
            self._check()
            self.files.forget(name)

    def close(self) -> None:
        """Calls all of them off, and waits a moment for their jobs to be canceled."""
        with self._lock:
            works = list(self._works.values())
        for work in works:
            work.close()
        until = time.monotonic() + CLOSE_S
        while self._ours and time.monotonic() < until:
            time.sleep(LOOK_S)

    def _of(self, name: str) -> Background[Outcome]:
        with self._lock:
            return self._works.setdefault(name, Background[Outcome]())

    # -- one test, in its thread ------------------------------------------------------------------------

    def _test(self, target: Target, stop: threading.Event) -> Outcome:
        self._steps[target.name] = Step()
        try:
            outcome = self._submitted(target, stop)
        except Exception as error:  # nothing may leave the page waiting for ever
            logger.exception("the test of %s", target.name)
            outcome = Outcome(failure=Failure("failed", {"reason": repr(error)}))
        return outcome if stop.is_set() else self._kept(target, outcome)

    def _submitted(self, target: Target, stop: threading.Event) -> Outcome:
        """A test from its job to its end."""
        self._tidy(target)
        if stop.is_set():
            return Outcome(failure=Failure("canceled"))
        probe = new_probe(self._workspace, target, self._cli())
        job = self._make(probe)
        if job is None:
            return Outcome(failure=Failure("no_way", {"kind": target.kind}))
        with self._lock:
            self._ours.add(probe.plan.run_id)
        try:
            return self._carry_out(probe, job, stop)
        finally:
            with self._lock:
                self._ours.discard(probe.plan.run_id)

    def _kept(self, target: Target, outcome: Outcome) -> Outcome:
        """Keeps a result; one that cannot be kept is shown as long as this process lives."""
        ended = time.time()
        try:
            self._check()
            self.files.save(target, ended, outcome.report, outcome.failure)
        except OSError as error:
            logger.warning("the result of the test of %s is not kept: %s", target.name, error)
            result = result_in(written(target, ended, outcome.report, outcome.failure))
            if result is not None:
                self._unwritten[target.name] = result
        return outcome

    def _carry_out(self, probe: Probe, job: ProbeJob, stop: threading.Event) -> Outcome:
        """Submits the job and waits for its report. The folder, the lock and the job are gone afterwards."""
        descriptor = -1
        over = True
        try:
            self._check()
            descriptor = probe.make()
            over = False
            job.submit()
            outcome = Waiting(probe, job, stop, self._steps).outcome()
            over = outcome.report is not None
        except OSError as error:
            outcome = Outcome(failure=Failure("not_begun", {"reason": error.strerror or str(error)}))
        finally:
            if not over:
                end(job)
            if descriptor >= 0:
                os.close(descriptor)
            probe.remove()
        return outcome

    def _tidy(self, target: Target) -> None:
        """Ends what a dashboard has left of an earlier test that did not come to its end."""
        for name in left_behind(self._workspace, target):
            probe = named_probe(self._workspace, target, self._cli(), name)
            with self._lock:
                ours = name in self._ours
            with suppress(OSError):
                if not ours and holder(probe.folder / LOCK) == 0:
                    job = self._make(probe)
                    if job is not None:
                        end(job)
                    probe.remove()


def end(job: ProbeJob) -> None:
    """Cancels a test's job, and waits a little until it is over, so that it writes into no folder that goes away. One
    whose folder is gone ends by itself."""
    try:
        job.cancel()
        until = time.monotonic() + GONE_S
        while time.monotonic() < until and not job.look().over:
            time.sleep(ASK_S)
    except OSError as error:
        logger.info("a test's job was not canceled: %s", error)


class Waiting:
    """Waits for the report of one test. steps: where its step is told, by the name of its target."""

    def __init__(self, probe: Probe, job: ProbeJob, stop: threading.Event, steps: dict[str, Step]) -> None:
        self._probe = probe
        self._job = job
        self._stop = stop
        self._steps = steps
        self._began = time.monotonic()
        self._ran: float | None = None  # since when the job runs
        self._over: float | None = None
        self._answered = float("-inf")  # when the scheduler did last
        self._asked = float("-inf")
        self._seen = NOTHING_SEEN
        self._clock: tuple[float, float] | None = None  # (this clock's answer, when the other's was seen)

    def outcome(self) -> Outcome:
        """The report, or why there is none."""
        self._answered = time.monotonic()
        while not self._stop.is_set():
            report = self._report()
            if report.get("done") is True:
                return Outcome(self._with_clock(report))
            failure = self._failure(report)
            if failure is not None:
                report = self._report()  # looking took a while
                return Outcome(self._with_clock(report)) if report.get("done") is True else Outcome(failure=failure)
            self._stop.wait(LOOK_S)
        return Outcome(failure=Failure("canceled"))

    def _report(self) -> dict[str, Any]:
        """What is told so far; answers the first words with what this clock says."""
        told = read_json_file(self._probe.folder / REPORT, limit=MOST_BYTES)
        report = told if isinstance(told, dict) else {}  # half written: it is read again
        if report and self._ran is None:
            self._ran = time.monotonic()
        if report.get("asked") is True and self._clock is None:
            now = time.time()
            with suppress(OSError):
                answer(self._probe.folder / ANSWER, {"time": now})
                self._clock = now, float("inf")
        if self._clock is not None and self._clock[1] == float("inf") and "time" in report:
            self._clock = self._clock[0], time.time()
        return report

    def _with_clock(self, report: dict[str, Any]) -> dict[str, Any]:
        """The report with the bounds of what the other clock is ahead: it was read after this one's answer, and before
        that was seen here."""
        told = report.get("time")
        if self._clock is None or not isinstance(told, float) or self._clock[1] == float("inf"):
            return report
        return {**report, "clock_least": told - self._clock[1], "clock_most": told - self._clock[0]}

    def _failure(self, report: Mapping[str, Any]) -> Failure | None:
        """Why there will be no report; None as long as there may be one."""
        now = time.monotonic()
        if now - self._asked >= ASK_S:
            self._asked = now
            self._look()
        seen = self._seen
        if not seen.silent:
            self._answered = now
        self._over = (self._over or now) if seen.over else None
        if self._over is not None:
            if now - self._over > SETTLE_S:
                return self._why(seen)
        elif now - self._answered > SILENT_S:
            return Failure("silent", {"reason": seen.silent})
        if self._ran is None and now - self._began > WAIT_S:
            return Failure("waited", {"minutes": f"{WAIT_S / 60:.0f}", "reason": seen.reason or seen.word or "?"})
        if self._ran is not None and now - self._ran > RUN_S:
            return Failure("ran", {"minutes": f"{RUN_S / 60:.0f}"})
        return None

    def _look(self) -> None:
        try:
            seen = self._job.look()
        except OSError as error:
            seen = replace(self._seen, silent=str(error))
        if seen.word and not seen.waits and not seen.over and self._ran is None:
            self._ran = time.monotonic()
        self._seen = replace(self._seen, silent=seen.silent) if seen.silent else seen
        name = "run" if self._ran is not None else "wait"
        self._steps[self._probe.target.name] = Step(name, self._seen)

    def _why(self, seen: Seen) -> Failure:
        """What a job that ended without a report says by its exit code."""
        folder, target = self._probe.folder_there, self._probe.target
        params = {
            "path": folder, "word": seen.word or "?", "reason": seen.reason or "?", "modules": " ".join(target.modules),
            "python": self._probe.python_there, "code": "?" if seen.code is None else str(seen.code),
        }
        if seen.code == 0:  # it wrote somewhere, and not here
            return Failure("unseen", params)
        place = (seen.code or 0) - SETUP
        if 0 <= place < len(target.setup):
            return Failure("setup", {"line": target.setup[place], "reason": printed(self._probe) or "?"})
        return Failure(CODES.get(seen.code or 0, "ended"), params)


def printed(probe: Probe) -> str:
    """What a line of a setup has printed last, before what is said of it; "" where that cannot be read."""
    text = read_text_file(probe.folder / LOG, limit=MOST_BYTES)
    lines = [line.strip() for line in text.splitlines()] if isinstance(text, str) else []
    return next((line[:SAID] for line in reversed(lines) if line and not line.startswith(FAILED)), "")


def answer(path: Path, content: Mapping[str, Any]) -> None:
    """Writes into a file that is there, so that a network disk shows it to whoever looks. OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, json.dumps(dict(content)).encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
