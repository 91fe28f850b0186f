"""The test of a target that is a Slurm cluster: a short job with what the target's jobs are given."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from lfdash.files import write_text_atomic
from lfdash.launchers.asking import CallError
from lfdash.launchers.scheduled import write_supervisor
from lfdash.launchers.slurm_calls import installed, user
from lfdash.launchers.slurm_jobs import OVER, PENDING, SlurmJobs, jobs_of
from lfdash.launchers.slurm_script import LOG, beginning, job_name, limit_s
from lfdash.launchers.target_probe import Probe, Seen
from lfdash.supervisor.target_probe import MODULES, PYTHON, SETUP_ENDS, UNSEEN
from lfdash.targets.allowed import allow

SCRIPT = "test.sh"  # in the test's folder
MINUTES = 10  # of a test's job
HURRY_S = 30.0  # after the submission squeue is asked as often as it may be
EXIT = re.compile(r"\bExitCode=(\d+):(\d+)")  # scontrol(1)


class SlurmProbe:
    """See `target_probe.ProbeJob`. jobs: who asks a cluster for its jobs."""

    def __init__(
        self, probe: Probe, jobs: Callable[[str], SlurmJobs] = jobs_of, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.probe = probe
        self.name = job_name(probe.plan.run_id, probe.plan.attempt)
        self._jobs = jobs(probe.target.slurm_conf)
        self._clock = clock
        self._number = ""
        self._is_there = False  # or was: squeue knows it, or it is over
        self._submitted = clock()

    def submit(self) -> None:
        """Writes its script into the workspace, and gives that to sbatch."""
        if not installed():
            raise CallError("sbatch was not found on this machine")
        write_supervisor(Path(self.probe.plan.cwd))
        if self.probe.target.slurm_conf:
            allow("slurm.conf", self.probe.target.slurm_conf)
        script = self.probe.root / SCRIPT
        write_text_atomic(script, probe_script(self.probe))
        self._number = self._jobs.calls.submit(str(script), self.probe.plan.run_id, {})
        self._submitted = self._clock()  # only an answer that was asked for later can know it
        self._is_there = True
        self._jobs.hurry()

    def look(self) -> Seen:
        """How it does, by the answer of squeue that all share."""
        if self._clock() - self._submitted < HURRY_S:
            self._jobs.hurry()
        snapshot = self._jobs.look()
        if snapshot is None:
            return Seen(silent=self._jobs.failure or "squeue")
        job = snapshot.find(self._number, self.name, self.probe.plan.run_id)
        if job is None:
            return Seen(over=snapshot.began > self._submitted and self._is_there)
        waits = job.word in PENDING
        over = job.word in OVER
        code = self._exit_code(job.id) if over else None
        return Seen(job.word, job.reason, waits, over, code, job.starts if waits else None)

    def _exit_code(self, job: str) -> int | None:
        """The exit code of its script. OSError when it is not told."""
        found = EXIT.search(self._jobs.calls.run("scontrol", "show", "job", job))
        return int(found[1]) if found and found[2] == "0" else None

    def cancel(self) -> None:
        """Ends every job of its name: also one whose number sbatch did not come to tell."""
        self._submitted, self._is_there = self._clock(), True  # what squeue said before tells nothing
        self._jobs.calls.run("scancel", f"--user={user()}", f"--name={self.name}")


def probe_script(probe: Probe) -> str:
    """The script of a test: as the target's jobs begin, on one node and for a short time. Where the workspace is not
    seen, nothing can be written: its exit code tells. Pure."""
    target = probe.target
    least = min(MINUTES, max(1, limit_s(target) // 60)) if target.time_limit else MINUTES
    target = replace(target, time_limit=str(least), save_s=0, nodes=1)
    # where a job's output cannot be written Slurm starts nothing, and tells nobody why
    head = [
        "#SBATCH --output=/dev/null" if line.startswith("#SBATCH --output=") else line
        for line in beginning(probe.plan, target, SETUP_ENDS)
    ]
    split = next(place for place, line in enumerate(head) if place and not line.startswith("#"))
    folder = shlex.quote(probe.folder_there)
    rest = [line for line in head[split:] if not line.startswith("exec ")]
    rest = [line.replace("|| exit 1", f"|| exit {MODULES}") if line.startswith("module ") else line for line in rest]
    python = shlex.quote(probe.python_there)
    return "\n".join([
        *head[:split], f"cd {folder} || exit {UNSEEN}", f"exec >>{LOG} 2>&1", *rest,
        f"{python} -c 'import sys; sys.exit(sys.version_info < (3, 9))' || exit {PYTHON}",
        f"exec {shlex.join(probe.command)}", "",
    ])
