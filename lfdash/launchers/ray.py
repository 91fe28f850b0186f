"""Runs on a Ray cluster, by its Jobs API.

A job's id is made of the run, its attempt and what it is to do, so Ray refuses a second one of the same, also when
nobody heard the answer to the first.

**What Ray says is not all.** It goes on saying RUNNING of a job whose node is gone, and a head that was started anew
knows no job of before: an attempt that was begun is judged by its heart.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, cast

import yaml

from lfdash.launchers import scheduled
from lfdash.launchers.asking import CallError
from lfdash.launchers.base import THIS, MachineIdentity
from lfdash.launchers.ray_calls import Calls, Job
from lfdash.launchers.ray_job import FILE, job_id, job_text, ticket_of
from lfdash.launchers.ray_jobs import OVER, PENDING, RayJobs, Snapshot, StrangeJobs, jobs_of
from lfdash.launchers.scheduled import Ask, ScheduledLauncher, supervised
from lfdash.launchers.watching import Signs, Watched
from lfdash.outcomes import Refused
from lfdash.runs.plan import LaunchPlan
from lfdash.runs.record import Handle, Scheduled
from lfdash.targets.allowed import allow, is_allowed
from lfdash.targets.target import Target

NAME = "ray"


class RayLauncher(ScheduledLauncher[Job, Snapshot, Calls]):
    """Starts runs as jobs of a Ray cluster, which its address tells from others."""

    kind = NAME
    called = "Ray"
    file = FILE
    pending = PENDING
    over = OVER
    canceled = "STOPPED"
    believed = False

    def __init__(
        self, name: str = NAME, target: Ask | None = None, machine: MachineIdentity = THIS,
        jobs: Callable[[Calls], RayJobs] = jobs_of, clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(name, target, machine, jobs, clock)

    def jobs(self, place: Calls) -> RayJobs:
        """Who asks a cluster; one that nobody may ask says so."""
        if not is_allowed("ray", place.address):
            return StrangeJobs(place)
        return cast(RayJobs, super().jobs(place))

    def script(self, plan: LaunchPlan, target: Target) -> str:
        """What Ray is sent."""
        return job_text(plan, target)

    def spec(self, plan: LaunchPlan, target: Target, secrets: Mapping[str, str]) -> dict[str, Any]:
        """See the base. guard: Ray knows a job's process group alone, and the trainer has its own."""
        return {
            **supervised(plan, target, ticket_of(plan, target), secrets), "guard": True,
            "ray": {
                "target": target.name, "address": target.address, "token_file": target.token_file,
                "job": job_id(plan, target),
            },
        }

    def place_of(self, spec: Mapping[str, Any]) -> Calls:
        """The cluster that an attempt was given to."""
        return told_by(spec)[0]

    def fits(self, plan: LaunchPlan, target: Target) -> Refused | None:
        """ray_use_ray: LLaMA-Factory would ask Ray by itself."""
        if plan.env.get("USE_RAY", target.env.get("USE_RAY", "")):
            return Refused("ray_use_ray", {"name": target.name})
        return None

    def hand_over(self, handle: Handle, plan: LaunchPlan, target: Target, spec: Mapping[str, Any]) -> str:
        """See the base."""
        allow("ray", target.address)
        if target.token_file:
            allow("token", target.address, target.token_file)
        job = job_id(plan, target)
        hand_over(self.jobs(Calls(target.address, target.token_file)).calls, yaml.safe_load(plan.files[FILE]), job)
        return job

    def find(
        self, signs: Signs[Job], watched: Watched[Snapshot, Calls], seen: Snapshot | None
    ) -> tuple[Job | None, bool]:
        """By its id."""
        return (seen.by_id.get(told_by(signs.spec)[1]) if seen is not None else None), False

    def scheduled(self, job: Job) -> Scheduled:
        """See the base."""
        return Scheduled(NAME, job.id, job.word, job.reason if job.word in PENDING else "", None, job.node)

    def names_of(self, handle: Handle, spec: Mapping[str, Any]) -> tuple[str, ...]:
        """Its id, on its cluster."""
        calls, job = told_by(spec)
        return NAME, calls.address, job

    def cancel(self, handle: Handle, spec: Mapping[str, Any]) -> None:
        """By Ray's stop, which is a SIGTERM to every process: nothing is saved."""
        calls, job = told_by(spec)
        self.jobs(calls).stop(job)


# Ray looks at each job every second (JOB_MONITOR_LOOP_PERIOD_S, job_manager.py). Where it has not yet seen that a job
# is over and another one gets its id, that one is called FAILED, and its place stays taken. Nothing tells when it has.
LAST_BREATH_S = 3.0


def told_by(spec: Mapping[str, Any]) -> tuple[Calls, str]:
    """The cluster that an attempt was given to, and the id of its job there."""
    told = spec.get("ray")
    texts = {name: text for name, text in told.items() if isinstance(text, str)} if isinstance(told, dict) else {}
    address, token_file = texts.get("address", ""), texts.get("token_file", "")
    if token_file and not is_allowed("token", address, token_file):  # the folder may be somebody else's
        token_file = ""
    return Calls(address, token_file), texts.get("job", "")


def hand_over(calls: Calls, body: Mapping[str, Any], job: str) -> None:
    """Gives a job to Ray: once, whatever becomes of the answers. CallError; `silent` where nobody knows whether Ray has
    it (then it starts nothing, once its folder is taken away)."""
    silent = False
    for _ in range(3):
        try:
            taken = calls.submit(body, scheduled.HAND_OVER_S)
        except CallError as error:
            if silent or not error.silent:
                raise
            silent = True
            continue  # the same again is refused if it was taken
        if taken:
            return
        found = calls.find(job, scheduled.HAND_OVER_S)
        if found is not None and found.word not in OVER:
            return  # this one, or of an earlier making of this attempt: it does the same, and once
        if found is not None:
            time.sleep(LAST_BREATH_S)
            calls.delete(job, scheduled.HAND_OVER_S)
    raise CallError(f"Ray says that it has a job {job} already, and then that it has none")
