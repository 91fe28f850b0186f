"""Runs on a cluster, by Slurm's own programs.

A job carries the run's id and attempt in its name, and in its comment and environment a ticket of this submission: by
these it is found when this process ended before it could write its number down.
"""

from __future__ import annotations

import json
import re
import secrets as random
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal, cast

import yaml

from lfdash.files import look_json, look_mark, real_number
from lfdash.launchers import scheduled
from lfdash.launchers.asking import CallError
from lfdash.launchers.base import THIS, Interruption, MachineIdentity
from lfdash.launchers.local import never_started
from lfdash.launchers.scheduled import Ask, ScheduledLauncher, supervised
from lfdash.launchers.slurm_accounts import Account
from lfdash.launchers.slurm_calls import JOB_ID, Job, installed
from lfdash.launchers.slurm_jobs import OVER, PENDING, SlurmJobs, Snapshot, StrangeJobs, jobs_of
from lfdash.launchers.slurm_script import FILE, batch_script, job_name
from lfdash.launchers.slurm_usage import Usage
from lfdash.launchers.watching import JOB, LAST, Signs, Watched
from lfdash.outcomes import Refused
from lfdash.runs.paths import AttemptPaths
from lfdash.runs.plan import ARGS_FILE, LaunchPlan
from lfdash.runs.record import Exit, Handle, Scheduled, Status, read_exit
from lfdash.supervisor.remote import TICKET
from lfdash.targets.allowed import allow, is_allowed
from lfdash.targets.target import Target

NAME = "slurm"
CHECKPOINT = re.compile(r"checkpoint-(\d+)/?$")
ACCOUNT = "account.json"  # in the attempt's folder: what the accounting says of its job

# words of a job that nobody wanted to end: the run has failed, even where its supervisor could save
BROKEN = ("BOOT_FAIL", "NODE_FAIL", "OUT_OF_MEMORY")
ENDS_S = 30.0  # for a job to be over for Slurm, too, after its supervisor has written its end
STRANGE = "\0"  # before a slurm.conf that this user has not used; no path has it

INTERRUPTED: Mapping[str, Literal["time_limit", "preempted"]] = {"TIMEOUT": "time_limit", "PREEMPTED": "preempted"}


class SlurmLauncher(ScheduledLauncher[Job, Snapshot, str]):
    """Starts runs as jobs of a cluster, which its slurm.conf tells from others."""

    kind = NAME
    called = "Slurm"
    file = FILE
    pending = PENDING
    over = OVER
    canceled = "CANCELLED"

    def __init__(
        self, name: str = NAME, target: Ask | None = None, machine: MachineIdentity = THIS,
        jobs: Callable[[str], SlurmJobs] = jobs_of, clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(name, target, machine, jobs, clock)

    def jobs(self, place: str) -> SlurmJobs:
        """Who asks a cluster; one that nobody may ask says so."""
        conf = place.removeprefix(STRANGE)
        if conf != place and not is_allowed("slurm.conf", conf):
            return StrangeJobs(conf)
        return cast(SlurmJobs, super().jobs(conf))

    def script(self, plan: LaunchPlan, target: Target) -> str:
        """The batch script."""
        return batch_script(plan, target)

    def spec(self, plan: LaunchPlan, target: Target, secrets: Mapping[str, str]) -> dict[str, Any]:
        """See the base."""
        return spec_of(plan, target, random.token_hex(8), secrets)

    def place_of(self, spec: Mapping[str, Any]) -> str:
        """The slurm.conf of the cluster that an attempt was given to, marked where this user has not used it: the
        folder may be somebody else's, and slurm.conf names the plugins that Slurm's programs load."""
        told = spec.get("slurm")
        conf = told.get("conf") if isinstance(told, dict) else None
        if not isinstance(conf, str) or not conf:
            return ""
        return conf if is_allowed("slurm.conf", conf) else STRANGE + conf

    def fits(self, plan: LaunchPlan, target: Target) -> Refused | None:
        """scheduler_missing: there is no sbatch here."""
        return None if installed() else Refused("scheduler_missing", {"program": "sbatch"})

    def hand_over(self, handle: Handle, plan: LaunchPlan, target: Target, spec: Mapping[str, Any]) -> str:
        """See the base."""
        if target.slurm_conf:
            allow("slurm.conf", target.slurm_conf)
        jobs, ticket = self.jobs(target.slurm_conf), str(spec["ticket"])
        script = str(handle.paths.root / FILE)
        try:
            return jobs.calls.submit(script, ticket, {TICKET: ticket}, scheduled.HAND_OVER_S)
        except CallError as error:
            number = self._look_for(jobs, handle, ticket) if error.silent else ""
            if number:
                return number
            if error.silent:  # it may come all the same: it would do nothing, but wait for a place
                jobs.cancel("", *self._names(handle, spec))
            raise

    def _look_for(self, jobs: SlurmJobs, handle: Handle, ticket: str) -> str:
        """The number of a job of which nobody knows whether it was taken; "" when there is none, or nobody tells."""
        try:
            found = Snapshot.of(self._clock(), jobs.calls.jobs(scheduled.HAND_OVER_S))
        except OSError:
            return ""
        job = found.find("", job_name(handle.run_id, handle.attempt), ticket)
        return job.id if job is not None else ""

    def find(
        self, signs: Signs[Job], watched: Watched[Snapshot, str], seen: Snapshot | None
    ) -> tuple[Job | None, bool]:
        """By its number, or its name and ticket; then by accounting, where there is one."""
        number, name, ticket = self._identity(signs.handle, signs.control, signs.spec)
        job = seen.find(number, name, ticket) if seen is not None else None
        if job is not None or seen is None or not signs.asked or signs.pulse.beats:
            return job, False
        job, waits = self._accounted(watched.place, number, name)
        left = job is None and not waits and not signs.begun and seen.left_array(number)
        # one that waited and was canceled is forgotten at once; one that ran and failed has said why
        if left and never_started(signs.handle, signs.control).error is None:
            job = Job(number, self.canceled)
        return job, waits

    def status_of(
        self, ended: Exit, handle: Handle, watched: Watched[Snapshot, str], seen: Snapshot | None, wish: str | None
    ) -> Status:
        """See the base. A supervisor that got a signal does not know whose: Slurm does, once it calls the job over."""
        if ended.by != "signal" or wish:
            return super().status_of(ended, handle, watched, seen, wish)
        control = handle.paths.attempt(handle.attempt)
        told = look_json(control.root / LAST)
        word, reason = str(told.get("word") or ""), str(told.get("reason") or "")
        job = None
        if not word and seen is not None:
            job = seen.find(*self._identity(handle, control, look_json(control.spec)))
        if job is not None and job.word not in OVER:
            watched.over = watched.over or self._clock()
            if self._clock() - watched.over < ENDS_S:
                return Status("running", None, wish, ended.started)
        elif job is not None:
            self._note(handle, job)
            word, reason = job.word, job.reason
        if word in BROKEN:
            said = self.words(Job("", word, reason), None)
            ended = replace(ended, by=None, stop=(), code=ended.code or None, error=ended.error or said)
        elif word in INTERRUPTED:
            ended = replace(ended, by=INTERRUPTED[word])
        return Status("ended", ended, wish, ended.started)

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
        found = self.jobs(self.place_of(spec)).accounts.look(number, account_name(number, name))
        if found is not None and found.word in OVER:
            told = {"word": found.word, "seconds": found.seconds, "max_rss": found.max_rss}
            self._notes[control.root / ACCOUNT] = json.dumps(told) + "\n"
        return found

    def usage(self, handle: Handle) -> Usage | None:
        """What the job of an attempt that goes on has used so far; None where nothing is known (yet). OSError when its
        folder cannot be read."""
        control = handle.paths.attempt(handle.attempt)
        spec = look_json(control.spec)
        number, _, _ = self._identity(handle, control, spec)
        jobs = self.jobs(self.place_of(spec))
        return jobs.usages.look(number) if number and not isinstance(jobs, StrangeJobs) else None

    def _identity(self, handle: Handle, control: AttemptPaths, spec: Mapping[str, Any]) -> tuple[str, str, str]:
        """Number, name and ticket of an attempt's job; "" for a number that nobody wrote down, or that is none."""
        number = look_json(control.root / JOB).get("id")
        known = number if isinstance(number, str) and JOB_ID.fullmatch(number) else ""
        return known, *self._names(handle, spec)

    def _names(self, handle: Handle, spec: Mapping[str, Any]) -> tuple[str, str]:
        """Name and ticket of an attempt's job."""
        told = spec.get("slurm")
        name = told.get("name") if isinstance(told, dict) else None
        return str(name or job_name(handle.run_id, handle.attempt)), str(spec.get("ticket"))

    def scheduled(self, job: Job) -> Scheduled:
        """See the base."""
        return Scheduled(NAME, job.id, job.word, job.reason, job.starts if job.word in PENDING else None, job.nodes)

    def names_of(self, handle: Handle, spec: Mapping[str, Any]) -> tuple[str, ...]:
        """Its name and ticket, on its cluster."""
        return NAME, self.place_of(spec).removeprefix(STRANGE), *self._names(handle, spec)

    def cancel(self, handle: Handle, spec: Mapping[str, Any]) -> None:
        """By scancel."""
        control = handle.paths.attempt(handle.attempt)
        self.jobs(self.place_of(spec)).cancel(*self._identity(handle, control, spec))

    def wake(self, handle: Handle, spec: Mapping[str, Any]) -> None:
        """By a signal."""
        control = handle.paths.attempt(handle.attempt)
        self.jobs(self.place_of(spec)).wake(*self._identity(handle, control, spec))

    def interruption(self, handle: Handle) -> Interruption:
        """Whether Slurm has ended an attempt that is over: by its time limit, or for another job."""
        control = handle.paths.attempt(handle.attempt)
        spec = look_json(control.spec)
        told = spec.get("slurm")
        most, step = (told.get("resume"), told.get("step")) if isinstance(told, dict) else (0, 0)
        if not isinstance(most, int) or not isinstance(step, int) or most < 1 or look_mark(control.stays) is not None:
            return Interruption()
        ended = read_exit(handle)
        # of several nodes the first supervisor leaves the wish for the others when Slurm tells it of the time limit
        if control.read_wish() is not None and (ended is None or ended.by != "time_limit"):
            return Interruption()
        ours = self.is_ours(handle, spec)
        return Interruption(self._why_ended(handle, ended, spec, ours), most, step, ours)

    def _why_ended(
        self, handle: Handle, ended: Exit | None, spec: Mapping[str, Any], ours: bool
    ) -> Literal["time_limit", "preempted", "unknown", ""]:
        """See `Interruption`. ours: whether Slurm is to be asked, where the folder does not tell."""
        control = handle.paths.attempt(handle.attempt)
        if ended is not None and (ended.by is None or ended.by == "time_limit"):
            return "time_limit" if ended.by else ""
        word = str(look_json(control.root / LAST).get("word") or "")
        if not word and ours:
            conf, names = self.place_of(spec), self._identity(handle, control, spec)
            snapshot = self.jobs(conf).look()
            if snapshot is None:
                return "unknown"
            job = snapshot.find(*names)
            if job is not None and job.word not in OVER:  # it is about to be
                return "unknown"
            if job is None:
                job, waits = self._accounted(conf, *names[:2])
                if job is None:
                    return "unknown" if waits else ""
            word = job.word
            self._notes[control.root / LAST] = json.dumps({"word": word, "reason": job.reason}) + "\n"
        return INTERRUPTED.get(word, "")


def spec_of(
    plan: LaunchPlan, target: Target, ticket: str, secrets: Mapping[str, str], name: str = ""
) -> dict[str, Any]:
    """What spec.json says of an attempt. name: of its job where that is one of an array."""
    return {
        **supervised(plan, target, ticket, secrets),
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
