"""What a run is: its states, its folder, its record. A run is a folder that tells its own story."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from lfdash.errors import RecordError
from lfdash.runs.log_reader import read_plain
from lfdash.runs.plan import LaunchPlan

VERSION = 1  # of run.json; raise it when an older reader would misread the file
LEVELS = ("graceful", "term", "kill")  # of a stop wish, softest first


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
Mark = tuple[int, int, int]


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


def readable(name: str) -> str:
    """A file's name as it can be shown: file systems take any bytes."""
    return name.encode("utf-8", "replace").decode()


def file_mark(path: Path) -> Mark | None:
    """What a file's content is known by, cheaply: time of change (ns), size, inode. None when it is missing."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def read_json(path: Path) -> dict[str, Any]:
    """The mapping in a JSON file; empty when it is missing or broken."""
    try:
        found = json.loads(read_plain(path))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


@dataclass(frozen=True)
class AttemptPaths:
    """The control files of one attempt: `attempts/NNN/` in the run's folder."""

    root: Path

    @property
    def spec(self) -> Path:
        """What the shim is to start (JSON; without secrets)."""
        return self.root / "spec.json"

    @property
    def lock(self) -> Path:
        """Locked by the shim as long as it lives."""
        return self.root / "lock"

    @property
    def child(self) -> Path:
        """Identity of the started process (JSON)."""
        return self.root / "child.json"

    @property
    def child_reserve(self) -> Path:
        """Disk space held for child.json."""
        return self.root / "child.reserved"

    @property
    def reserve(self) -> Path:
        """Disk space held for exit.json, so that a full disk cannot eat the exit code."""
        return self.root / "exit.reserved"

    @property
    def armed(self) -> Path:
        """The token that a stop wish renames."""
        return self.root / "armed"

    @property
    def shim_log(self) -> Path:
        """The shim's own stderr; empty when all is well."""
        return self.root / "shim.log"

    def console_start(self) -> int:
        """The byte of console.log at which this attempt's output begins; 0 when that is not known."""
        found = read_json(self.spec).get("console_start")
        return found if type(found) is int and 0 <= found < 2**63 else 0  # what a file can be sought to

    def has_written(self, path: Path) -> bool:
        """Whether a file of the run's folder is new or changed since this attempt was made.

        A resumed run's files tell of the attempt before until then. By what the files look like, not by a clock.
        """
        before = read_json(self.spec).get("before")
        now = file_mark(path)
        return now is not None and (not isinstance(before, dict) or before.get(path.name) != list(now))

    def stop(self, level: str) -> Path:
        """The name that the token has once `level` was wished."""
        return self.root / f"stop.{level}"

    def read_wish(self) -> str | None:
        """The hardest stop wish left so far, or None."""
        return next((level for level in reversed(LEVELS) if self.stop(level).exists()), None)


@dataclass(frozen=True)
class RunPaths:
    """Every file name of a run's folder; the only place that joins names. `root` is absolute."""

    root: Path

    @property
    def record(self) -> Path:
        return self.root / "run.json"

    @property
    def training_args(self) -> Path:
        """Exactly what was run."""
        return self.root / "training_args.yaml"

    @property
    def llamaboard_config(self) -> Path:
        """The form's state, as LlamaBoard opens it."""
        return self.root / "llamaboard_config.yaml"

    @property
    def console(self) -> Path:
        """stdout and stderr of the child, appended to by every attempt."""
        return self.root / "console.log"

    @property
    def exit(self) -> Path:
        """How the newest ended attempt ended; carries the attempt's number."""
        return self.root / "exit.json"

    @property
    def trainer_log(self) -> Path:
        return self.root / "trainer_log.jsonl"

    @property
    def running_log(self) -> Path:
        return self.root / "running_log.txt"

    @property
    def all_results(self) -> Path:
        return self.root / "all_results.json"

    @property
    def swanlab(self) -> Path:
        """What LLaMA-Factory notes of a SwanLab experiment (extras/constants.py, SWANLAB_CONFIG)."""
        return self.root / "swanlab_public_config.json"

    @property
    def trainer_state(self) -> Path:
        return self.root / "trainer_state.json"

    @property
    def notes(self) -> Path:
        """What people wrote about the run."""
        return self.root / "notes.json"

    def attempt(self, number: int) -> AttemptPaths:
        """Control files of attempt `number` (1 is the first)."""
        return AttemptPaths(self.root / "attempts" / f"{number:03d}")

    def next_attempt(self) -> int:
        """The number of the attempt that would follow those that were made, finished or not."""
        try:
            made = [int(name) for name in os.listdir(self.root / "attempts") if name.isdigit()]
        except OSError:
            made = []
        return max(made, default=0) + 1

    def listing(self) -> list[tuple[str, int, float]]:
        """Name (relative, / between), size in bytes and time of change (epoch seconds) of every file, sorted.

        Without the control files. A folder that is gone gives an empty list.
        """
        return sorted(self._walk(self.root, ""))

    def _walk(self, folder: Path, prefix: str) -> Iterator[tuple[str, int, float]]:
        try:
            entries = list(os.scandir(folder))
        except OSError:
            return
        for entry in entries:
            name = prefix + entry.name
            if name == "attempts":
                continue
            try:
                if entry.is_dir(follow_symlinks=False):
                    yield from self._walk(folder / entry.name, name + "/")
                else:
                    stat = entry.stat(follow_symlinks=False)
                    yield readable(name), stat.st_size, stat.st_mtime
            except OSError:  # removed between the two looks
                continue


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
