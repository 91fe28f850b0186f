"""Sweeps of a workspace: made, stopped, gone on with, found, and given their turns by the thread that starts jobs."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from filelock import Timeout

from lfdash.engine import context
from lfdash.engine.on_target import target_of
from lfdash.engine.services import Services
from lfdash.engine.sweep_records import TAG, State, SweepFolders, SweepRecord, new_record
from lfdash.engine.sweep_script import SweepScripts
from lfdash.engine.sweep_target import Handover, launcher_of, vouch, waits_for_user
from lfdash.engine.sweep_views import SweepView, view_of
from lfdash.files import Absent, FileMark, Unreadable, file_mark, readable
from lfdash.jobs import checks
from lfdash.jobs.args import secret_names
from lfdash.jobs.job import JobConfig
from lfdash.jobs.sweep import Sweep, with_values
from lfdash.jobs.sweep_values import name_of
from lfdash.outcomes import Problem, Refused, Value, unchanged_by
from lfdash.queue.commands import LOCK_S
from lfdash.supervisor import failpoints

if TYPE_CHECKING:  # Optuna is loaded when there is a sweep
    from lfdash.engine.sweep_study import Study

EVERY_S = 2.0  # between two turns of the thread
JOURNAL = "journal.log"

logger = logging.getLogger(__name__)


class Sweeps:
    """The sweeps of one workspace, as one process sees and changes them. Any thread may use it."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.folders = SweepFolders(services.workspace.private)
        self.scripts = SweepScripts(services)
        self._next = 0.0
        self._seen: dict[str, tuple[tuple[FileMark | None, ...], SweepView | Refused]] = {}
        self._idle: dict[str, tuple[FileMark | None, ...]] = {}  # sweeps with nothing to do until their files change
        self._open: dict[str, tuple[tuple[FileMark | None, ...], Study]] = {}  # journals, until somebody writes there
        self.handover = Handover(services.registry.rests)
        self._told: dict[str, tuple[FileMark | None, ...]] = {}  # whose failure stands in the log, until they change

    # -- made, stopped, gone on with --------------------------------------------------------------------

    def problems(self, job: JobConfig, sweep: Sweep) -> tuple[Problem, ...]:
        """What is wrong with the jobs: those of a grid's corners, and of the values that a strategy may draw."""
        found: dict[tuple[str | None, str], Problem] = {}
        for values in samples(sweep):
            one = with_values(sweep, job, values, 0, name_of(values.items()))
            for problem in checks.problems(one, context.of(self.services, one)):
                if problem.code != "name_taken":
                    found.setdefault((problem.field, problem.code), problem)
        return tuple(found.values())

    def create(self, job: JobConfig, sweep: Sweep, sweep_id: str = "") -> SweepView | Refused:
        """Makes a sweep; the dashboards of the workspace run it. sweep_id: what it was shown under (`scripts`).

        Refused: problems, blocked_*, secret_queue, sweep_twin (`same` is in progress), and what the file system does
        not let be.
        """
        from lfdash.engine.sweep_study import create

        blocked = self.services.blocked_on(job.target)
        if blocked is not None:
            return blocked
        typed = secret_names(job)
        if typed:
            return Refused("secret_queue", {"name": ", ".join(typed)})
        found = self.problems(job, sweep)
        errors = [problem for problem in found if problem.level == "error"]
        if errors:
            return Refused("problems", {"count": len(errors), "problems": found})
        record = new_record(sweep.name, job, sweep, sweep_id)
        try:
            self.services.registry.identity.check()
            with self.folders.listed(LOCK_S):  # two tabs, dashboards or terminals may make the same at once
                same = self.same(job, sweep)
                if same is not None:
                    return Refused("sweep_twin", {"name": same.name})
                if sweep.name and sweep.name in {one.name for one in self.records()}:
                    record = replace(record, name=f"{record.name}-{record.id[:4]}")
                with self.folders.making(record) as folder:
                    create(folder, sweep)
        except Timeout:
            return Refused("another_launch")
        except OSError as error:
            return unchanged_by(error, self.folders.root)
        vouch(self.services, job)
        return self.view(record)

    def same(self, job: JobConfig, sweep: Sweep) -> SweepView | None:
        """The sweep that is in progress with the same job and values, and the same name if the new one has any: it
        would run everything twice. OSError when the sweeps cannot be listed."""
        def key(job: JobConfig, sweep: Sweep) -> object:
            return nameless(job), replace(sweep, name="").written()

        going = (one for one in self.views() if one.state == "going" and sweep.name in ("", one.sweep.name))
        return next((one for one in going if key(one.job, one.sweep) == key(job, sweep)), None)

    def stop(self, sweep_id: str) -> Refused | None:
        """Starts no further runs; those that wait are canceled, those that go on are asked to stop and keep what they
        have trained. `go_on` tries their values again. Refused: sweep_unknown, sweep_unreadable, sweep_journal,
        sweep_over (there is nothing left of it), another_launch, and what the file system does not let be."""
        return self._change(sweep_id, "stopped")

    def go_on(self, sweep_id: str) -> Refused | None:
        """Goes on with a stopped sweep; of one that is over, or stopped itself, the failed runs are tried again, each
        once. Refused: as `stop`; sweep_over only where none has failed so."""
        return self._change(sweep_id, "going")

    def _change(self, sweep_id: str, state: State) -> Refused | None:
        try:
            if sweep_id not in self.folders.ids():
                return Refused("sweep_unknown", {"name": sweep_id})
            with self.folders.held(sweep_id, LOCK_S):
                record = self.folders.read(sweep_id)
                if not isinstance(record, SweepRecord):
                    return unreadable(sweep_id, record)
                shown = self.view(record)
                if isinstance(shown, Refused):
                    return shown
                if shown.state == "done" and not (state == "going" and shown.again):
                    return Refused("sweep_over", {"name": record.name})
                record = replace(record, state=state, braked=record.braked and state == "stopped")
                self.folders.write(record)
                failpoints.hit("sweep.changed")
                if state == "going":
                    vouch(self.services, record.job)
                    self.handover.rests.forget(sweep_id, launcher_of(self.services, record.job))
                self._idle.pop(sweep_id, None)
                self._carry_on(record, again=state == "going" and shown.again > 0)
        except Timeout:
            return Refused("another_launch")
        except OSError as error:
            return unchanged_by(error, self.folders.of(sweep_id))
        return None

    # -- looked at --------------------------------------------------------------------------------------

    def records(self) -> list[SweepRecord]:
        """The sweeps that can be read, the newest first."""
        found = [self.folders.read(sweep_id) for sweep_id in self.folders.ids()]
        return sorted((one for one in found if isinstance(one, SweepRecord)), key=lambda one: -one.created)

    def unreadable(self) -> list[Refused]:
        """Why some of the sweeps cannot be read. OSError when the folder cannot be listed."""
        found = [(sweep_id, self.folders.read(sweep_id)) for sweep_id in self.folders.ids()]
        wrong = [unreadable(sweep_id, one) for sweep_id, one in found if isinstance(one, Unreadable)]
        return [*wrong, *(one for record in self.records() if isinstance(one := self.view(record), Refused))]

    def views(self) -> list[SweepView]:
        """All that can be read, the newest first. OSError when the folder cannot be listed."""
        return [one for record in self.records() if isinstance(one := self.view(record), SweepView)]

    def get(self, name: str) -> SweepView | Refused:
        """The sweep of an id, or of a name. Refused: sweep_unknown, sweep_unreadable, sweep_journal, sweeps_unlisted.
        """
        try:
            record = self.folders.read(name) if name in self.folders.ids() else None
            if record is None:
                record = next((one for one in self.records() if one.name == name), None)
        except OSError as error:
            return self.unlisted(error)
        if record is None:
            return Refused("sweep_unknown", {"name": name})
        return self.view(record) if isinstance(record, SweepRecord) else unreadable(name, record)

    def unlisted(self, error: OSError) -> Refused:
        """That the folder of the sweeps cannot be listed."""
        path = readable(str(self.folders.root))
        return Refused("sweeps_unlisted", {"path": path, "reason": error.strerror or type(error).__name__})

    def of_run(self, run_id: str, tags: Iterable[str]) -> SweepView | None:
        """The sweep that a run is a trial of; None where there is none, or it cannot be told. tags: of the run: those
        without a sweep's are not looked for."""
        if not any(tag.startswith(TAG) for tag in tags):
            return None
        try:
            views = self.views()
        except OSError:
            return None
        return next((one for one in views if any(trial.run_id == run_id for trial in one.trials)), None)

    def view(self, record: SweepRecord) -> SweepView | Refused:
        """A sweep as its files say; read again when they have changed. Refused: sweep_journal."""
        marks = self._marks(record.id)
        seen = self._seen.get(record.id)
        if seen is not None and seen[0] == marks:
            return seen[1]
        from lfdash.engine.sweep_study import opened

        study = opened(self.folders.of(record.id), record.sweep)
        if isinstance(study, Unreadable) and study.failure is not None:
            return self._spoiled(record, study)  # it may be read the next time
        try:
            shown = self._spoiled(record, study) if isinstance(study, Unreadable) else view_of(record, study)
        except (KeyError, ValueError, TypeError, AttributeError, StopIteration) as error:  # trials of another sweep
            shown = self._spoiled(record, Unreadable(f"{type(error).__name__}: {error}"))
        self._seen[record.id] = (marks, shown)
        return shown

    def _spoiled(self, record: SweepRecord, why: Unreadable) -> Refused:
        """That a sweep's journal cannot be read."""
        path = readable(str(self.folders.of(record.id) / JOURNAL))
        return Refused("sweep_journal", {"name": record.name, "path": path, "reason": readable(why.reason)})

    def waits_for_user(self, view: SweepView) -> bool:
        """Whether a sweep that is going on starts nothing before somebody says *Go on*: its target is one that nobody
        of this account has used as it is now (text: `scheduler.sweep_waits`)."""
        there = target_of(self.services, view.job) is not None
        return view.state == "going" and there and waits_for_user(self.services, view.job)

    def refused(self, view: SweepView) -> Refused | None:
        """Why the next runs of a sweep that goes on could not be handed over the last time, or cannot now; None where
        they could (text: `scheduler.sweep_rests`)."""
        if view.state != "going" or not view.job.target:
            return None
        there = self.services.registry.targets.get(view.job.target)
        if isinstance(there, Refused):
            return there
        found = self.handover.rests.why(view.id, launcher_of(self.services, view.job))
        return found or self.handover.unknown.get(view.id)

    # -- carried on -------------------------------------------------------------------------------------

    def tick(self) -> None:
        """One turn of the thread that starts jobs: every sweep that nobody else is carrying on just now."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + EVERY_S
        try:
            ids = self.folders.ids()
        except OSError as error:
            logger.warning("the sweeps of %s cannot be listed: %s", self.services.workspace.root, error)
            return
        for sweep_id in ids:
            if self._idle.get(sweep_id) == self._marks(sweep_id):
                continue
            try:
                with self.folders.held(sweep_id, 0):
                    record = self.folders.read(sweep_id)
                    if isinstance(record, SweepRecord):
                        self._carry_on(record)
            except Timeout:
                continue  # another dashboard does
            except OSError as error:
                self._tell(sweep_id, str(error))
            except Exception as error:  # noqa: BLE001 one odd sweep must keep neither the others nor the queue back
                self._tell(sweep_id, type(error).__name__, error)

    def _tell(self, sweep_id: str, why: str, error: Exception | None = None) -> None:
        """Says in the log that a sweep cannot be carried on; not again before its files have changed."""
        marks = self._marks(sweep_id)
        if self._told.get(sweep_id, ()) != marks:
            self._told[sweep_id] = marks
            logger.warning("the sweep %s cannot be carried on just now: %s", sweep_id, why, exc_info=error)

    def _marks(self, sweep_id: str) -> tuple[FileMark | None, ...]:
        folder = self.folders.of(sweep_id)
        return file_mark(folder / "sweep.json"), file_mark(folder / JOURNAL)

    def _carry_on(self, record: SweepRecord, *, again: bool = False) -> None:
        """One turn of a sweep. Its lock is held. again: the failed trials are tried again. OSError."""
        from lfdash.engine.sweep_array import turn_of
        from lfdash.engine.sweep_study import FAILED, mend, opened

        folder = self.folders.of(record.id)
        marks, study = self._open.pop(record.id, ((), None))
        if study is None or marks != self._marks(record.id):
            mend(folder / JOURNAL)
            found = opened(folder, record.sweep)
            if isinstance(found, Unreadable):
                self._tell(record.id, f"{JOURNAL}: {found.reason}")
                return
            study = found
        if again:
            study.repeat(FAILED)
        turn = turn_of(self.services, record, study, self.handover)
        left = turn.run()
        if turn.braked:
            record = replace(record, state="stopped", braked=True)
            self.folders.write(record)
            # what waits is canceled before it can start
            left = turn_of(self.services, record, study, self.handover).run()
        if left:
            self._open[record.id] = (self._marks(record.id), study)
        else:
            self._idle[record.id] = self._marks(record.id)


def nameless(job: JobConfig) -> JobConfig:
    """A job without the name of its run: a sweep's runs have their own."""
    return replace(job, values={name: value for name, value in job.values.items() if name != f"{job.kind}.output_dir"})


def unreadable(sweep_id: str, found: Absent | Unreadable) -> Refused:
    """Why a sweep's record is none."""
    if isinstance(found, Absent):
        return Refused("sweep_unknown", {"name": sweep_id})
    return Refused("sweep_unreadable", {"name": sweep_id, "reason": found.reason})


def samples(sweep: Sweep) -> Iterable[dict[str, Value]]:
    """Values to check a sweep's jobs by: each value of each setting once, and both ends of a range."""
    every = {one.field: one.values or ends(one.row.kind, one.low, one.high) for one in sweep.dimensions}
    first = {field_id: values[0] for field_id, values in every.items()}
    yield first
    for field_id, values in every.items():
        for value in values[1:]:
            yield {**first, field_id: value}


def ends(kind: str, low: float | None, high: float | None) -> tuple[Value, ...]:
    """Both ends of a range, as the setting has them."""
    assert low is not None and high is not None
    return (int(low), int(high)) if kind == "int" else (low, high)


def attach(services: Services) -> Sweeps:
    """The sweeps of a process's workspace, carried on by a thread of its registry's where that starts jobs."""
    sweeps = Sweeps(services)
    services.registry.on_turn = sweeps.tick
    return sweeps
