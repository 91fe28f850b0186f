"""Calls of Slurm's own programs: each with an end, and with an environment that holds no secrets."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lfdash.launchers.asking import CallError

CALL_S = 20.0  # after which a program that does not answer is ended
# What a job gets of this process's environment: what a login has. Secrets may be in the rest, and SBATCH_* would
# change what was previewed.
PASSED = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "TZ", "USER")
COLUMNS = ("%i", "%T", "%r", "%S", "%N", "%k", "%j")  # squeue(1), --format
NUMBER = re.compile(r"\d+")
JOB_ID = re.compile(r"\d{1,20}(_\d{1,20})?")
# In what sbatch says when nobody knows whether its job was taken (slurm_errno.c).
UNSURE = re.compile(r"timed out|Zero Bytes were transmitted|receive failure", re.IGNORECASE)
MAX_ARRAY = re.compile(r"^MaxArraySize\s*=\s*(\d+)", re.MULTILINE)
DEFAULT_MAX_ARRAY = 1001  # slurm.conf(5), MaxArraySize


@dataclass(frozen=True)
class Job:
    """A job as squeue tells of it. id: with the place in its array, if it is of one (7_2). word: its state, Slurm's
    own. reason: why it is in it. starts: epoch seconds, when it began or is expected to; None when that is unknown.
    nodes: where it is. comment: what it was submitted with."""

    id: str
    word: str
    reason: str = ""
    starts: float | None = None
    nodes: str = ""
    comment: str = ""
    name: str = ""


@dataclass(frozen=True)
class Calls:
    """The programs of one cluster. conf: its slurm.conf; "" that which they find themselves."""

    conf: str = ""

    def run(self, *words: str, env: Mapping[str, str] | None = None, seconds: float = CALL_S) -> str:
        """What a program prints. CallError when it fails or is silent for too long; then it is ended."""
        conf = {"SLURM_CONF": self.conf} if self.conf else {}
        try:
            done = subprocess.run(
                words, env={**(clean() if env is None else env), **conf}, stdin=subprocess.DEVNULL, cwd="/",
                capture_output=True, text=True, errors="replace", timeout=seconds, start_new_session=True,
            )
        except subprocess.TimeoutExpired as error:
            raise CallError(f"{words[0]} did not answer within {seconds:.0f} s", silent=True) from error
        except OSError as error:
            raise CallError(f"{words[0]}: {error.strerror}") from error
        if done.returncode:
            raise CallError(said(done.stderr) or f"{words[0]} ended with exit code {done.returncode}")
        return done.stdout

    def jobs(self, seconds: float = CALL_S) -> list[Job]:
        """Every job of this user that the controller remembers, in one call. CallError."""
        env = {**clean(), "SLURM_TIME_FORMAT": "%s"}
        text = self.run("squeue", "-h", "-a", "-r", "-t", "all", "-u", user(), "-o", "|".join(COLUMNS), env=env,
                        seconds=seconds)
        return [job for line in text.splitlines() if (job := parse_job(line)) is not None]

    def submit(self, script: str, comment: str, more: Mapping[str, str], seconds: float = CALL_S) -> str:
        """Submits a script; the job's number. more: variables that the job gets, too. CallError."""
        # which cluster it is, sbatch must be told like the others; a job has that variable anyway
        passed = (*PASSED, "SLURM_CONF")
        env = {name: os.environ[name] for name in passed if name in os.environ} | dict(more)
        try:
            told = self.run("sbatch", "--parsable", f"--comment={comment}", script, env=env, seconds=seconds)
        except CallError as error:
            raise CallError(str(error), silent=error.silent or bool(UNSURE.search(str(error)))) from error
        number = NUMBER.match(told.strip().splitlines()[-1] if told.strip() else "")
        if number is None:
            raise CallError(f"sbatch printed no job number but: {told.strip()[:200]}", silent=True)
        return number[0]

    def cancel(self, jobs: Sequence[str]) -> None:
        """Ends jobs, also those that wait. CallError."""
        self.run("scancel", *jobs)

    def wake(self, jobs: Sequence[str]) -> None:
        """Tells the supervisors of jobs to look for a wish now. CallError."""
        self.run("scancel", "--batch", "--signal=USR2", *jobs)

    def most_of_an_array(self) -> int:
        """How many jobs an array may have here; 0 where there are no arrays. CallError."""
        found = MAX_ARRAY.search(self.run("scontrol", "show", "config"))
        return int(found[1]) if found else DEFAULT_MAX_ARRAY


def parse_job(line: str) -> Job | None:
    """A line of squeue; None for one that is none."""
    parts = line.split("|")
    if len(parts) < len(COLUMNS) or not NUMBER.match(parts[0]):
        return None
    job, word, reason, starts, nodes, *comment, name = parts  # a comment may hold the separator
    when = float(starts) if NUMBER.fullmatch(starts) else None
    return Job(job, word, "" if reason == "None" else reason, when, nodes, "|".join(comment), name)


def said(text: str) -> str:
    """Why a program failed: its last line, without its name."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return re.sub(r"^\w+: (error: |fatal: )?", "", lines[-1])[:300] if lines else ""


def clean() -> dict[str, str]:
    """This process's environment without what changes how Slurm's programs answer."""
    changing = ("SLURM_", "SQUEUE_", "SBATCH_", "SCANCEL_", "SCONTROL_", "SINFO_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(changing)}
    conf = os.environ.get("SLURM_CONF")
    return {**kept, "SLURM_CONF": conf} if conf else kept


def user() -> str:
    """Whose jobs are asked for."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def installed() -> bool:
    """Whether jobs can be submitted from here."""
    return shutil.which("sbatch") is not None
