"""The test of a target that is a Ray cluster: a short job with what the target's jobs are given."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lfdash.launchers.ray_calls import Calls, Job, parsed
from lfdash.launchers.ray_job import LOG, environment, settings
from lfdash.launchers.ray_jobs import OVER, PENDING, RayJobs, jobs_of
from lfdash.launchers.scheduled import write_supervisor
from lfdash.launchers.setup_lines import by_bash, shown
from lfdash.launchers.target_probe import Probe, Seen
from lfdash.supervisor.target_probe import PYTHON, SETUP_ENDS, UNSEEN
from lfdash.targets.allowed import allow

HURRY_S = 30.0  # after the submission Ray is asked as often as it may be


class RayProbe:
    """See `target_probe.ProbeJob`. jobs: who asks a cluster for its jobs.

    Whoever makes one has clicked *Test this target*: that is a use by hand, so the token of the target's file goes to
    the target's address from now on.
    """

    def __init__(
        self, probe: Probe, jobs: Callable[[Calls], RayJobs] = jobs_of, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.probe = probe
        self.id = f"lfdash-{probe.plan.run_id}-{probe.plan.attempt}"
        self._jobs = jobs(Calls(probe.target.address, probe.target.token_file))
        self._clock = clock
        self._is_there = False  # or was: Ray has taken it
        self._canceled = False
        self._submitted = clock()

    def submit(self) -> None:
        """Gives its shell text to Ray."""
        target = self.probe.target
        write_supervisor(Path(self.probe.plan.cwd))
        allow("ray", target.address)
        if target.token_file:
            allow("token", target.address, target.token_file)
        self._jobs.calls.submit(job_of(self.probe, self.id))
        self._submitted = self._clock()  # only an answer that was asked for later can know it
        self._is_there = True
        self._jobs.hurry()

    def look(self) -> Seen:
        """How it does, by the answer that all share."""
        if self._clock() - self._submitted < HURRY_S:
            self._jobs.hurry()
        snapshot = self._jobs.look()
        if snapshot is None:
            return Seen(silent=self._jobs.failure or "Ray")
        job = snapshot.by_id.get(self.id)
        if job is None:
            return Seen(over=snapshot.began > self._submitted and self._is_there)
        waits = job.word in PENDING
        # Ray keeps one that waits until there is a place for it; then it sees that its folder is gone
        over = job.word in OVER or (waits and self._canceled)
        return Seen(job.word, job.reason, waits, over, self._exit_code(job) if job.word in OVER else None)

    def _exit_code(self, job: Job) -> int | None:
        """The exit code of its shell. OSError when it is not told."""
        row = parsed(*self._jobs.calls.request("GET", f"/api/jobs/{job.id}"))
        code = row.get("driver_exit_code") if isinstance(row, dict) else None
        return code if type(code) is int else None

    def cancel(self) -> None:
        """Ends the job of its id: also one of which Ray did not come to tell."""
        self._submitted, self._is_there, self._canceled = self._clock(), True, True
        self._jobs.calls.stop(self.id)
        self._jobs.hurry()


def job_of(probe: Probe, job: str) -> Mapping[str, Any]:
    """What Ray is sent for a test: what it is sent for a job of one node, and another program. Pure."""
    target = replace(probe.target, nodes=1, save_s=0)
    return {"submission_id": job, "entrypoint": entrypoint(probe), **settings(probe.plan, target)}


def entrypoint(probe: Probe) -> str:
    """The shell text. Where the workspace is not seen, nothing can be written: its exit code tells. Pure."""
    target = replace(probe.target, nodes=1)
    python = shlex.quote(probe.python_there)
    own = [
        *environment(probe.plan, target, ""),
        f"{python} -c 'import sys; sys.exit(sys.version_info < (3, 9))' || exit {PYTHON}",
        f"exec {shlex.join(probe.command)}",
    ]
    own = [f"exec {shown(by_bash(target.setup, own, SETUP_ENDS))}"] if target.setup else own
    return "\n".join([f"cd {shlex.quote(probe.folder_there)} || exit {UNSEEN}", f"exec >>{LOG} 2>&1", *own, ""])
