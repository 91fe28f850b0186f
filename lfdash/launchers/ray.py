"""Runs on a Ray cluster, by its Jobs API. The files of the run's folder tell how it does, as on this machine: the
supervisor is the job's entry point. Ray is asked only about the time before it started and after it died.

**Exactly once.** A job's id is made of the run, its attempt and what it is to do, so Ray refuses a second one of the
same, also when nobody heard the answer to the first. And the right to start an attempt is one file, renamed once
(supervisor/records.py): an attempt that was given up is begun by no job.

**What Ray says is not all.** It goes on saying RUNNING of a job whose node is gone, and a head that was started anew
knows no job of before: an attempt that was begun is judged by its heart.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from lfdash.files import look_json, look_mark, real_number, write_text_atomic
from lfdash.jobs.kinds import named
from lfdash.launchers import folder
from lfdash.launchers.asking import CallError
from lfdash.launchers.base import THIS, Launched, Level, MachineIdentity
from lfdash.launchers.local import has_begun, never_started, try_lock
from lfdash.launchers.pulse import Pulse, Pulses
from lfdash.launchers.ray_calls import Calls, Job
from lfdash.launchers.ray_job import FILE, job_id, job_text, ticket_of
from lfdash.launchers.ray_jobs import OVER, PENDING, RayJobs, Snapshot, jobs_of
from lfdash.launchers.slurm import write_supervisor
from lfdash.launchers.slurm_script import there, unfit
from lfdash.launchers.wishes import leave_wish
from lfdash.outcomes import Refused, refused_by
from lfdash.runs.paths import AttemptPaths, RunPaths, belongs
from lfdash.runs.plan import LaunchPlan
from lfdash.runs.record import ELSEWHERE_UNSEEN, Exit, Handle, RunRecord, Scheduled, Status, exit_in, read_exit
from lfdash.supervisor import failpoints, mask
from lfdash.supervisor.records import give_up, is_given_up
from lfdash.supervisor.remote import burn_sealed, seal
from lfdash.targets.target import Target
from lfdash.targets.trust import allow_token, may_send_token

NAME = "ray"
BEAT_S = 5.0  # between two beats of a supervisor
SUBMIT_S = 60.0  # in which a submission is over, one way or the other
SETTLE_S = 5.0  # for files to be seen that were written right before a job ended
KILL_S = 15.0  # after a wish to kill, until Ray is asked to end the job
LOST_S = 60.0  # without a beat (those of pulse.DEAD_S not counted), after which nothing that Ray says helps
JOB = "job.json"  # in the attempt's folder: the id that Ray knows it by
LAST = "scheduler.json"  # in it: what Ray said last of one whose supervisor wrote no end

Ask = Callable[[str], "Target | Refused"]


@dataclass(frozen=True)
class Signs:
    """What was seen of an attempt. spec: spec.json. job: what Ray says of its job, None when it knows none. asked:
    whether Ray has answered since this attempt is watched. begun: whether a supervisor has used the right to start.
    """

    handle: Handle
    control: AttemptPaths
    spec: Mapping[str, Any]
    wish: str | None
    begun: bool
    pulse: Pulse
    job: Job | None
    asked: bool

    @property
    def live(self) -> bool:
        """Whether Ray says that its job goes on."""
        return self.job is not None and self.job.word not in OVER


@dataclass
class Watched:
    """What this process remembers of an attempt, by its monotonic clock. since: of when it is watched. over: when its
    job was first seen over, or gone. kill: when a wish to kill was first seen. quiet: since when its heart is known not
    to beat. known: the last answer about one whose job goes on, behind what it was made of: Ray's answer and the mark
    of the attempt's folder. ours: whether its job is this folder's, and not that of the folder which this one is a copy
    of. calls: of its cluster. job: its id there."""

    since: float
    ours: bool
    calls: Calls
    job: str
    over: float | None = None
    kill: float | None = None
    quiet: float | None = None
    known: tuple[Snapshot, object, Status] | None = None


class RayLauncher:
    """Starts runs as jobs of a Ray cluster. name: its row in the records, `ray:TARGET`. target: looks the target up
    when it is needed; runs that go on need none, since their folders tell which cluster they are on."""

    local = False

    def __init__(
        self, name: str = NAME, target: Ask | None = None, machine: MachineIdentity = THIS,
        jobs: Callable[[Calls], RayJobs] = jobs_of, clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.machine = machine
        self._target = target or (lambda name: Refused("target_unknown", {"name": name, "file": ""}))
        self._jobs_of = jobs
        self._clock = clock
        self._jobs: dict[Calls, RayJobs] = {}
        self._pulses = Pulses(clock)
        self._watched: dict[Handle, Watched] = {}
        self._notes: dict[Path, str] = {}  # to be written by `reap`

    @property
    def target(self) -> Target | Refused:
        """The target as its row is now."""
        return self._target(self.name.partition(":")[2])

    def jobs(self, calls: Calls) -> RayJobs:
        """Who asks a cluster."""
        if calls not in self._jobs:
            self._jobs[calls] = self._jobs_of(calls)
        return self._jobs[calls]

    # -- submitting -------------------------------------------------------------------------------------

    def plan(self, plan: LaunchPlan) -> LaunchPlan:
        """The plan with what Ray is sent. As it is where there is no such target: `submit` refuses it then."""
        target = self.target
        if isinstance(target, Refused):
            return plan
        return replace(plan, files={**plan.files, FILE: job_text(plan, target)}, script=FILE)

    def submit(self, plan: LaunchPlan, record: RunRecord, secrets: Mapping[str, str]) -> Launched | Refused:
        """Makes the run's folder, leaves the secrets in it, and gives the job to Ray.

        Refused: target_unknown, target_broken, target_differs (the target says something else now than when the plan
        was made), target_serves, target_nodes, target_path, ray_use_ray, scheduler_refused, scheduler_silent, exists,
        disk, readonly, start_failed. Then nothing is left behind, and no job begins.
        """
        target = self.target
        refused = target if isinstance(target, Refused) else check(plan, record, target)
        if refused is None and plan != self.plan(plan):
            refused = Refused("target_differs", {"name": self.name.partition(":")[2]})
        if refused is not None or isinstance(target, Refused):
            return refused or Refused("target_unknown")
        spec = spec_of(plan, target, secrets)
        paths = folder.make(plan, replace(record, launcher=self.name), self.machine, spec)
        if isinstance(paths, Refused):
            return paths
        handle = Handle(plan.run_id, plan.attempt, paths)
        return self._submit(handle, plan, target, secrets) or Launched(handle)

    def _submit(
        self, handle: Handle, plan: LaunchPlan, target: Target, secrets: Mapping[str, str]
    ) -> Refused | None:
        """The rest, once the folder is there; takes it away when that fails."""
        control = handle.paths.attempt(plan.attempt)
        calls, job = Calls(target.address, target.token_file), job_id(plan, target)
        try:
            write_supervisor(Path(plan.cwd))
            try_lock(control.lock)
            if secrets:
                seal(str(control.root), secrets)
            if target.token_file:
                allow_token(target.address, target.token_file)
            failpoints.hit("ray.sealed")
            jobs = self.jobs(calls)
            try:
                hand_over(jobs.calls, yaml.safe_load(plan.files[FILE]), job)
            except CallError as error:
                code = "scheduler_silent" if error.silent else "scheduler_refused"
                return self._taken_back(handle, plan, Refused(code, {"reason": str(error)}))
            failpoints.hit("ray.submitted")
            with suppress(OSError):  # spec.json has it, too: this one says that Ray took it
                write_text_atomic(control.root / JOB, json.dumps({"id": job}) + "\n")
            failpoints.hit("ray.noted")
        except OSError as error:
            return self._taken_back(handle, plan, refused_by(error, handle.paths.root))
        self._watched[handle] = Watched(self._clock(), True, calls, job)
        jobs.hurry()
        return None

    def _taken_back(self, handle: Handle, plan: LaunchPlan, refused: Refused) -> Refused:
        """Takes the folder away; first the right to start, so that a job which comes all the same does nothing."""
        with suppress(OSError):
            give_up(str(handle.paths.attempt(handle.attempt).root))
        folder.undo(handle.paths, plan)
        return refused

    def adopt(self, paths: RunPaths, record: RunRecord) -> Handle:
        """A handle: the files and Ray say how it does."""
        return Handle(record.run_id, record.last.number, paths)

    # -- watching ---------------------------------------------------------------------------------------

    def poll(self, handle: Handle) -> Status:
        """Order of truth: exit.json, the heartbeat, what Ray says. OSError when Ray is needed and does not answer:
        nothing is over, or was never begun, without evidence."""
        watched = self._watching(handle)
        control = handle.paths.attempt(handle.attempt)
        if not watched.ours:
            return self._of_a_copy(handle, control)
        snapshot = self.jobs(watched.calls).look()
        # every change of an attempt's state renames a file in its folder
        mark = look_mark(control.root)
        known = watched.known
        if known is not None and known[0] is snapshot and known[1] == mark:
            if known[2].phase != "running":
                return known[2]
            return replace(known[2], elapsed=self._pulses.look(control).elapsed)
        signs = self._signs(handle, watched, control, snapshot)
        if isinstance(signs, Status):
            return signs
        status = self._begun(signs, watched) if signs.begun else self._not_begun(signs, watched)
        alive = status.scheduled is not None and status.scheduled.word not in OVER
        watched.known = (snapshot, mark, status) if alive and snapshot is not None else None
        return status

    def _watching(self, handle: Handle) -> Watched:
        """What is remembered of an attempt. OSError when its folder cannot be read."""
        if handle not in self._watched:
            calls, job = told_by(look_json(handle.paths.attempt(handle.attempt).spec))
            self._watched[handle] = Watched(self._clock(), belongs(handle.paths, handle.attempt), calls, job)
        return self._watched[handle]

    def _of_a_copy(self, handle: Handle, control: AttemptPaths) -> Status:
        """The status of an attempt in a folder that was copied: no job is its own, whatever goes on in the other."""
        wish, ended = control.read_wish(), read_exit(handle)
        return Status("lost", None, wish, why="gone") if ended is None else Status("ended", ended, wish, ended.started)

    def _signs(
        self, handle: Handle, watched: Watched, control: AttemptPaths, snapshot: Snapshot | None
    ) -> Signs | Status:
        """What is seen of an attempt; its end, where that is written."""
        wish, ended = control.read_wish(), read_exit(handle)
        if ended is not None:
            return Status("ended", ended, wish, ended.started)
        asked = snapshot is not None and snapshot.began > watched.since
        job = snapshot.by_id.get(watched.job) if snapshot is not None else None
        pulse = self._pulses.look(control)
        over = (job.word in OVER) if job is not None else asked
        watched.over = (watched.over or self._clock()) if over else None
        watched.quiet = (watched.quiet or self._clock()) if pulse.quiet else None
        return Signs(handle, control, look_json(control.spec), wish, has_begun(control), pulse, job, asked)

    def _not_begun(self, signs: Signs, watched: Watched) -> Status:
        """The status of an attempt whose right to start nobody has used."""
        handle, job, wish = signs.handle, signs.job, signs.wish
        if is_given_up(str(signs.control.root)):
            if signs.live:  # it would do nothing, but somebody waits for its place
                self.jobs(watched.calls).stop(watched.job)
            ended = Exit(handle.run_id, handle.attempt, None, None, (wish,) if wish else ())
            return Status("ended", ended, wish, unused=wish is None)
        if job is not None and signs.live:
            return Status("pending" if job.word in PENDING else "starting", None, wish, scheduled=scheduled(job))
        if job is None and self._is_young(signs, watched) and not (
            signs.asked and look_mark(signs.control.root / JOB) is not None
        ):
            return Status("starting", None, wish)  # it was, or is just being, submitted
        if job is None and not signs.asked:
            raise self._unseen(watched)
        if watched.over is None or self._clock() - watched.over < SETTLE_S:
            return Status("starting", None, wish, scheduled=scheduled(job))
        return self._never(signs)

    def _never(self, signs: Signs) -> Status:
        """The end of an attempt whose job is over, or not there, and has started nothing."""
        handle, job = signs.handle, signs.job
        said = never_started(handle, signs.control).error
        if job is None:
            said = said or "Ray knows no such job (any more), and nothing of it was started"
            return Status("ended", Exit(handle.run_id, handle.attempt, None, said), signs.wish, unused=True)
        stopped = job.word == "STOPPED"
        ended = Exit(
            handle.run_id, handle.attempt, None, words(job, said), (signs.wish,) if signs.wish else (),
            by="signal" if stopped and not signs.wish else None,
        )
        # one that somebody stopped is not to be started again by our queue
        return Status("ended", ended, signs.wish, unused=not stopped)

    def _begun(self, signs: Signs, watched: Watched) -> Status:
        """The status of an attempt that was begun, and has written no end."""
        control, job, wish, pulse = signs.control, signs.job, signs.wish, signs.pulse
        child = look_json(control.child)
        started = real_number(child.get("started"))
        # an answer from before it began says nothing of it
        told = scheduled(job) if job is not None and job.word not in PENDING else None
        if wish == "kill" and signs.live:
            watched.kill = watched.kill or self._clock()
            if self._clock() - watched.kill > KILL_S:  # its supervisor does not obey, or is not there
                self.jobs(watched.calls).stop(watched.job)
        if watched.quiet is not None and self._clock() - watched.quiet > LOST_S and (signs.live or not signs.asked):
            return self._died(replace(signs, job=None), started)
        if signs.live or pulse.beats:
            status = Status("running", None, wish, started, pulse.elapsed, scheduled=told)
            return status if child else replace(status, phase="starting")
        if job is None and not signs.asked and not self._is_young(signs, watched):
            raise self._unseen(watched)
        settled = watched.over is not None and self._clock() - watched.over > SETTLE_S
        if not settled or not pulse.quiet:
            return Status("running", None, wish, started, pulse.elapsed, scheduled=told)
        ended = read_exit(signs.handle) or exit_in(signs.handle, control.reserve)
        if ended is not None:
            return Status("ended", ended, wish, ended.started)
        return self._died(signs, started)

    def _died(self, signs: Signs, started: float | None) -> Status:
        """The end of an attempt whose supervisor wrote none: by what Ray says of its job, now or before."""
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
        stopped, said = word == "STOPPED", words(Job("", word, reason), None)
        ended = Exit(
            handle.run_id, handle.attempt, None, said, (wish,) if wish and stopped else (),
            started=started, by="signal" if stopped and not wish else None,
        )
        return Status("ended", ended, wish, started)

    def _is_young(self, signs: Signs, watched: Watched) -> bool:
        """Whether the attempt was made a moment ago. By this machine's clock that nobody sets, where it was made here;
        else by how long it is watched."""
        made, boot = real_number(signs.spec.get("clock")), signs.spec.get("boot_id")
        if made is not None and boot and boot == self.machine.boot_id():
            return self.machine.clock() - made < SUBMIT_S
        return self._clock() - watched.since < SUBMIT_S

    def _unseen(self, watched: Watched) -> OSError:
        """What is said where only Ray could tell, and does not."""
        why = self.jobs(watched.calls).failure or "it was just asked"
        return OSError(ELSEWHERE_UNSEEN, f"Ray has not answered: {why}")

    # -- stopping ---------------------------------------------------------------------------------------

    def stop(self, handle: Handle, level: Level) -> Refused | None:
        """Leaves the wish, which the supervisor sees. A job that waits cannot begin any more, and Ray is asked to end
        it; one that runs is not, since Ray's stop is a SIGTERM to every process, which saves nothing. Ray is not waited
        for."""
        control = handle.paths.attempt(handle.attempt)
        try:
            if self._is_over(handle):
                return Refused("not_running")
            leave_wish(control, level)
            if not has_begun(control) and give_up(str(control.root)):
                burn_sealed(str(control.root))
                watched = self._watching(handle)
                self.jobs(watched.calls).stop(watched.job)
        except OSError as error:
            return refused_by(error, control.root)
        failpoints.hit("ray.told")
        return None

    def _is_over(self, handle: Handle) -> bool:
        """Whether an attempt is over. One of which Ray does not tell is not: a wish can be left all the same. OSError
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

    def give_up(self, handle: Handle) -> bool:
        """Takes an attempt's right to start away; its job, if there is one, is stopped at a later look."""
        control = handle.paths.attempt(handle.attempt)
        never = give_up(str(control.root))
        if never:
            burn_sealed(str(control.root))
        return never

    def reap(self) -> None:
        """Writes down what Ray said of runs that wrote no end: a head that is started anew knows nothing of it."""
        notes, self._notes = self._notes, {}
        for path, text in notes.items():
            with suppress(OSError):  # the folder may be gone, the disk full: it is tried again while Ray remembers
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
    if plan.env.get("USE_RAY", target.env.get("USE_RAY", "")):
        return Refused("ray_use_ray", {"name": target.name})
    odd = unfit(plan, target)
    return None if odd is None else Refused("target_path", {"path": odd})


def spec_of(plan: LaunchPlan, target: Target, secrets: Mapping[str, str]) -> dict[str, Any]:
    """What spec.json says of an attempt that a node starts: paths as they are there, and what the supervisor does
    beside. Its console is named from the attempt's folder."""
    return {
        "cwd": there(plan, target, ""), "console": os.path.join("..", "..", "console.log"), "beat": BEAT_S,
        "ticket": ticket_of(plan, target), "sealed": sorted(secrets), "secrets": mask.names(os.environ, plan.secrets),
        "guard": True,
        "ray": {
            "target": target.name, "address": target.address, "token_file": target.token_file,
            "job": job_id(plan, target),
        },
    }


def told_by(spec: Mapping[str, Any]) -> tuple[Calls, str]:
    """The cluster that an attempt was given to, and the id of its job there."""
    told = spec.get("ray")
    texts = {name: text for name, text in told.items() if isinstance(text, str)} if isinstance(told, dict) else {}
    address, token_file = texts.get("address", ""), texts.get("token_file", "")
    if token_file and not may_send_token(address, token_file):  # the folder may be somebody else's
        token_file = ""
    return Calls(address, token_file), texts.get("job", "")


def hand_over(calls: Calls, body: Mapping[str, Any], job: str) -> None:
    """Gives a job to Ray: once, whatever becomes of the answers. CallError; `silent` where nobody knows whether Ray has
    it (then it starts nothing, once its folder is taken away)."""
    silent = False
    for last in (False, True):
        try:
            taken = calls.submit(body)
        except CallError as error:
            if last or not error.silent:
                raise
            silent = True
            continue  # the same again is refused if it was taken
        if taken or silent:
            return
        found = calls.find(job)
        if found is not None and found.word not in OVER:
            return  # of an earlier making of this attempt, which was taken back: it does the same, and once
        if found is not None:
            calls.delete(job)
    raise CallError(f"Ray says that it has a job {job} already, and then that it has none")


def scheduled(job: Job | None) -> Scheduled | None:
    """What Ray says of a job, for the page."""
    if job is None:
        return None
    return Scheduled(NAME, job.id, job.word, job.reason if job.word in PENDING else "", None, job.node)


def words(job: Job, said: str | None) -> str:
    """Why a job is over, in Ray's own words and the last ones of its log."""
    reason = f" ({job.reason})" if job.reason else ""
    return f"Ray: {job.word}{reason}" + (f": {said}" if said else "")
