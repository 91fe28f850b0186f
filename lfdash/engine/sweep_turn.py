"""One turn of one sweep: what became of its runs is told to the journal, hopeless ones are stopped, and the next jobs
go into the queue.

A trial is an ordinary job of the queue. Its run's id follows from the sweep and the trial's number, so that it is the
same whoever hands it over; who does so holds the sweep's lock, and whether it is there already is asked of the disk. A
journal that was put back to an older copy gives the numbers of runs that are there to trials anew: these are theirs.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from lfdash.engine import context
from lfdash.engine.plans import prepare
from lfdash.engine.resume import stored
from lfdash.engine.services import Services
from lfdash.engine.sweep_records import SweepRecord
from lfdash.engine.sweep_target import LASTING, Handover, is_undecided, launcher_of, waits_for_user
from lfdash.engine.sweep_value import measured
from lfdash.files import NOT_PLAIN, NOT_THERE, read_plain, readable
from lfdash.jobs import checks
from lfdash.jobs.args import job_from_args
from lfdash.jobs.job import JobConfig
from lfdash.jobs.sweep import SEED, with_values
from lfdash.jobs.sweep_values import name_of
from lfdash.outcomes import Refused
from lfdash.queue.turns import is_twin
from lfdash.runs import notes
from lfdash.runs.metrics.frame import OVERFLOWN
from lfdash.runs.paths import RunPaths
from lfdash.runs.record import TERMINAL, RunState
from lfdash.runs.view import RunView
from lfdash.supervisor import failpoints

if TYPE_CHECKING:  # Optuna is loaded when there is a sweep
    from optuna.trial import FrozenTrial

    from lfdash.engine.sweep_study import Study

TAKEN = "taken"  # why a trial has ended whose number is that of a run with other values
LONGEST_ERROR = 200  # characters
MOST_A_TURN = 8  # jobs that are handed over: the thread does other things too, and a click waits for the lock

logger = logging.getLogger(__name__)


class Turn:
    """One turn of one sweep. The sweep's lock is held. OSError, KeyError or ValueError where its journal is none.

    braked: whether it has to be stopped, since its first runs have failed; then no job was handed over.
    """

    def __init__(self, services: Services, record: SweepRecord, study: Study, handover: Handover) -> None:
        self.services = services
        self.handover = handover
        self.launcher_name = launcher_of(services, record.job)
        self.held_back = False  # something was refused in this turn
        self.record = record
        self.sweep = record.sweep
        self.study = study
        self.braked = False
        self.refreshed = False
        self.queue = services.registry.queue.jobs.look()  # once: with many trials each look costs

    def run(self) -> bool:
        """Looks at the trials that go on, and hands the next ones over. Whether there is something left to be done."""
        from optuna.trial import TrialState

        study = self.study
        for trial in [one for one in study.trials if one.state is TrialState.RUNNING]:
            self.look_after(trial)
        going = self.record.state == "going"
        if going:
            if study.only_fails:
                self.braked = True
                return True
            study.repeat(("stopped",))
            if not waits_for_user(self.services, self.record.job):
                self.go_on()
        return any(one.state is TrialState.RUNNING for one in study.trials) or bool(going and study.left)

    def go_on(self) -> None:
        """Asks for the next trials and hands them over, as many as may go on at once."""
        from optuna.trial import TrialState

        running = sum(one.state is TrialState.RUNNING for one in self.study.trials)
        if self.rests():
            return
        for _ in range(MOST_A_TURN):
            asked = self.study.ask() if running < self.sweep.parallel and self.study.left else None
            if asked is None:
                break
            failpoints.hit("sweep.asked")
            if not self.hand_over(asked):
                break
            running += self.study.frozen(asked.number).state is TrialState.RUNNING

    def rests(self) -> bool:
        """Whether nothing is to be handed over just now, since something was refused."""
        return self.held_back or self.handover.rests.rests(self.record.id, self.launcher_name)

    def lost(self, trial: FrozenTrial) -> None:
        """A trial that goes on, by the journal, and was not handed over. Of an array that never came there may be more
        than may go on at once."""
        from optuna.trial import TrialState

        if self.rests() or waits_for_user(self.services, self.record.job):
            return
        going = [one for one in self.study.trials if one.state is TrialState.RUNNING]
        if sum(bool(one.user_attrs.get("queued")) for one in going) < self.sweep.parallel:
            self.hand_over(trial)

    def run_id(self, trial: FrozenTrial) -> str:
        """The id of a trial's run."""
        from lfdash.engine.sweep_study import run_id_of

        return run_id_of(self.record.id, trial.number)

    def is_there(self, trial: FrozenTrial) -> bool:
        """Whether a trial has a run, or a job that waits."""
        run_id = self.run_id(trial)
        return self.seen(run_id) is not None or any(entry.run_id == run_id for entry in self.queue.entries)

    def named(self, trial: FrozenTrial, others: Sequence[str] = ()) -> tuple[FrozenTrial, JobConfig]:
        """A trial with all of its values and a name, which the journal has, and its job. others: folders that are about
        to be made."""
        trial = self.study.complete(trial)
        values = [(one.field, trial.params[one.field]) for one in self.sweep.dimensions]
        job = with_values(self.sweep, self.record.job, dict(values), trial.number, "x")

        def taken(name: str) -> bool:
            return replaced_name(job, name).folder in others or self.taken(job, name)

        name = trial.user_attrs.get("name") or name_of(values, taken)
        trial = self.study.note(trial, name=name, folder=replaced_name(job, name).folder)
        failpoints.hit("sweep.named")
        return trial, replaced_name(job, name)

    def hand_over(self, trial: FrozenTrial) -> bool:
        """Puts a trial's job into the queue, once; False when that has to wait. A trial whose job cannot be run is told
        as failed."""
        from optuna.trial import TrialState

        there = self.seen(self.run_id(trial))
        if there is not None:
            return self.adopt(self.study.complete(trial), there)
        trial, job = self.named(trial)
        errors = [one for one in checks.problems(job, context.of(self.services, job)) if one.level == "error"]
        if errors:
            self.study.tell(trial, TrialState.FAIL, reason="problems")
            return True
        prepared = prepare(self.services, job, f"sweep {self.record.name}", self.run_id(trial))
        outcome = self.services.registry.enqueue(prepared.plan, prepared.record, prepared.request)
        failpoints.hit("sweep.queued")
        if isinstance(outcome, Refused):
            if outcome.code == "exists":  # somebody took the name in this moment: another one the next time
                self.study.note(trial, name="")
            if outcome.code not in LASTING:
                logger.warning("trial %d of sweep %s has to wait: %s", trial.number, self.record.id, outcome.code)
                self.held_back = True
                if self.launcher_name and outcome.code != "exists":
                    self.handover.refused(self.record.id, self.launcher_name, outcome)
                return False
            self.study.tell(trial, TrialState.FAIL, reason=outcome.code)
            return True
        self.handover.accepted(self.record.id, self.launcher_name)
        self.study.note(trial, queued=True)
        return True

    def taken(self, job: JobConfig, name: str) -> bool:
        """Whether a run, or a job that waits, has the folder of that name."""
        root = self.services.workspace.root / replaced_name(job, name).folder
        return root.exists() or any(entry.paths.root == root for entry in self.services.registry.queue.jobs.entries())

    def seen(self, run_id: str) -> RunView | None:
        """The run of that id, as it was looked at last."""
        return next((one for one in self.services.registry.watcher.views if one.run_id == run_id), None)

    def adopt(self, trial: FrozenTrial, view: RunView) -> bool:
        """Takes a run for that of a trial that has not been handed over, as far as is known, where it has the trial's
        values; else it is of the sweep's past, and the values are tried under the next number. False when it cannot be
        read just now."""
        from optuna.trial import TrialState

        same = None if is_unseen(view) else self.has_values(view, trial)
        if same:
            self.look_at(self.study.note(trial, name=view.name, folder=view.output_dir, queued=True), view)
        elif same is False:
            logger.warning("the run %s is there and has other values than trial %d", view.run_id, trial.number)
            self.study.tell(trial, TrialState.FAIL, reason=TAKEN)
            self.study.repeat((TAKEN,))
        return same is not None

    def has_values(self, view: RunView, trial: FrozenTrial) -> bool | None:
        """Whether a run's configuration says the values of a trial; None when it cannot be read just now."""
        try:
            read_plain(view.paths.training_args)
        except UnicodeDecodeError:
            return False
        except OSError as error:
            return False if error.errno in (*NOT_THERE, *NOT_PLAIN) else None
        document = stored(view)
        if document is None:
            return False
        own = job_from_args(document.args, document.env, self.record.job.kind)
        wanted = with_values(self.sweep, self.record.job, trial.params, trial.number, "x")
        names = [one.field for one in self.sweep.dimensions] + ([SEED] if self.sweep.seed == "varied" else [])
        return all(own.get(name) == wanted.get(name) for name in names)

    def find(self, trial: FrozenTrial) -> RunView | Literal["waiting", "unseen", "gone"]:
        """Where a trial's run is, as the disk says; a run comes out of the queue, so that is asked first."""
        from lfdash.engine.sweep_study import run_id_of

        registry, run_id = self.services.registry, run_id_of(self.record.id, trial.number)
        entry = next((one for one in self.queue.entries if one.run_id == run_id), None)
        if entry is not None:
            twin = self.seen(run_id)
            return twin if twin is not None and is_twin(entry, twin) and not is_unseen(twin) else "waiting"
        if self.queue.failure or any(spoiled.file.startswith(run_id) for spoiled in self.queue.unreadable):
            return "unseen"
        view = self.seen(run_id)
        if view is None and not self.refreshed:
            self.refreshed = True  # once: all that were not handed over are looked for
            registry.refresh()
            view = self.seen(run_id)
        if view is not None:
            return "unseen" if is_unseen(view) else view
        return "unseen" if registry.watcher.unseen else "gone"

    def look_after(self, trial: FrozenTrial) -> None:
        """Tells what became of a trial that goes on, or hands its job over if that was not done."""
        from optuna.trial import TrialState

        from lfdash.engine.sweep_study import run_id_of

        found = self.find(trial)
        marks = trial.user_attrs
        waits = any(entry.run_id == run_id_of(self.record.id, trial.number) for entry in self.queue.entries)
        if isinstance(found, RunView) and waits:
            if self.services.registry.queue.cancel(found.run_id) is None:
                self.adopt(trial, found)
        elif isinstance(found, RunView) and not marks.get("queued") and is_undecided(self.services, found):
            return
        elif isinstance(found, RunView) and not marks.get("queued"):
            self.adopt(self.study.complete(trial), found)
        elif isinstance(found, RunView):
            self.look_at(trial, found)
        elif found == "waiting" and self.record.state == "stopped":
            if self.services.registry.queue.cancel(run_id_of(self.record.id, trial.number)) is None:
                self.study.tell(trial, TrialState.FAIL, reason="stopped")
        elif found == "waiting":
            self.study.note(trial, queued=True)
        elif found == "gone" and not marks.get("queued") and self.record.state == "going":
            self.lost(trial)
        elif found == "gone":
            self.study.tell(trial, TrialState.FAIL, reason="gone" if marks.get("queued") else "stopped")

    def look_at(self, trial: FrozenTrial, view: RunView) -> None:
        """Tells how far a trial's run is, stops it where that is said, or tells how it ended."""
        trial = self.tag(trial, view)
        values = self.reached(view)
        over = view.state in TERMINAL
        if view.progress.step or view.state is RunState.SUCCEEDED:
            trial = self.study.note(trial, began=True)
        if self.sweep.stop_early != "never" and values:
            hopeless = self.study.report(trial, values)
            hopeless |= self.services.feeds.of(view.paths).dead_since is not None
            if hopeless and view.state is RunState.RUNNING and max(values) < 100:
                trial = self.study.note(trial, pruned=True)
        if over:
            failpoints.hit("sweep.ended")
            self.tell_end(trial, view)
            return
        if self.record.state == "stopped":
            trial = self.study.note(trial, stopped=True)
        wanted = trial.user_attrs.get("pruned") or trial.user_attrs.get("stopped")
        if wanted and view.state in (RunState.STARTING, RunState.RUNNING):
            failpoints.hit("sweep.stops")
            self.services.registry.stop(view.run_id, "graceful", look=False)

    def tell_end(self, trial: FrozenTrial, view: RunView) -> None:
        """Tells how a trial's run has ended."""
        from optuna.trial import TrialState

        found = measured(self.sweep, *self.series(view))
        marks = trial.user_attrs
        if self.services.feeds.of(view.paths).dead_since is not None:  # whatever it logged before, its weights are lost
            self.study.tell(trial, TrialState.FAIL, reason="dead")
        elif view.state is RunState.SUCCEEDED and found is not None:
            self.study.tell(self.study.note(trial, at=found.at, of=found.of), TrialState.COMPLETE, found.value)
        elif view.state is RunState.STOPPED and marks.get("pruned"):
            self.study.tell(trial, TrialState.PRUNED)
        else:
            reasons = {RunState.SUCCEEDED: "no_metric", RunState.STOPPED: "by_hand"}
            stopped = view.state is RunState.STOPPED and marks.get("stopped")
            if view.error:
                trial = self.study.note(trial, error=readable(" ".join(view.error.split()))[:LONGEST_ERROR])
            self.study.tell(trial, TrialState.FAIL, reason="stopped" if stopped else reasons.get(view.state, "failed"))

    def series(self, view: RunView) -> tuple[list[float], list[float]]:
        """(steps, values) of the metric as the run has logged it so far, while its loss was a number."""
        feed = self.services.feeds.of(view.paths)
        feed.poll()
        if self.sweep.metric not in feed.frame:
            return [], []
        steps, values = feed.frame["step"], feed.frame[self.sweep.metric]
        overflown = feed.frame.marks & OVERFLOWN > 0
        usable = np.isfinite(values) & ~((values == 0) & overflown)  # a loss that is no number is logged as 0
        if feed.dead_since is not None:
            usable &= steps < feed.dead_since
        return steps[usable].tolist(), values[usable].tolist()

    def reached(self, view: RunView) -> dict[int, float]:
        """The metric by part of the run in percent; nothing where the run's length is not known."""
        total = view.progress.total
        if not total:
            return {}
        steps, values = self.series(view)
        return {min(100, int(100 * step / total)): value for step, value in zip(steps, values, strict=True)}

    def tag(self, trial: FrozenTrial, view: RunView) -> FrozenTrial:
        """Gives a run the sweep's tag, once: who takes it away again has it so."""
        if trial.user_attrs.get("tagged"):
            return trial
        held = view.notes
        if self.record.tag not in held.tags:
            notes.save(RunPaths(view.path), notes.Notes(held.note, (*held.tags, self.record.tag)), before=held)
        return self.study.note(trial, tagged=True)


def is_unseen(view: RunView) -> bool:
    """Whether a run could not be read when it was looked at last."""
    return bool(view.unseen) or view.state is RunState.UNKNOWN


def replaced_name(job: JobConfig, name: str) -> JobConfig:
    """The job under another run name."""
    return replace(job, values={**job.values, f"{job.kind}.output_dir": name})
