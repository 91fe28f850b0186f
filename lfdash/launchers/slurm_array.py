"""Runs that Slurm gets as one job array: one submission, and Slurm itself keeps to how many go on at once.

Each job of it runs the script in the folder of its own run: the one that would be submitted for that run alone. All
have one ticket, and the name of the array with their place in it; so each is found as a single job is, and the right to
start is each run's own.
"""

from __future__ import annotations

import secrets as random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lfdash.files import write_text_atomic
from lfdash.launchers import folder
from lfdash.launchers.asking import CallError
from lfdash.launchers.base import Array, ArrayTask, Launched
from lfdash.launchers.local import try_lock
from lfdash.launchers.scheduled import note_job, write_supervisor
from lfdash.launchers.slurm import SlurmLauncher, spec_of
from lfdash.launchers.slurm_calls import Calls
from lfdash.launchers.slurm_jobs import SlurmJobs, Snapshot
from lfdash.launchers.slurm_script import array_script, asked_for, login_of, task_name
from lfdash.launchers.watching import Watched
from lfdash.outcomes import Refused, refused_by
from lfdash.runs.plan import LaunchPlan
from lfdash.runs.record import Handle, RunRecord
from lfdash.supervisor import failpoints
from lfdash.supervisor.remote import TICKET, seal
from lfdash.targets.allowed import allow
from lfdash.targets.target import Target

AGAIN_S = 60.0  # after a question without an answer
FIRST_S = 2.0  # for the first answer is waited, once
MOST = 100  # runs of an array: their folders are made while nobody else can start a run


Made = tuple[Handle, Mapping[str, Any]]  # a run, and what its spec.json says


class ArraySize:
    """How many runs an array may have on one cluster. A thread asks, until there is an answer."""

    def __init__(self, calls: Calls, clock: Callable[[], float] = time.monotonic) -> None:
        self._calls = calls
        self._clock = clock
        self._most: int | None = None
        self._failure = "it was just asked"
        self._due = float("-inf")
        self._busy = False
        self._lock = threading.Lock()
        self._answered = threading.Event()  # or failed, or nobody waits any more

    def look(self) -> int | Refused:
        """The answer, 0 where there are no arrays. Refused: there is none (yet). Waits FIRST_S at most, once."""
        with self._lock:
            asks = self._most is None and not self._busy and self._clock() >= self._due
            self._busy |= asks
        if asks:
            threading.Thread(target=self._ask, name="slurm-array", daemon=True).start()
        if not self._answered.is_set():
            self._answered.wait(FIRST_S)
            self._answered.set()
        return Refused("scheduler_silent", {"reason": self._failure}) if self._most is None else self._most

    def _ask(self) -> None:
        try:
            self._most = min(MOST, self._calls.most_of_an_array())
        except OSError as error:
            if isinstance(error.__cause__, FileNotFoundError):  # scontrol is not installed here: one by one goes well
                self._most = 0
            self._failure = str(error)
        finally:
            with self._lock:
                self._busy, self._due = False, self._clock() + AGAIN_S
            self._answered.set()


class SlurmArrays(SlurmLauncher):
    """A Slurm launcher that also submits arrays (`base.ArrayLauncher`)."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._sizes: dict[str, ArraySize] = {}  # by the cluster's slurm.conf

    def most_together(self) -> int | Refused:
        """How many runs one array may have; asked of each cluster once, in the background."""
        target = self.target
        if isinstance(target, Refused):
            return target
        conf = target.slurm_conf
        if conf not in self._sizes:
            self._sizes[conf] = ArraySize(self.jobs(conf).calls, self._clock)
        return self._sizes[conf].look()

    def array_script(self, plans: Sequence[LaunchPlan], name: str, at_once: int) -> str:
        """The script of an array; "" where there is no such target."""
        target = self.target
        return "" if isinstance(target, Refused) else array_script(plans, target, name, at_once)

    def alike(self, plan: LaunchPlan) -> object:
        """What a job asks Slurm for, and the shell that its script wants."""
        target = self.target
        return target if isinstance(target, Refused) else (*asked_for(plan, target), login_of(plan, target))

    def submit_array(self, array: Array, tasks: Sequence[ArrayTask]) -> tuple[Launched, ...] | Refused:
        """Makes the folders of all runs, and gives the array's script to sbatch. All start, or none.

        Refused: as `SlurmLauncher.submit`; of one run its id is in the params (`run_id`).
        """
        target = self.target
        if isinstance(target, Refused):
            return target
        for task in tasks:
            refused = self.check(task.plan, task.record, target)
            if refused is not None:
                return Refused(refused.code, {**refused.params, "run_id": task.plan.run_id})
        ticket = random.token_hex(8)
        made: list[Made] = []
        refused = self._make_all(array, tasks, target, ticket, made)
        refused = refused or self._submit_all(array, tasks, target, ticket, made)
        if refused is not None:
            kept = [not self.taken_back(handle, task.plan, spec, refused)
                    for (handle, spec), task in zip(made, tasks, strict=False)]
            if len(kept) < len(tasks) or not all(kept):  # else another dashboard has submitted them
                return refused
        for handle, _spec in made:
            self._watched[handle] = Watched(self._clock(), True, target.slurm_conf, True)
        self.jobs(target.slurm_conf).hurry()
        return tuple(Launched(handle) for handle, _spec in made)

    def _make_all(
        self, array: Array, tasks: Sequence[ArrayTask], target: Target, ticket: str, made: list[Made]
    ) -> Refused | None:
        """The folders of all runs, with what their jobs need. made: gets each."""
        for place, task in enumerate(tasks):
            plan = task.plan
            spec = self.signed(plan, spec_of(plan, target, ticket, task.secrets, task_name(array.name, place)))
            paths = folder.make(plan, named(task, self.name), self.machine, spec)
            if isinstance(paths, Refused):
                return Refused(paths.code, {**paths.params, "run_id": plan.run_id})
            made.append((Handle(plan.run_id, plan.attempt, paths), spec))
            control = paths.attempt(plan.attempt)
            try:
                try_lock(control.lock)
                if task.secrets:
                    seal(str(control.root), task.secrets)
                failpoints.hit("array.run_made")
            except OSError as error:
                return refused_by(error, paths.root)
        return None

    def _submit_all(
        self, array: Array, tasks: Sequence[ArrayTask], target: Target, ticket: str, made: Sequence[Made]
    ) -> Refused | None:
        """Gives the script to sbatch, and writes down which job is whose."""
        jobs = self.jobs(target.slurm_conf)
        try:
            write_supervisor(Path(tasks[0].plan.cwd))
            array.script.parent.mkdir(exist_ok=True)
            text = array_script([task.plan for task in tasks], target, array.name, array.at_once)
            write_text_atomic(array.script, text)
            failpoints.hit("array.made")
            if target.slurm_conf:
                allow("slurm.conf", target.slurm_conf)
            number = jobs.calls.submit(str(array.script), ticket, {TICKET: ticket})
        except CallError as error:
            number = self._look_for_array(jobs, array, ticket) if error.silent else ""
            if not number:
                for place in range(len(made) if error.silent else 0):  # as in SlurmLauncher.hand_over
                    jobs.cancel("", task_name(array.name, place), ticket)
                return Refused("scheduler_silent" if error.silent else "scheduler_refused", {"reason": str(error)})
        except OSError as error:
            return refused_by(error, array.script)
        failpoints.hit("array.submitted")
        for place, (handle, spec) in enumerate(made):
            note_job(handle.paths.attempt(handle.attempt), spec, f"{number}_{place}")
            failpoints.hit("array.run_noted")
        failpoints.hit("array.noted")
        return None

    def _look_for_array(self, jobs: SlurmJobs, array: Array, ticket: str) -> str:
        """The number of an array of which nobody knows whether it was taken; "" when there is none, or nobody tells."""
        try:
            found = Snapshot.of(self._clock(), jobs.calls.jobs())
        except OSError:
            return ""
        job = found.find("", task_name(array.name, 0), ticket)
        return job.id.partition("_")[0] if job is not None else ""


def named(task: ArrayTask, launcher: str) -> RunRecord:
    """The record of a run, which names its launcher."""
    return replace(task.record, launcher=launcher)
