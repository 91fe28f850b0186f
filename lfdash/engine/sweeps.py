"""Sweeps of a workspace: made, carried on by the thread that starts jobs, stopped, gone on with, and looked at.

A trial is an ordinary job of the queue. Its run's id follows from the sweep and the trial's number, so that it is the
same whoever hands it over; who does so holds the sweep's lock, and whether it is there already is asked of the disk.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from filelock import Timeout

from lfdash.engine import context
from lfdash.engine.plans import prepare
from lfdash.engine.services import Services
from lfdash.engine.sweep_records import State, SweepFolders, SweepRecord, new_record
from lfdash.files import Absent, FileMark, Unreadable, file_mark
from lfdash.jobs import checks
from lfdash.jobs.args import secret_names
from lfdash.jobs.job import JobConfig
from lfdash.jobs.sweep import Sweep, with_values
from lfdash.jobs.sweep_values import key_of, name_of
from lfdash.outcomes import Problem, Refused, Value, unchanged_by
from lfdash.queue.commands import LOCK_S
from lfdash.runs import notes
from lfdash.runs.paths import RunPaths
from lfdash.runs.record import TERMINAL, RunState
from lfdash.runs.view import RunView
from lfdash.supervisor import failpoints

if TYPE_CHECKING:  # Optuna is loaded when there is a sweep
    from optuna.trial import FrozenTrial

    from lfdash.engine.sweep_study import Study

EVERY_S = 2.0  # between two turns of the thread
JOURNAL = "journal.log"
LASTING = ("never", "no_output", "outside", "secret_in_plan", "name_reserved", "inside_run", "secret_missing")
TrialStatus = Literal["waiting", "running", "complete", "pruned", "failed", "stopped"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrialView:
    """A trial as it is shown. values: by field id. run_id: of its run. state: "stopped" by the sweep's stop. value: of
    its metric: the best one so far of a complete trial, the last one known of a pruned one. reason: why it failed: the
    code of a text in the locales' [sweep]. percent: how far its run was when it was last reported."""

    number: int
    values: dict[str, Value]
    run_id: str
    name: str
    state: TrialStatus
    value: float | None = None
    reason: str = ""
    percent: int | None = None


@dataclass(frozen=True)
class SweepView:
    """A sweep as it is shown. state: "done" when nothing is left to be tried. count: of the runs that it will have."""

    id: str
    name: str
    tag: str
    created: float
    state: Literal["going", "stopped", "done"]
    sweep: Sweep
    job: JobConfig
    count: int
    trials: tuple[TrialView, ...] = ()
    importance: dict[str, float] = field(default_factory=dict)

    @property
    def best(self) -> TrialView | None:
        """The complete trial with the best value."""
        done = [one for one in self.trials if one.state == "complete" and one.value is not None]
        sign = 1 if self.sweep.direction == "minimize" else -1
        return min(done, key=lambda one: (sign * (one.value or 0.0), one.number), default=None)


@dataclass(frozen=True)
class PlannedRun:
    """A run that a sweep would have."""

    name: str
    values: dict[str, Value]


def planned(sweep: Sweep) -> tuple[PlannedRun, ...]:
    """The runs of a grid, in order, by the names that they have where those are free; none of a strategy that draws."""
    if sweep.strategy != "grid":
        return ()
    names: set[str] = set()
    found = []
    for values in sweep.grid():
        name = name_of(values.items(), names.__contains__)
        names.add(name)
        found.append(PlannedRun(name, values))
    return tuple(found)


class Sweeps:
    """The sweeps of one workspace, as one process sees and changes them. Any thread may use it."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.folders = SweepFolders(services.workspace.private)
        self._next = 0.0
        self._seen: dict[str, tuple[tuple[FileMark | None, ...], SweepView]] = {}
        self._idle: dict[str, tuple[FileMark | None, ...]] = {}  # sweeps with nothing to do until their files change

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

    def create(self, job: JobConfig, sweep: Sweep) -> SweepView | Refused:
        """Makes a sweep; the dashboards of the workspace run it.

        Refused: problems, blocked_*, secret_queue, and what the file system does not let be.
        """
        from lfdash.engine.sweep_study import create

        if self.services.blocked is not None:
            return self.services.blocked
        typed = secret_names(job)
        if typed:
            return Refused("secret_queue", {"name": ", ".join(typed)})
        found = self.problems(job, sweep)
        errors = [problem for problem in found if problem.level == "error"]
        if errors:
            return Refused("problems", {"count": len(errors), "problems": found})
        record = new_record(sweep.name, job, sweep)
        try:
            self.services.registry.identity.check()
            if sweep.name and sweep.name in {one.name for one in self.records()}:
                record = replace(record, name=f"{record.name}-{record.id[:4]}")
            with self.folders.making(record) as folder:
                create(folder, sweep)
        except OSError as error:
            return unchanged_by(error, self.folders.root)
        return self.view(record)

    def stop(self, sweep_id: str) -> Refused | None:
        """Starts no further runs; those that wait are canceled, those that go on are asked to stop and keep what they
        have trained. `go_on` tries their values again. Refused: sweep_unknown, sweep_unreadable, another_launch, and
        what the file system does not let be."""
        return self._change(sweep_id, "stopped")

    def go_on(self, sweep_id: str) -> Refused | None:
        """Goes on with a stopped sweep. Refused: as `stop`."""
        return self._change(sweep_id, "going")

    def _change(self, sweep_id: str, state: State) -> Refused | None:
        try:
            if sweep_id not in self.folders.ids():
                return Refused("sweep_unknown", {"name": sweep_id})
            with self.folders.held(sweep_id, LOCK_S):
                record = self.folders.read(sweep_id)
                if not isinstance(record, SweepRecord):
                    return unreadable(sweep_id, record)
                record = replace(record, state=state)
                self.folders.write(record)
                failpoints.hit("sweep.changed")
                self._idle.pop(sweep_id, None)
                self._carry_on(record)
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
        return [unreadable(sweep_id, one) for sweep_id, one in found if isinstance(one, Unreadable)]

    def views(self) -> list[SweepView]:
        """All that can be read, the newest first. OSError when the folder cannot be listed."""
        return [self.view(record) for record in self.records()]

    def get(self, name: str) -> SweepView | Refused:
        """The sweep of an id, or of a name. Refused: sweep_unknown, sweep_unreadable."""
        record = self.folders.read(name) if name in self.folders.ids() else None
        if record is None:
            record = next((one for one in self.records() if one.name == name), None)
        if record is None:
            return Refused("sweep_unknown", {"name": name})
        return self.view(record) if isinstance(record, SweepRecord) else unreadable(name, record)

    def view(self, record: SweepRecord) -> SweepView:
        """A sweep as its files say; read again when they have changed."""
        folder = self.folders.of(record.id)
        marks = (file_mark(folder / "sweep.json"), file_mark(folder / JOURNAL))
        seen = self._seen.get(record.id)
        if seen is not None and seen[0] == marks:
            return seen[1]
        from lfdash.engine.sweep_study import Study

        study = Study(folder, record.sweep)
        shown = view_of(record, study)
        self._seen[record.id] = (marks, shown)
        return shown

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
                logger.warning("the sweep %s cannot be carried on just now: %s", sweep_id, error)
            except Exception:  # one odd sweep must keep neither the others nor the queue from going on
                logger.exception("carrying the sweep %s on failed", sweep_id)

    def _marks(self, sweep_id: str) -> tuple[FileMark | None, ...]:
        folder = self.folders.of(sweep_id)
        return file_mark(folder / "sweep.json"), file_mark(folder / JOURNAL)

    def _carry_on(self, record: SweepRecord) -> None:
        """Looks at the trials that go on, and hands the next ones over. The sweep's lock is held."""
        from optuna.trial import TrialState

        from lfdash.engine.sweep_study import Study, mend

        folder = self.folders.of(record.id)
        mend(folder / JOURNAL)
        study = Study(folder, record.sweep)
        for trial in [one for one in study.trials if one.state is TrialState.RUNNING]:
            self._look_after(record, study, trial)
        if record.state == "going":
            study.repeat_stopped()
            running = sum(one.state is TrialState.RUNNING for one in study.trials)
            while running < record.sweep.parallel and study.left:
                asked = study.ask()
                failpoints.hit("sweep.asked")
                if asked is None or not self._hand_over(record, study, asked):
                    break
                running += study.frozen(asked.number).state is TrialState.RUNNING
        if not any(one.state is TrialState.RUNNING for one in study.trials) and not (
            record.state == "going" and study.left
        ):
            self._idle[record.id] = self._marks(record.id)

    def _hand_over(self, record: SweepRecord, study: Study, trial: FrozenTrial) -> bool:
        """Puts a trial's job into the queue, once; False when that has to wait. A trial whose job cannot be run is told
        as failed."""
        from optuna.trial import TrialState

        from lfdash.engine.sweep_study import run_id_of

        trial = study.complete(trial)
        run_id = run_id_of(record.id, trial.number)
        values = [(one.field, trial.params[one.field]) for one in record.sweep.dimensions]
        job = with_values(record.sweep, record.job, dict(values), trial.number, "x")
        name = trial.user_attrs.get("name") or name_of(values, lambda one: self._taken(job, one))
        trial = study.note(trial, name=name, folder=replaced_name(job, name).folder)
        failpoints.hit("sweep.named")
        job = replaced_name(job, name)
        errors = [one for one in checks.problems(job, context.of(self.services, job)) if one.level == "error"]
        if errors:
            study.tell(trial, TrialState.FAIL, reason="problems")
            return True
        prepared = prepare(self.services, job, f"sweep {record.name}", run_id)
        outcome = self.services.registry.enqueue(prepared.plan, prepared.record, prepared.request)
        failpoints.hit("sweep.queued")
        if isinstance(outcome, Refused):
            if outcome.code == "exists":  # somebody took the name in this moment: another one the next time
                study.note(trial, name="")
            if outcome.code not in LASTING:
                logger.warning("trial %d of sweep %s has to wait: %s", trial.number, record.id, outcome.code)
                return False
            study.tell(trial, TrialState.FAIL, reason=outcome.code)
            return True
        study.note(trial, queued=True)
        return True

    def _taken(self, job: JobConfig, name: str) -> bool:
        """Whether a run, or a job that waits, has the folder of that name."""
        root = self.services.workspace.root / replaced_name(job, name).folder
        return root.exists() or any(entry.paths.root == root for entry in self.services.registry.queue.jobs.entries())

    def _find(self, record: SweepRecord, trial: FrozenTrial) -> RunView | Literal["waiting", "unseen", "gone"]:
        """Where a trial's run is, as the disk says; a run comes out of the queue, so that is asked first."""
        from lfdash.engine.sweep_study import run_id_of

        registry, run_id = self.services.registry, run_id_of(record.id, trial.number)
        look = registry.queue.jobs.look()
        if any(entry.run_id == run_id for entry in look.entries):
            return "waiting"
        if look.failure or any(spoiled.file.startswith(run_id) for spoiled in look.unreadable):
            return "unseen"
        view = next((one for one in registry.watcher.views if one.run_id == run_id), None)
        if view is None:
            registry.refresh()
            view = next((one for one in registry.watcher.views if one.run_id == run_id), None)
        if view is not None:
            return "unseen" if view.unseen or view.state is RunState.UNKNOWN else view
        return "unseen" if registry.watcher.unseen else "gone"

    def _look_after(self, record: SweepRecord, study: Study, trial: FrozenTrial) -> None:
        """Tells what became of a trial that goes on, or hands its job over if that was not done."""
        from optuna.trial import TrialState

        from lfdash.engine.sweep_study import run_id_of

        found = self._find(record, trial)
        marks = trial.user_attrs
        if isinstance(found, RunView):
            self._look_at(record, study, study.note(trial, queued=True), found)
        elif found == "waiting" and record.state == "stopped":
            if self.services.registry.queue.cancel(run_id_of(record.id, trial.number)) is None:
                study.tell(trial, TrialState.FAIL, reason="stopped")
        elif found == "waiting":
            study.note(trial, queued=True)
        elif found == "gone" and not marks.get("queued") and record.state == "going":
            self._hand_over(record, study, trial)
        elif found == "gone":
            study.tell(trial, TrialState.FAIL, reason="gone" if marks.get("queued") else "stopped")

    def _look_at(self, record: SweepRecord, study: Study, trial: FrozenTrial, view: RunView) -> None:
        """Tells how far a trial's run is, stops it where that is said, or tells how it ended."""
        trial = self._tag(record, study, trial, view)
        values = self._reached(record.sweep, view)
        over = view.state in TERMINAL
        if record.sweep.stop_early != "never" and values and (not over or view.state is RunState.STOPPED):
            hopeless = study.report(trial, values)
            if hopeless and view.state is RunState.RUNNING and max(values) < 100:
                trial = study.note(trial, pruned=True)
        if over:
            failpoints.hit("sweep.ended")
            self._tell_end(record, study, trial, view)
            return
        if record.state == "stopped":
            trial = study.note(trial, stopped=True)
        wanted = trial.user_attrs.get("pruned") or trial.user_attrs.get("stopped")
        if wanted and view.state in (RunState.STARTING, RunState.RUNNING):
            failpoints.hit("sweep.stops")
            self.services.registry.stop(view.run_id, "graceful")

    def _tell_end(self, record: SweepRecord, study: Study, trial: FrozenTrial, view: RunView) -> None:
        from optuna.trial import TrialState

        value = self._best(record.sweep, view)
        marks = trial.user_attrs
        if view.state is RunState.SUCCEEDED and value is not None:
            study.tell(trial, TrialState.COMPLETE, value)
        elif view.state is RunState.STOPPED and marks.get("pruned"):
            study.tell(trial, TrialState.PRUNED)
        else:
            reasons = {RunState.SUCCEEDED: "no_metric", RunState.STOPPED: "by_hand"}
            stopped = view.state is RunState.STOPPED and marks.get("stopped")
            study.tell(trial, TrialState.FAIL, reason="stopped" if stopped else reasons.get(view.state, "failed"))

    def _series(self, sweep: Sweep, view: RunView) -> tuple[list[float], list[float]]:
        """(steps, values) of the metric as the run has logged it so far."""
        feed = self.services.feeds.of(view.paths)
        feed.poll()
        if sweep.metric not in feed.frame:
            return [], []
        steps, values = feed.frame.series(sweep.metric)
        return steps.tolist(), values.tolist()

    def _reached(self, sweep: Sweep, view: RunView) -> dict[int, float]:
        """The metric by part of the run in percent; nothing where the run's length is not known."""
        total = view.progress.total
        if not total:
            return {}
        steps, values = self._series(sweep, view)
        return {min(100, int(100 * step / total)): value for step, value in zip(steps, values, strict=True)}

    def _best(self, sweep: Sweep, view: RunView) -> float | None:
        values = self._series(sweep, view)[1]
        return (min if sweep.direction == "minimize" else max)(values, default=None)

    def _tag(self, record: SweepRecord, study: Study, trial: FrozenTrial, view: RunView) -> FrozenTrial:
        """Gives a run the sweep's tag, once: who takes it away again has it so."""
        if trial.user_attrs.get("tagged"):
            return trial
        held = view.notes
        if record.tag not in held.tags:
            notes.save(RunPaths(view.path), notes.Notes(held.note, (*held.tags, record.tag)), before=held)
        return study.note(trial, tagged=True)


def unreadable(sweep_id: str, found: Absent | Unreadable) -> Refused:
    """Why a sweep's record is none."""
    if isinstance(found, Absent):
        return Refused("sweep_unknown", {"name": sweep_id})
    return Refused("sweep_unreadable", {"name": sweep_id, "reason": found.reason})


def replaced_name(job: JobConfig, name: str) -> JobConfig:
    """The job under another run name."""
    return replace(job, values={**job.values, f"{job.kind}.output_dir": name})


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


STATUS: dict[str, TrialStatus] = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running"}


def view_of(record: SweepRecord, study: Study) -> SweepView:
    """A sweep as its journal says."""
    from lfdash.engine.sweep_study import is_repeat, run_id_of

    trials = []
    for one in study.trials:
        if is_repeat(one):
            continue
        reason = str(one.user_attrs.get("reason", ""))
        state = "stopped" if reason == "stopped" else STATUS[one.state.name]
        known = one.intermediate_values
        trials.append(TrialView(
            one.number, dict(one.params), run_id_of(record.id, one.number), str(one.user_attrs.get("name", "")), state,
            one.value if one.value is not None else known[max(known)] if known else None,
            reason, max(known, default=None),
        ))
    running = any(one.state == "running" for one in trials)
    left = study.left
    done = record.state == "going" and not running and not left
    state_now: Literal["going", "stopped", "done"] = "done" if done else record.state
    count = record.sweep.count
    return SweepView(
        record.id, record.name, record.tag, record.created, state_now, record.sweep, record.job, count, tuple(trials),
        {key_of_field(record.sweep, name): part for name, part in study.importance().items()},
    )


def key_of_field(sweep: Sweep, field_id: str) -> str:
    """What a setting is called in the sweep's file."""
    return next(key_of(one.row) for one in sweep.dimensions if one.field == field_id)


def attach(services: Services) -> Sweeps:
    """The sweeps of a process's workspace, carried on by its registry's thread where that starts jobs."""
    sweeps = Sweeps(services)
    services.registry.on_turn = sweeps.tick
    return sweeps
