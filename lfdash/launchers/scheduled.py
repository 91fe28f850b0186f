"""Runs as jobs of a cluster's scheduler: what is the same of all. The files of the run's folder tell how it does, as on
this machine: the supervisor is the job. The scheduler is asked only about the time before it started and after it died.

**Exactly once.** The right to start an attempt is one file, renamed once (supervisor/records.py); so whatever becomes
of a submission, at most one job begins, and an attempt that was given up is begun by none.
"""

from __future__ import annotations

import json
import os
import secrets as random
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from lfdash.files import look_json, look_mark, write_bytes_atomic, write_text_atomic
from lfdash.jobs.kinds import named
from lfdash.launchers import folder
from lfdash.launchers.asking import Asking, CallError
from lfdash.launchers.base import Launched, Level, MachineIdentity
from lfdash.launchers.local import has_begun, try_lock
from lfdash.launchers.slurm_script import supervisor_files, supervisor_folder, there, unfit
from lfdash.launchers.watching import JOB, SIGNED, J, JobWatcher, P, S, Watched, signed_words
from lfdash.launchers.wishes import leave_wish
from lfdash.outcomes import Refused, refused_by
from lfdash.runs.paths import AttemptPaths, RunPaths
from lfdash.runs.plan import LaunchPlan
from lfdash.runs.record import Handle, RunRecord, read_exit
from lfdash.supervisor import failpoints, mask
from lfdash.supervisor.records import give_up, is_given_up
from lfdash.supervisor.remote import burn_sealed, seal
from lfdash.targets.allowed import sign
from lfdash.targets.target import Target

BEAT_S = 5.0  # between two beats of a supervisor
MADE = "made"  # in spec.json: which submission has made the attempt's folder
HAND_OVER_S = 10.0  # after which a scheduler that does not take a job, or does not tell whether it did, is silent

Ask = Callable[[str], "Target | Refused"]


class ScheduledLauncher(JobWatcher[J, S, P]):
    """Starts runs as jobs of a cluster. name: its row in the records, KIND:TARGET. target: looks the target up when it
    is needed; runs that go on need none, since their folders tell which cluster they are on.

    J: its jobs. S: what it says of all. P: what tells a cluster from others.
    """

    local = False
    kind: str  # of target
    file: str  # in the run's folder: what the scheduler is given

    def __init__(
        self, name: str, target: Ask | None, machine: MachineIdentity, jobs: Callable[[P], Asking[S]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(machine, jobs, clock)
        self.name = name
        self._target = target or (lambda name: Refused("target_unknown", {"name": name, "file": ""}))

    # -- what is each scheduler's own --------------------------------------------------------------------

    @abstractmethod
    def script(self, plan: LaunchPlan, target: Target) -> str:
        """What the scheduler is given for a run: what is previewed. Pure."""

    @abstractmethod
    def spec(self, plan: LaunchPlan, target: Target, secrets: Mapping[str, str]) -> dict[str, Any]:
        """What spec.json says of an attempt (`supervised`, and by what its job is found)."""

    @abstractmethod
    def hand_over(self, handle: Handle, plan: LaunchPlan, target: Target, spec: Mapping[str, Any]) -> str:
        """Gives the job to the scheduler, once, whatever becomes of the answers; its number. CallError; `silent` where
        nobody knows whether it was taken."""

    def wake(self, handle: Handle, spec: Mapping[str, Any]) -> None:
        """Has a job's supervisor look for a wish soon, where that can be; it does within a second anyway."""

    def fits(self, plan: LaunchPlan, target: Target) -> Refused | None:
        """What else speaks against a submission."""
        return None

    # -- submitting -------------------------------------------------------------------------------------

    @property
    def target(self) -> Target | Refused:
        """The target as its row is now."""
        return self._target(self.name.partition(":")[2])

    def plan(self, plan: LaunchPlan) -> LaunchPlan:
        """The plan with what the scheduler is given. As it is where there is no such target: `submit` refuses it
        then."""
        target = self.target
        if isinstance(target, Refused):
            return plan
        return replace(plan, files={**plan.files, self.file: self.script(plan, target)}, script=self.file)

    def check(self, plan: LaunchPlan, record: RunRecord, target: Target) -> Refused | None:
        """What speaks against a submission, seen before anything is written."""
        if plan != self.plan(plan):
            return Refused("target_differs", {"name": target.name})
        if named(record.kind).serves:
            return Refused("target_serves", {"name": target.name})
        if target.nodes > 1 and not named(record.kind).trains:
            return Refused("target_nodes", {"name": target.name, "nodes": str(target.nodes)})
        odd = unfit(plan, target)
        return Refused("target_path", {"path": odd}) if odd is not None else self.fits(plan, target)

    def submit(self, plan: LaunchPlan, record: RunRecord, secrets: Mapping[str, str]) -> Launched | Refused:
        """Makes the run's folder, leaves the secrets in it, and gives the job to the scheduler.

        Refused: target_unknown, target_broken, target_differs (the target says something else now than when the plan
        was made), target_serves, target_nodes, target_path, scheduler_refused, scheduler_silent, exists, disk,
        readonly, start_failed, and what `fits` says. Then nothing is left behind, and no job begins.
        """
        target = self.target
        if isinstance(target, Refused):
            return target
        refused = self.check(plan, record, target)
        if refused is not None:
            return refused
        spec = self.signed(plan, self.spec(plan, target, secrets))
        paths = folder.make(plan, replace(record, launcher=self.name), self.machine, spec)
        if isinstance(paths, Refused):
            return paths
        handle = Handle(plan.run_id, plan.attempt, paths)
        return self._submit(handle, plan, target, spec, secrets) or Launched(handle)

    def signed(self, plan: LaunchPlan, spec: Mapping[str, Any]) -> dict[str, Any]:
        """What spec.json is to say, with the word that it was this user who submitted it, and which submission."""
        handle = Handle(plan.run_id, plan.attempt, RunPaths(Path(plan.cwd) / plan.output_dir))
        return {**spec, MADE: random.token_hex(8), SIGNED: sign(*signed_words(handle, self.names_of(handle, spec)))}

    def _submit(
        self, handle: Handle, plan: LaunchPlan, target: Target, spec: Mapping[str, Any], secrets: Mapping[str, str]
    ) -> Refused | None:
        """The rest, once the folder is there; takes it away when that fails. None: the run was submitted, be it by
        another dashboard, while this one did not get on."""
        control = handle.paths.attempt(plan.attempt)
        try:
            write_supervisor(Path(plan.cwd))
            try_lock(control.lock)
            if secrets:
                seal(str(control.root), secrets)
            failpoints.hit("scheduler.sealed")
            try:
                number = self.hand_over(handle, plan, target, spec)
            except CallError as error:
                code = "scheduler_silent" if error.silent else "scheduler_refused"
                return self.taken_back(handle, plan, spec, Refused(code, {"reason": str(error)}))
            failpoints.hit("scheduler.submitted")
            note_job(control, spec, number)
            failpoints.hit("scheduler.noted")
        except OSError as error:
            return self.taken_back(handle, plan, spec, refused_by(error, handle.paths.root))
        except Exception:  # nothing is left that looks like a run
            self.taken_back(handle, plan, spec, Refused("start_failed"))
            raise
        place = self.place_of(spec)
        self._watched[handle] = Watched(self._clock(), True, place, True)
        self.jobs(place).hurry()
        return None

    def taken_back(
        self, handle: Handle, plan: LaunchPlan, spec: Mapping[str, Any], refused: Refused
    ) -> Refused | None:
        """Takes the folder away; first the right to start, so that a job which comes all the same does nothing. None,
        and nothing is taken away, where the attempt has begun after all, or is another dashboard's by now: of that
        one which slept for long others think that it is not there."""
        control = handle.paths.attempt(handle.attempt)
        try:
            if look_mark(control.spec) is None:
                return refused
            if not is_made_by(control, spec) or not give_up(str(control.root)):
                return None
        except OSError:  # what cannot be seen is not taken away
            return refused
        folder.undo(handle.paths, plan)
        return refused

    def adopt(self, paths: RunPaths, record: RunRecord) -> Handle:
        """A handle: the files and the scheduler say how it does."""
        return Handle(record.run_id, record.last.number, paths)

    # -- stopping ---------------------------------------------------------------------------------------

    def stop(self, handle: Handle, level: Level) -> Refused | None:
        """Leaves the wish. A job that waits is canceled, and cannot begin any more; one that runs sees the wish. The
        scheduler is not waited for."""
        control = handle.paths.attempt(handle.attempt)
        try:
            if self._is_over(handle):
                return Refused("not_running")
            leave_wish(control, level)
            spec = look_json(control.spec)
            if not has_begun(control) and give_up(str(control.root)):
                burn_sealed(str(control.root))
                self._end(handle, spec)
            elif self.is_ours(handle, spec):
                self.wake(handle, spec)
        except OSError as error:
            return refused_by(error, control.root)
        failpoints.hit("scheduler.told")
        return None

    def _is_over(self, handle: Handle) -> bool:
        """Whether an attempt is over. One of which the scheduler does not tell is not: a wish can be left all the same.
        OSError when the folder cannot be read."""
        if read_exit(handle) is not None:
            return True
        control = handle.paths.attempt(handle.attempt)
        if is_given_up(str(control.root)) or not self._watching(handle).ours:
            return True
        try:
            return self.poll(handle).phase in ("ended", "lost")
        except OSError:
            return False


def supervised(plan: LaunchPlan, target: Target, ticket: str, secrets: Mapping[str, str]) -> dict[str, Any]:
    """What spec.json says of an attempt that a node starts: paths as they are there, and what the supervisor does
    beside. Its console is named from the attempt's folder. ticket: of this submission."""
    return {
        "cwd": there(plan, target, ""), "console": os.path.join("..", "..", "console.log"), "beat": BEAT_S,
        "ticket": ticket, "sealed": sorted(secrets), "secrets": mask.names(os.environ, plan.secrets),
    }


def is_made_by(control: AttemptPaths, spec: Mapping[str, Any]) -> bool:
    """Whether an attempt's folder is the one that a submission has made. OSError."""
    return bool(look_json(control.spec).get(MADE) == spec[MADE])


def note_job(control: AttemptPaths, spec: Mapping[str, Any], number: str) -> None:
    """Writes down the number of an attempt's job, where it is that submission's; it is found by what its folder says
    without it, too."""
    with suppress(OSError):
        if is_made_by(control, spec):
            write_text_atomic(control.root / JOB, json.dumps({"id": number}) + "\n")


def write_supervisor(workspace: Path) -> None:
    """Puts the supervisor into the workspace, where it is not there yet: whole, or not at all. What else lies there is
    taken away: a workspace may be somebody else's, and Python prefers a compiled module to its text. OSError."""
    home, files = workspace / supervisor_folder(), supervisor_files()
    for name, content in files.items():
        path = home / name
        if look_mark(path) is None or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes_atomic(path, content)
    kept = {home / name for name in files}
    for path in sorted(home.rglob("*"), reverse=True):
        if path.is_symlink() or (path.is_file() and path not in kept):
            path.unlink(missing_ok=True)
        elif path.name == "__pycache__":
            with suppress(OSError):  # a node has just written into it
                path.rmdir()
