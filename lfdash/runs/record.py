"""What a run is: its states, its folder, its record. A run is a folder that tells its own story."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from subprocess import Popen
from typing import Any, Literal, Self

from lfdash.errors import RecordError
from lfdash.files import read_json
from lfdash.runs.paths import RunPaths
from lfdash.runs.plan import LaunchPlan

VERSION = 1  # of run.json; raise it when an older reader would misread the file


class RunState(StrEnum):
    """Where a run stands. LOST: it ran, nothing shows that it still does, and no exit code was written."""

    QUEUED = "QUEUED"
    HELD = "HELD"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    STOPPED = "STOPPED"
    LOST = "LOST"


TERMINAL = frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.STOPPED, RunState.LOST})
STOPPABLE = frozenset(RunState) - TERMINAL

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
}


# -- what files of ours say: they may be torn, edited by hand, or of another version ---------------------

RUN_ID = re.compile(r"[\w.-]{1,80}", re.ASCII)  # it becomes a part of file names
TEXTS = ("run_id", "kind", "name", "launcher", "model", "stage", "method", "host")


def check_kinds(data: Mapping[str, Any], kinds: Mapping[str, type]) -> None:
    """TypeError when a value that is there, and not null, is of another kind; `float` means any finite number."""
    for name, kind in kinds.items():
        value = data.get(name)
        fits = isinstance(value, int | float) and math.isfinite(value) if kind is float else isinstance(value, kind)
        if value is not None and (not fits or isinstance(value, bool)):
            raise TypeError(f"{name}: {value!r} is no {kind.__name__}")


def texts(values: Any) -> tuple[str, ...]:
    """A list of strings. TypeError for anything else."""
    if not isinstance(values, list | tuple) or not all(isinstance(value, str) for value in values):
        raise TypeError(f"{values!r} is no list of texts")
    return tuple(values)


@dataclass(frozen=True)
class Exit:
    """How an attempt ended, as the shim saw it (exit.json).

    code: exit code, -N when signal N killed it, None when nobody saw it. error: why it could not be started.
    stop: the stop wishes that were acted on. leftovers: processes swept after the main one ended.
    started, ended: epoch seconds. seconds: duration by a clock that nobody sets.
    """

    run_id: str
    attempt: int
    code: int | None
    error: str | None = None
    stop: tuple[str, ...] = ()
    leftovers: int = 0
    started: float | None = None
    ended: float | None = None
    seconds: float | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Unknown keys are ignored. RecordError when it is not an exit record."""
        known = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        try:
            check_kinds(known, {"run_id": str, "error": str, "attempt": int, "code": int, "leftovers": int})
            check_kinds(known, dict.fromkeys(("started", "ended", "seconds"), float))
            if not -255 <= (known["code"] or 0) <= 255:
                raise ValueError(f"no exit code: {known['code']}")
            return cls(**{**known, "stop": texts(known.get("stop", ()))})
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise RecordError(f"not an exit record: {error!r}") from error


@dataclass(frozen=True)
class Attempt:
    """One start of a run: the first, or a resume. env: what was set besides the inherited, without secrets.

    devices: the GPUs it was given, none for a run on the processor, None when nobody noted it.
    """

    number: int
    argv: tuple[str, ...]
    env: Mapping[str, str]
    started: float | None = None  # epoch seconds
    state: RunState = RunState.STARTING
    stop: str | None = None  # the hardest wish
    exit: Exit | None = None
    devices: tuple[str, ...] | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        check_kinds(data, {"number": int, "started": float, "stop": str})
        exit_data = data.get("exit")
        return cls(
            number=int(data["number"]),
            argv=texts(data["argv"]),
            env=dict(data["env"]),
            started=data.get("started"),
            state=RunState(data["state"]),
            stop=data.get("stop"),
            exit=Exit.from_json(exit_data) if exit_data else None,
            devices=None if data.get("devices") is None else tuple(map(str, data["devices"])),
        )


@dataclass(frozen=True)
class RunRecord:
    """What run.json says: who the run is and which attempts it had. Secrets are names only."""

    run_id: str
    kind: str
    name: str
    launcher: str
    model: str
    stage: str
    method: str
    secrets: tuple[str, ...]
    attempts: tuple[Attempt, ...]
    created: float = 0.0  # epoch seconds; set at launch
    host: str = ""  # set at launch

    @classmethod
    def new(
        cls, plan: LaunchPlan, *, kind: str, name: str, model: str, stage: str, method: str, launcher: str = "local"
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
            data = json.loads(text)
            version = data["version"]
            if version > VERSION:
                raise RecordError(f"run.json has version {version}, this lfdash reads up to {VERSION}: update lfdash")
            fields = {name: data[name] for name in cls.__dataclass_fields__}
            check_kinds(fields, {"created": float})
            for text in texts([fields[name] for name in TEXTS]):
                text.encode()  # half a character cannot be shown
            if not RUN_ID.fullmatch(fields["run_id"]):
                raise RecordError(f"run.json has no proper run_id: {fields['run_id']!r}")
            fields["secrets"] = texts(fields["secrets"])
            fields["attempts"] = tuple(Attempt.from_json(item) for item in fields["attempts"])
            if not fields["attempts"]:
                raise RecordError("run.json lists no attempt")
            return cls(**fields)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise RecordError(f"run.json cannot be read: {error!r}") from error


Phase = Literal["starting", "running", "ended", "lost"]
Why = Literal["gone", "boot", "host"]


@dataclass(frozen=True)
class Handle:
    """A run that this process watches: one it started (`process`), or one it found (None: adopted)."""

    run_id: str
    attempt: int
    paths: RunPaths
    process: Popen[bytes] | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Status:
    """What a launcher knows about an attempt.

    phase: "lost" = over, and nobody saw how. exit: how it ended (phase "ended"). wish: the hardest stop
    wish left. started: epoch seconds; elapsed: seconds since the start of one that is alive, where known.
    ranks: while a graceful stop is awaited, (ranks of torchrun that live, ranks that there were).
    why: of a lost one: "gone" (its processes are), "boot" (the machine was started anew), "host" (it was started
    on another machine, where this one cannot look).
    unused: it ended, and it is certain that nothing of it was ever started.
    """

    phase: Phase
    exit: Exit | None = None
    wish: str | None = None
    started: float | None = None
    elapsed: float | None = None
    why: Why | None = None
    ranks: tuple[int, int] | None = None
    unused: bool = False


def read_exit(handle: Handle) -> Exit | None:
    """The exit record of this attempt; that of an older one does not end it."""
    return exit_in(handle, handle.paths.exit)


def exit_in(handle: Handle, path: Path) -> Exit | None:
    """The exit record in a file, when it is this attempt's."""
    try:
        found = Exit.from_json(read_json(path))
    except RecordError:
        return None
    return found if (found.run_id, found.attempt) == (handle.run_id, handle.attempt) else None
