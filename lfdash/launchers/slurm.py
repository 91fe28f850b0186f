"""Runs on a cluster, by Slurm's own programs. The files of the run's folder tell how it does, as on this machine: the
supervisor is the job. Slurm is asked only about the time before it started and after it died.

**Exactly once.** The right to start an attempt is one file, renamed once (supervisor/records.py); so whatever becomes
of a submission, at most one job begins, and an attempt that was given up is begun by none. A job carries the run's id
and attempt in its name, and in its comment and environment a ticket of this submission: by these it is found when this
process ended before it could write its number down.
"""

from __future__ import annotations

import json
import os
import re
import secrets as random
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import yaml

from lfdash.files import look_json, look_mark, real_number, write_bytes_atomic, write_text_atomic
from lfdash.jobs.kinds import named
from lfdash.launchers import folder
from lfdash.launchers.asking import CallError
from lfdash.launchers.base import THIS, Interruption, Launched, Level, MachineIdentity
from lfdash.launchers.local import has_begun, never_started, try_lock
from lfdash.launchers.pulse import Pulse, Pulses
from lfdash.launchers.slurm_accounts import Account
from lfdash.launchers.slurm_calls import Job, installed
from lfdash.launchers.slurm_jobs import OVER, PENDING, SlurmJobs, Snapshot, jobs_of
from lfdash.launchers.slurm_script import (
    FILE,
    batch_script,
    job_name,
    supervisor_files,
    supervisor_folder,
    there,
    unfit,
)
from lfdash.launchers.wishes import leave_wish
from lfdash.outcomes import Refused, refused_by
from lfdash.runs.paths import AttemptPaths, RunPaths, belongs
from lfdash.runs.plan import ARGS_FILE, LaunchPlan
from lfdash.runs.record import ELSEWHERE_UNSEEN, Exit, Handle, RunRecord, Scheduled, Status, exit_in, read_exit
from lfdash.supervisor import failpoints, mask
from lfdash.supervisor.records import give_up, is_given_up
from lfdash.supervisor.remote import TICKET, burn_sealed, seal
from lfdash.targets.target import Target

NAME = "slurm"
BEAT_S = 5.0  # between two beats of a supervisor
CHECKPOINT = re.compile(r"checkpoint-(\d+)/?$")
SUBMIT_S = 60.0  # in which a submission is over, one way or the other
SETTLE_S = 5.0  # for files to be seen that were written right before a job ended
KILL_S = 15.0  # after a wish to kill, until the job is canceled
JOB = "job.json"  # in the attempt's folder: the number that Slurm gave it
ACCOUNT = "account.json"  # in it: what the accounting says of it
LAST = "scheduler.json"  # in it: what Slurm said last of one whose supervisor wrote no end

INTERRUPTED: Mapping[str, Literal["time_limit", "preempted"]] = {"TIMEOUT": "time_limit", "PREEMPTED": "preempted"}

Ask = Callable[[str], "Target | Refused"]


@dataclass(frozen=True)
class Signs:
    """What was seen of an attempt. spec: spec.json. job: what Slurm says of its job, None when it knows none. asked:
    whether Slurm has answered since this attempt is watched. begun: whether a supervisor has used the right to start.
    """

    handle: Handle
    control: AttemptPaths
    spec: Mapping[str, Any]
    wish: str | None
    begun: bool
    pulse: Pulse
    job: Job | None
    asked: bool


@dataclass
class Watched:
    """What this process remembers of an attempt, by its monotonic clock. since: of when it is watched. over: when its
    job was first seen over, or gone. kill: when a wish to kill was first seen. known: the last answer about one whose
    job goes on, behind what it was made of: Slurm's answer and the mark of the attempt's folder. ours: whether its job
    is this folder's, and not that of the folder which this one is a copy of. conf: of its cluster."""

    since: float
    ours: bool
    conf: str
    over: float | None = None
    kill: float | None = None
    known: tuple[Snapshot, object, Status] | None = None


class SlurmLauncher:
    """Starts runs as jobs of a cluster. name: its row in the records, `slurm:TARGET`. target: looks the target up when
    it is needed; runs that go on need none, since their folders tell which cluster they are on."""

    local = False

    def __init__(
        self, name: str = NAME, target: Ask | None = None, machine: MachineIdentity = THIS,
        jobs: Callable[[str], SlurmJobs] = jobs_of, clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.machine = machine
        self._target = target or (lambda name: Refused("target_unknown", {"name": name, "file": ""}))
        self._jobs_of = jobs
        self._clock = clock
        self._jobs: dict[str, SlurmJobs] = {}
        self._pulses = Pulses(clock)
        self._watched: dict[Handle, Watched] = {}
        self._notes: dict[Path, str] = {}  # to be written by `reap`

    @property
    def target(self) -> Target | Refused:
        """The target as its row is now."""
        return self._target(self.name.partition(":")[2])

    def jobs(self, conf: str) -> SlurmJobs:
        """Who asks a cluster."""
        if conf not in self._jobs:
            self._jobs[conf] = self._jobs_of(conf)
        return self._jobs[conf]

    # -- submitting -------------------------------------------------------------------------------------

    def plan(self, plan: LaunchPlan) -> LaunchPlan:
        """The plan with its batch script. As it is where there is no such target: `submit` refuses it then."""
        target = self.target
        if isinstance(target, Refused):
            return plan
        return replace(plan, files={**plan.files, FILE: batch_script(plan, target)}, script=FILE)

    def submit(self, plan: LaunchPlan, record: RunRecord, secrets: Mapping[str, str]) -> Launched | Refused:
        """Makes the run's folder, leaves the secrets in it, and gives its script to sbatch.

        Refused: target_unknown, target_broken, target_differs (the target says something else now than when the plan
        was made), target_serves, target_nodes, target_path, scheduler_missing, scheduler_refused, scheduler_silent,
        exists, disk, readonly, start_failed. Then nothing is left behind, and no job begins.
        """
        target = self.target
        refused = target if isinstance(target, Refused) else check(plan, record, target)
        if refused is None and plan != self.plan(plan):
            refused = Refused("target_differs", {"name": self.name.partition(":")[2]})
        if refused is not None or isinstance(target, Refused):
            return refused or Refused("target_unknown")
        ticket = random.token_hex(8)
        spec = spec_of(plan, target, ticket, secrets)
        paths = folder.make(plan, replace(record, launcher=self.name), self.machine, spec)
        if isinstance(paths, Refused):
            return paths
        handle = Handle(plan.run_id, plan.attempt, paths)
        refused = self._submit(handle, plan, target, ticket, secrets)
        return refused or Launched(handle)

    def _submit(
        self, handle: Handle, plan: LaunchPlan, target: Target, ticket: str, secrets: Mapping[str, str]
    ) -> Refused | None:
        """The rest, once the folder is there; takes it away when that fails."""
        control = handle.paths.attempt(plan.attempt)
        try:
            write_supervisor(Path(plan.cwd))
            try_lock(control.lock)
            if secrets:
                seal(str(control.root), secrets)
            failpoints.hit("slurm.sealed")
            jobs = self.jobs(target.slurm_conf)
            try:
                number = jobs.calls.submit(str(handle.paths.root / FILE), ticket, {TICKET: ticket})
            except CallError as error:
                number = self._look_for(jobs, handle, ticket) if error.silent else ""
                if not number:
                    code = "scheduler_silent" if error.silent else "scheduler_refused"
                    return self._taken_back(handle, plan, Refused(code, {"reason": str(error)}))
            failpoints.hit("slurm.submitted")
            with suppress(OSError):  # it is found by its name all the same
                write_text_atomic(control.root / JOB, json.dumps({"id": number}) + "\n")
            failpoints.hit("slurm.noted")
        except OSError as error:
            return self._taken_back(handle, plan, refused_by(error, handle.paths.root))
        self._watched[handle] = Watched(self._clock(), True, target.slurm_conf)
        jobs.hurry()
        return None

    def _look_for(self, jobs: SlurmJobs, handle: Handle, ticket: str) -> str:
        """The number of a job of which nobody knows whether it was taken; "" when there is none, or nobody tells."""
        try:
            found = Snapshot.of(self._clock(), jobs.calls.jobs())
        except OSError:
            return ""
        job = found.find("", job_name(handle.run_id, handle.attempt), ticket)
        return job.id if job is not None else ""

    def _taken_back(self, handle: Handle, plan: LaunchPlan, refused: Refused) -> Refused:
        """Takes the folder away; first the right to start, so that a job which comes all the same does nothing."""
        with suppress(OSError):
            give_up(str(handle.paths.attempt(handle.attempt).root))
        folder.undo(handle.paths, plan)
        return refused

    def adopt(self, paths: RunPaths, record: RunRecord) -> Handle:
        """A handle: the files and Slurm say how it does."""
        return Handle(record.run_id, record.last.number, paths)

    # -- watching ---------------------------------------------------------------------------------------

    def poll(self, handle: Handle) -> Status:
        """Order of truth: exit.json, the heartbeat, what Slurm says. OSError when Slurm is needed and does not answer:
        nothing is over, or was never begun, without evidence."""
        watched = self._watching(handle)
        control = handle.paths.attempt(handle.attempt)
        if not watched.ours:
            return self._of_a_copy(handle, control)
        snapshot = self.jobs(watched.conf).look()
        # every change of an attempt's state renames a file in its folder
        mark = look_mark(control.root)
        known = watched.known
        if known is not None and known[0] is snapshot and known[1] == mark:
            return self._with_time(known[2], control) if known[2].phase == "running" else known[2]
        status = self._poll(handle, watched, control, snapshot)
        alive = status.scheduled is not None and status.scheduled.word not in OVER
        watched.known = (snapshot, mark, status) if alive and snapshot is not None else None
        return status

    def _watching(self, handle: Handle) -> Watched:
        """What is remembered of an attempt. OSError when its folder cannot be read."""
        if handle not in self._watched:
            conf = conf_of(look_json(handle.paths.attempt(handle.attempt).spec))
            self._watched[handle] = Watched(self._clock(), belongs(handle.paths, handle.attempt), conf)
        return self._watched[handle]

    def _of_a_copy(self, handle: Handle, control: AttemptPaths) -> Status:
        """The status of an attempt in a folder that was copied: no job is its own, whatever goes on in the other."""
        wish, ended = control.read_wish(), read_exit(handle)
        return Status("lost", None, wish, why="gone") if ended is None else Status("ended", ended, wish, ended.started)

    def _with_time(self, status: Status, control: AttemptPaths) -> Status:
        return replace(status, elapsed=self._pulses.look(control).elapsed)

    def _poll(
        self, handle: Handle, watched: Watched, control: AttemptPaths, snapshot: Snapshot | None
    ) -> Status:
        spec = look_json(control.spec)
        wish = control.read_wish()
        ended = read_exit(handle)
        if ended is not None:
            return Status("ended", ended, wish, ended.started)
        asked = snapshot is not None and snapshot.began > watched.since
        number, name, ticket = self._identity(handle, control, spec)
        job = snapshot.find(number, name, ticket) if snapshot is not None else None
        pulse = self._pulses.look(control)
        begun = has_begun(control)
        if asked and snapshot is not None and not begun and snapshot.left_array(number):
            job = Job(number, "CANCELLED")
        waits = False
        if asked and job is None and not pulse.beats:
            job, waits = self._accounted(watched.conf, number, name)
        signs = Signs(handle, control, spec, wish, begun, pulse, job, asked)
        over = (job.word in OVER) if job is not None else asked and not waits
        watched.over = (watched.over or self._clock()) if over else None
        return self._begun(signs, watched) if begun else self._not_begun(signs, watched)

    def _accounted(self, conf: str, number: str, name: str) -> tuple[Job | None, bool]:
        """What accounting says of a job that squeue does not know (any more), where there is accounting; whether it may
        be told yet."""
        accounts = self.jobs(conf).accounts
        found = accounts.look(number, account_name(number, name))
        if found is not None and found.word in OVER:
            return Job(number, found.word), False
        return None, accounts.waits(number)

    def account(self, handle: Handle) -> Account | None:
        """What accounting says of the job of an attempt that is over; None where it says nothing, or not yet. Kept in
        the attempt's folder. OSError when that cannot be read."""
        control = handle.paths.attempt(handle.attempt)
        kept = look_json(control.root / ACCOUNT)
        if kept.get("word"):
            seconds, memory = real_number(kept.get("seconds")), real_number(kept.get("max_rss"))
            return Account(str(kept["word"]), "", None if seconds is None else int(seconds),
                           None if memory is None else int(memory))
        spec = look_json(control.spec)
        number, name, _ = self._identity(handle, control, spec)
        found = self.jobs(conf_of(spec)).accounts.look(number, account_name(number, name))
        if found is not None and found.word in OVER:
            told = {"word": found.word, "seconds": found.seconds, "max_rss": found.max_rss}
            self._notes[control.root / ACCOUNT] = json.dumps(told) + "\n"
        return found

    def _identity(self, handle: Handle, control: AttemptPaths, spec: Mapping[str, Any]) -> tuple[str, str, str]:
        """Number, name and ticket of an attempt's job."""
        number, told = look_json(control.root / JOB).get("id"), spec.get("slurm")
        name = told.get("name") if isinstance(told, dict) else None
        return str(number or ""), str(name or job_name(handle.run_id, handle.attempt)), str(spec.get("ticket"))

    def _not_begun(self, signs: Signs, watched: Watched) -> Status:
        """The status of an attempt whose right to start nobody has used."""
        handle, job, wish = signs.handle, signs.job, signs.wish
        if is_given_up(str(signs.control.root)):
            if job is not None and job.word not in OVER:  # it would do nothing, but somebody waits for its place
                self._cancel(signs)
            ended = Exit(handle.run_id, handle.attempt, None, None, (wish,) if wish else ())
            return Status("ended", ended, wish, unused=wish is None)
        if job is not None and job.word not in OVER:
            return Status("pending" if job.word in PENDING else "starting", None, wish, scheduled=scheduled(job))
        if job is None and self._is_young(signs, watched) and not (
            signs.asked and look_mark(signs.control.root / JOB) is not None
        ):
            return Status("starting", None, wish)  # it was, or is just being, submitted
        if job is None and not signs.asked:
            raise self._unseen(signs.spec)
        if watched.over is None or self._clock() - watched.over < SETTLE_S:
            return Status("starting", None, wish, scheduled=scheduled(job))
        return self._never(signs)

    def _never(self, signs: Signs) -> Status:
        """The end of an attempt whose job is over, or not there, and has started nothing."""
        handle, job = signs.handle, signs.job
        said = never_started(handle, signs.control).error
        if job is None:
            said = said or "Slurm knows no such job (any more), and nothing of it was started"
            return Status("ended", Exit(handle.run_id, handle.attempt, None, said), signs.wish, unused=True)
        canceled = job.word == "CANCELLED"
        ended = Exit(
            handle.run_id, handle.attempt, None, words(job, said), (signs.wish,) if signs.wish else (),
            by="signal" if canceled and not signs.wish else None,
        )
        # one that somebody canceled is not to be started again by our queue
        return Status("ended", ended, signs.wish, unused=not canceled)

    def _begun(self, signs: Signs, watched: Watched) -> Status:
        """The status of an attempt that was begun, and has written no end."""
        control, job, wish = signs.control, signs.job, signs.wish
        child = look_json(control.child)
        started = real_number(child.get("started"))
        live = job is not None and job.word not in OVER
        # an answer from before it began says nothing of it
        told = scheduled(job) if job is not None and job.word not in PENDING else None
        if wish == "kill" and live:
            watched.kill = watched.kill or self._clock()
            if self._clock() - watched.kill > KILL_S:  # its supervisor does not obey, or is not there
                self._cancel(signs)
        if live or signs.pulse.beats:
            status = Status("running", None, wish, started, signs.pulse.elapsed, scheduled=told)
            return status if child else replace(status, phase="starting")
        if job is None and not signs.asked and not self._is_young(signs, watched):
            raise self._unseen(signs.spec)
        settled = watched.over is not None and self._clock() - watched.over > SETTLE_S
        if not settled or not signs.pulse.quiet:
            return Status("running", None, wish, started, signs.pulse.elapsed, scheduled=told)
        ended = read_exit(signs.handle) or exit_in(signs.handle, control.reserve)
        if ended is not None:
            return Status("ended", ended, wish, ended.started)
        return self._died(signs, started)

    def _died(self, signs: Signs, started: float | None) -> Status:
        """The end of an attempt whose supervisor wrote none: by what Slurm says of its job, now or before."""
        handle, wish = signs.handle, signs.wish
        last = signs.control.root / LAST
        if signs.job is not None:
            word, reason = signs.job.word, signs.job.reason
            self._notes[last] = json.dumps({"word": word, "reason": reason}) + "\n"
        else:
            told = look_json(last)
            word, reason = str(told.get("word") or ""), str(told.get("reason") or "")
        if not word:
            return Status("lost", None, wish, started, why="gone")
        job = Job("", word, reason)
        canceled = word == "CANCELLED"
        ended = Exit(
            handle.run_id, handle.attempt, None, words(job, None), (wish,) if wish and canceled else (),
            started=started, by="signal" if canceled and not wish else None,
        )
        return Status("ended", ended, wish, started)

    def _is_young(self, signs: Signs, watched: Watched) -> bool:
        """Whether the attempt was made a moment ago. By this machine's clock that nobody sets, where it was made here;
        else by how long it is watched."""
        made, boot = real_number(signs.spec.get("clock")), signs.spec.get("boot_id")
        if made is not None and boot and boot == self.machine.boot_id():
            return self.machine.clock() - made < SUBMIT_S
        return self._clock() - watched.since < SUBMIT_S

    def _unseen(self, spec: Mapping[str, Any]) -> OSError:
        """What is said where only Slurm could tell, and does not."""
        why = self.jobs(conf_of(spec)).failure or "it was just asked"
        return OSError(ELSEWHERE_UNSEEN, f"Slurm has not answered: {why}")

    # -- stopping ---------------------------------------------------------------------------------------

    def stop(self, handle: Handle, level: Level) -> Refused | None:
        """Leaves the wish. A job that waits is canceled, and cannot begin any more; one that runs is told to look for
        the wish. Slurm is not waited for."""
        control = handle.paths.attempt(handle.attempt)
        try:
            if self._is_over(handle):
                return Refused("not_running")
            leave_wish(control, level)
            spec = look_json(control.spec)
            jobs, identity = self.jobs(conf_of(spec)), self._identity(handle, control, spec)
            if not has_begun(control) and give_up(str(control.root)):
                burn_sealed(str(control.root))
                jobs.cancel(*identity)
            else:
                jobs.wake(*identity)
        except OSError as error:
            return refused_by(error, control.root)
        failpoints.hit("slurm.told")
        return None

    def _is_over(self, handle: Handle) -> bool:
        """Whether an attempt is over. One of which Slurm does not tell is not: a wish can be left all the same. OSError
        when the folder cannot be read."""
        if read_exit(handle) is not None:
            return True
        control = handle.paths.attempt(handle.attempt)
        if is_given_up(str(control.root)) or not self._watching(handle).ours:
            return True
        try:
            return self.poll(handle).phase in ("ended", "lost")
        except OSError:
            return False

    def interruption(self, handle: Handle) -> Interruption:
        """Whether Slurm has ended an attempt that is over: by its time limit, or for another job."""
        control = handle.paths.attempt(handle.attempt)
        spec, ended = look_json(control.spec), read_exit(handle)
        told = spec.get("slurm")
        most, step = (told.get("resume"), told.get("step")) if isinstance(told, dict) else (0, 0)
        if not isinstance(most, int) or not isinstance(step, int) or most < 1 or control.read_wish() is not None:
            return Interruption()
        if ended is not None and (ended.by is None or ended.by == "time_limit"):
            return Interruption("time_limit" if ended.by else "", most, step)
        word = str(look_json(control.root / LAST).get("word") or "")
        if not word:
            snapshot = self.jobs(conf_of(spec)).look()
            if snapshot is None:
                return Interruption("unknown", most, step)
            job = snapshot.find(*self._identity(handle, control, spec))
            if job is not None and job.word not in OVER:  # it is about to be
                return Interruption("unknown", most, step)
            if job is None:
                number, name, _ = self._identity(handle, control, spec)
                job, waits = self._accounted(conf_of(spec), number, name)
                if job is None:
                    return Interruption("unknown" if waits else "", most, step)
            word = job.word
            self._notes[control.root / LAST] = json.dumps({"word": word, "reason": job.reason}) + "\n"
        return Interruption(INTERRUPTED.get(word, ""), most, step)

    def _cancel(self, signs: Signs) -> None:
        self.jobs(conf_of(signs.spec)).cancel(*self._identity(signs.handle, signs.control, signs.spec))

    def give_up(self, handle: Handle) -> bool:
        """Takes an attempt's right to start away; its job, if there is one, is canceled at a later look."""
        control = handle.paths.attempt(handle.attempt)
        never = give_up(str(control.root))
        if never:
            burn_sealed(str(control.root))
        return never

    def reap(self) -> None:
        """Writes down what Slurm said of runs that wrote no end: it forgets a job some minutes later."""
        notes, self._notes = self._notes, {}
        for path, text in notes.items():
            with suppress(OSError):  # the folder may be gone, the disk full: it is tried again while Slurm remembers
                if look_mark(path) is None:
                    write_text_atomic(path, text)

    def release(self, handle: Handle, seconds: float) -> None:
        """Forgets a run that is over."""
        self._watched.pop(handle, None)
        self._pulses.forget(handle.paths.attempt(handle.attempt))


def check(plan: LaunchPlan, record: RunRecord, target: Target) -> Refused | None:
    """What speaks against a submission, seen before anything is written."""
    if named(record.kind).serves:
        return Refused("target_serves", {"name": target.name})
    if target.nodes > 1 and not named(record.kind).trains:
        return Refused("target_nodes", {"name": target.name, "nodes": str(target.nodes)})
    odd = unfit(plan, target)
    if odd is not None:
        return Refused("target_path", {"path": odd})
    return None if installed() else Refused("scheduler_missing", {"program": "sbatch"})


def spec_of(
    plan: LaunchPlan, target: Target, ticket: str, secrets: Mapping[str, str], name: str = ""
) -> dict[str, Any]:
    """What spec.json says of an attempt that a node starts: paths as they are there, and what the supervisor does
    beside. Its console is named from the attempt's folder. name: of its job where that is one of an array."""
    return {
        "cwd": there(plan, target, ""), "console": os.path.join("..", "..", "console.log"), "beat": BEAT_S,
        "ticket": ticket, "sealed": sorted(secrets), "secrets": mask.names(os.environ, plan.secrets),
        "slurm": {
            "target": target.name, "conf": target.slurm_conf, **({"name": name} if name else {}),
            "resume": target.resume, "step": resumed_step(plan),
        },
    }


def account_name(number: str, name: str) -> str:
    """What accounting calls a job: those of an array have the array's name."""
    return name.rpartition("_")[0] if "_" in number else name


def resumed_step(plan: LaunchPlan) -> int:
    """The step of the checkpoint that a plan resumes; 0 where it begins anew."""
    args = yaml.safe_load(plan.files.get(ARGS_FILE, "")) or {}
    found = CHECKPOINT.search(str(args.get("resume_from_checkpoint") or "")) if isinstance(args, dict) else None
    return int(found[1]) if found else 0


def conf_of(spec: Mapping[str, Any]) -> str:
    """The slurm.conf of the cluster that an attempt was given to."""
    told = spec.get("slurm")
    conf = told.get("conf") if isinstance(told, dict) else None
    return conf if isinstance(conf, str) else ""


def write_supervisor(workspace: Path) -> None:
    """Puts the supervisor into the workspace, where it is not there yet: whole, or not at all. OSError."""
    home = workspace / supervisor_folder()
    for name, content in supervisor_files().items():
        path = home / name
        if look_mark(path) is None or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes_atomic(path, content)


def scheduled(job: Job | None) -> Scheduled | None:
    """What Slurm says of a job, for the page."""
    if job is None:
        return None
    return Scheduled(NAME, job.id, job.word, job.reason, job.starts if job.word in PENDING else None, job.nodes)


def words(job: Job, said: str | None) -> str:
    """Why a job is over, in Slurm's own words and the last ones of its log."""
    reason = f" ({job.reason})" if job.reason else ""
    return f"Slurm: {job.word}{reason}" + (f": {said}" if said else "")
