"""What a run is: its states, its folder, its record. A run is a folder that tells its own story."""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from msgspec import Meta

from lfdash.errors import NewerRecord, RecordError
from lfdash.files import as_record, look_record, record_from_text
from lfdash.runs.paths import EXIT, RunPaths
from lfdash.runs.plan import LaunchPlan

VERSION = 1  # of run.json; raise it when an older reader would misread the file


class RunState(StrEnum):
    """Where a run stands. LOST: it ran, it is certain that it does not any more, and no exit code was written.
    UNKNOWN: its folder cannot be read, and nobody here has seen it before."""

    QUEUED = "QUEUED"
    HELD = "HELD"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    STOPPED = "STOPPED"
    LOST = "LOST"
    UNKNOWN = "UNKNOWN"


TERMINAL = frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.STOPPED, RunState.LOST})
STOPPABLE = frozenset(RunState) - TERMINAL - {RunState.UNKNOWN}

# What may follow what within one attempt. A terminal state is left only by a new attempt.
ALLOWED: Mapping[RunState, frozenset[RunState]] = {
    RunState.QUEUED: frozenset({RunState.HELD, RunState.STARTING, RunState.STOPPED}),
    RunState.HELD: frozenset({RunState.QUEUED, RunState.STARTING, RunState.STOPPED}),
    RunState.STARTING: TERMINAL | {RunState.RUNNING, RunState.STOPPING},
    RunState.RUNNING: TERMINAL | {RunState.STOPPING},
    RunState.STOPPING: TERMINAL,
    # without an exit code a run may look lost for a moment and then be found
    RunState.LOST: TERMINAL - {RunState.LOST} | {RunState.RUNNING, RunState.STOPPING},
    RunState.SUCCEEDED: frozenset(),
    RunState.FAILED: frozenset(),
    RunState.STOPPED: frozenset(),
    RunState.UNKNOWN: frozenset(RunState) - {RunState.UNKNOWN},
}


# -- what files of ours say: they may be torn, edited by hand, or of another version ---------------------

RUN_ID = r"^[A-Za-z0-9_.-]{1,80}\Z"  # it becomes a part of file names
# Seconds of a clock that has a year of four digits, places in a queue. NaN, which JSON files may hold, is refused.
Finite = Annotated[float, Meta(gt=-1e10, lt=2.5e11)]
Text = Annotated[str, Meta(pattern="^[^\ud800-\udfff]*$")]  # half a character cannot be shown


@dataclass(frozen=True)
class Exit:
    """How an attempt ended, as the shim saw it (exit.json).

    code: exit code, -N when signal N killed it, None when nobody saw it. error: why it could not be started.
    stop: the stop wishes that were acted on. by: who asked for a stop that nobody left a wish for: "signal" (a SIGTERM
    from outside, as a scheduler sends it to a job that is canceled), "time_limit" (a scheduler, ahead of the job's
    end), "preempted" (a scheduler, for another job; not in exit.json). leftovers: processes swept after the main one
    ended.
    started, ended: epoch seconds. seconds: duration by a clock that nobody sets.
    """

    run_id: str
    attempt: int
    code: Annotated[int, Meta(ge=-64, le=255)] | None
    error: str | None = None
    stop: tuple[str, ...] = ()
    leftovers: int = 0
    started: Finite | None = None
    ended: Finite | None = None
    seconds: Finite | None = None
    by: str | None = None


@dataclass(frozen=True)
class Attempt:
    """One start of a run: the first, or a resume. env: what was set besides the inherited, without secrets.

    devices: the GPUs it was given, none for a run on the processor, None when nobody noted it. automatic: whether a
    dashboard began it by itself, since the one before was ended by its scheduler.
    """

    number: int
    argv: tuple[str, ...]
    env: Mapping[str, str]
    started: Finite | None = None  # since the epoch
    state: RunState = RunState.STARTING
    stop: str | None = None  # the hardest wish
    exit: Exit | None = None
    devices: tuple[str, ...] | None = None
    automatic: bool = False


@dataclass(frozen=True)
class Head:
    """What is asked first of a run.json."""

    version: int


@dataclass(frozen=True)
class RunRecord:
    """What run.json says: who the run is and which attempts it had. Secrets are names only.

    launcher: a name of launchers/table.py, which starts and watches it; "" until that is decided.
    """

    run_id: Annotated[str, Meta(pattern=RUN_ID)]
    kind: Text
    name: Text
    launcher: Text
    model: Text
    stage: Text
    method: Text
    secrets: tuple[str, ...]
    attempts: Annotated[tuple[Attempt, ...], Meta(min_length=1)]
    created: Finite = 0.0  # since the epoch; set at launch
    host: Text = ""  # set at launch

    @classmethod
    def new(
        cls, plan: LaunchPlan, *, kind: str, name: str, model: str, stage: str, method: str, launcher: str = ""
    ) -> Self:
        """The record of a run that `plan` is about to start."""
        first = Attempt(number=plan.attempt, argv=plan.argv, env=dict(plan.env))
        return cls(plan.run_id, kind, name, launcher, model, stage, method, plan.secrets, (first,))

    def resumed(self, plan: LaunchPlan) -> RunRecord:
        """The record with one more attempt: the one that `plan` is about to start. A copied run gets its own id."""
        attempt = Attempt(number=plan.attempt, argv=plan.argv, env=dict(plan.env))
        return replace(self, run_id=plan.run_id, secrets=plan.secrets, attempts=(*self.attempts, attempt))

    @property
    def last(self) -> Attempt:
        """The newest attempt."""
        return self.attempts[-1]

    def upto(self, number: int) -> RunRecord:
        """A copy that ends with an attempt."""
        return replace(self, attempts=tuple(one for one in self.attempts if one.number <= number))

    def with_last(self, **changes: Any) -> RunRecord:
        """A copy whose newest attempt has `changes`."""
        return replace(self, attempts=(*self.attempts[:-1], replace(self.last, **changes)))

    def to_json(self) -> str:
        """The text of run.json; ends with a newline."""
        data = {"version": VERSION, **asdict(self)}
        return json.dumps(data, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of `to_json`. RecordError for broken text, a missing key or a newer version."""
        try:
            if record_from_text(Head, text, "run.json").version <= VERSION:
                return record_from_text(cls, text, "run.json")
        except RecordError:
            pass  # it is told below what is amiss
        try:
            data = json.loads(text)
            version = data["version"]
            if version > VERSION:
                raise NewerRecord(f"run.json has version {version}, this lfdash reads up to {VERSION}: update lfdash")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise RecordError(f"run.json cannot be read: {error!r}") from error
        return as_record(cls, data, "run.json")


ELSEWHERE_UNSEEN = errno.EHOSTDOWN  # of the OSError for a run of which only a scheduler elsewhere could tell
NO_HEART = "NoHeartbeat"  # a reason of ours, where a scheduler has none: `Scheduled.reason`


Phase = Literal["pending", "starting", "running", "ended", "lost"]
Why = Literal["gone", "boot", "host", "launcher", "pointer", "unlogged"]


@dataclass(frozen=True)
class Handle:
    """An attempt that this process watches: one it started, or one it found (adopted)."""

    run_id: str
    attempt: int
    paths: RunPaths


# words of schedulers for a job that has not begun: Slurm's (squeue(1), JOB STATE CODES) and Ray's (JobStatus)
WAITS = frozenset({
    "PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD", "EXPEDITING",
})


@dataclass(frozen=True)
class Scheduled:
    """What a scheduler says of an attempt's job. by: its kind ("slurm"). job: its number there. word: its state, the
    scheduler's own word. reason: why it is in it, the scheduler's own words, too. starts: epoch seconds at which it is
    expected to start, of one that waits, where that is known. nodes: where it is."""

    by: str
    job: str
    word: str
    reason: str = ""
    starts: float | None = None
    nodes: str = ""

    @property
    def waits(self) -> bool:
        """Whether the job is in the scheduler's queue."""
        return self.word in WAITS


@dataclass(frozen=True)
class Status:
    """What a launcher knows about an attempt.

    phase: "pending" = the launcher has it, and it waits for its turn elsewhere; "lost" = over, and nobody saw how.
    exit: how it ended (phase "ended"). wish: the hardest stop wish left. started: epoch seconds; elapsed: seconds
    since the start of one that is alive, where known. ranks: while a graceful stop is awaited, (ranks of torchrun
    that live, ranks that there were). why: of a lost one: "gone" (its processes are), "boot" (the machine was started
    anew), "host" (it was started on another machine, where this one cannot look), "launcher" (by a launcher that is
    not known here). unused: it ended, and it is certain that nothing of it was ever started. scheduled: what the
    scheduler says that started it, where there is one and it answers.
    """

    phase: Phase
    exit: Exit | None = None
    wish: str | None = None
    started: float | None = None
    elapsed: float | None = None
    why: Why | None = None
    ranks: tuple[int, int] | None = None
    unused: bool = False
    scheduled: Scheduled | None = None


def read_exit(handle: Handle) -> Exit | None:
    """The exit record of this attempt; that of an older one does not end it. OSError when that cannot be known."""
    return exit_in(handle, handle.paths.named(EXIT))


def exit_in(handle: Handle, path: Path | str) -> Exit | None:
    """The exit record in a file, when it is this attempt's. OSError when that cannot be known."""
    found = look_record(Exit, path)
    return found if found and (found.run_id, found.attempt) == (handle.run_id, handle.attempt) else None
