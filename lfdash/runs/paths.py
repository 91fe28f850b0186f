"""Every file name of a run's folder; the only place that joins them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lfdash.files import NOT_THERE, look_json, look_mark, readable
from lfdash.jobs.converters import SAVES
from lfdash.machine.recording import FILE as MACHINE
from lfdash.runs.plan import ARGS_FILE

PRIVATE = ".lfdash"


def saves(workspace: Path) -> Path:
    """Where runs lie: saves/<model>/<method>/<run>."""
    return workspace / SAVES


def private(workspace: Path) -> Path:
    """What the dashboard keeps of a workspace for itself: queue, trash, drafts, caches."""
    return workspace / PRIVATE


def marker(paths: RunPaths, attempt: int) -> str:
    """What the environment of the run's processes carries: the folder and the attempt.

    The folder rather than the run's id, so that a copy of a workspace never takes the original's processes for
    its own.
    """
    return f"{attempt}:{os.path.realpath(paths.root)}"


def is_home(paths: RunPaths, attempt: int) -> bool:
    """Whether an attempt's folder lies where it was made; one that was moved or copied does not. OSError when its
    control files cannot be read."""
    return bool(look_json(paths.attempt(attempt).spec).get("marker") == marker(paths, attempt))


def belongs(paths: RunPaths, attempt: int) -> bool:
    """Whether the processes of an attempt's control files are those of this folder: it lies where it was made, is seen
    by another path, or was moved. Not of a copy, whose original is at home still. OSError when that cannot be seen."""
    spec = look_json(paths.attempt(attempt).spec)
    told = spec.get("marker")
    if told == marker(paths, attempt):
        return True
    home = Path(str(told).partition(":")[2])
    if not home.is_absolute():
        return False
    here, there = look_mark(paths.attempt(attempt).spec), look_mark(RunPaths(home).attempt(attempt).spec)
    if here is not None and there is not None and here == there:
        return True
    return look_json(RunPaths(home).attempt(attempt).spec).get("run_id") != spec.get("run_id")


LEVELS = ("graceful", "term", "kill")  # of a stop wish, softest first


@dataclass(frozen=True)
class Beginning:
    """What lay in a run's folder when an attempt was made. before: the marks of some files, by name (None = there was
    none). console_start: see `AttemptPaths`."""

    before: Mapping[str, Any]
    console_start: int

    def has_written(self, folder: Path, name: str) -> bool:
        """Whether a file of the run's folder is new or changed since. OSError when that cannot be known.

        A resumed run's files tell of the attempt before until then. By what the files look like, not by a clock.
        """
        now = look_mark(f"{folder}/{name}")
        return now is not None and self.before.get(name) != list(now)


@dataclass(frozen=True)
class AttemptPaths:
    """The control files of one attempt: `attempts/NNN/` in the run's folder.

    Every question raises OSError when the answer cannot be known: what cannot be read is not taken for absent.
    """

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
    def taken(self) -> Path:
        """There between the moment in which the shim has used its right to start and child.json."""
        return self.root / "child.taken"

    @property
    def reserve(self) -> Path:
        """Disk space held for exit.json, so that a full disk cannot eat the exit code."""
        return self.root / "exit.reserved"

    @property
    def armed(self) -> Path:
        """The token that a stop wish renames."""
        return self.root / "armed"

    @property
    def stays(self) -> Path:
        """There once somebody wished, after its end, that it does not go on by itself."""
        return self.root / "stays"

    @property
    def shim_log(self) -> Path:
        """The shim's own stderr; empty when all is well."""
        return self.root / "shim.log"

    def beginning(self) -> Beginning:
        """What the run's folder held when this attempt was made."""
        told = look_json(f"{self.root}/spec.json")
        before, start = told.get("before"), told.get("console_start")
        if type(start) is not int or not 0 <= start < 2**63:  # what a file can be sought to
            start = 0
        return Beginning(before if isinstance(before, dict) else {}, start)

    def console_start(self) -> int:
        """The byte of console.log at which this attempt's output begins; 0 when that is not known."""
        return self.beginning().console_start

    def stop(self, level: str) -> Path:
        """The name that the token has once `level` was wished."""
        return self.root / f"stop.{level}"

    def read_wish(self) -> str | None:
        """The hardest stop wish left so far, or None."""
        names = ((level, f"{self.root}/stop.{level}") for level in reversed(LEVELS))
        return next((level for level, name in names if look_mark(name) is not None), None)


# of the files that every look at a run asks for; it joins them as text, which is quicker
RECORD, EXIT, LOG, STATE, NOTES = "run.json", "exit.json", "trainer_log.jsonl", "trainer_state.json", "notes.json"
ADAPTERS = frozenset({"adapter_model.safetensors", "adapter_model.bin"})
WEIGHTS = frozenset(
    {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"}
)
ALERTS = "alerts.jsonl"
# what the dashboard writes beside a run: it says nothing of whether the run goes on
BESIDE_RUN = frozenset({NOTES, ALERTS, MACHINE})


@dataclass(frozen=True)
class RunPaths:
    """Every file name of a run's folder; the only place that joins names. `root` is absolute."""

    root: Path

    def named(self, name: str) -> str:
        """A file of the folder as text."""
        return f"{self.root}/{name}"

    @property
    def record(self) -> Path:
        return self.root / RECORD

    @property
    def training_args(self) -> Path:
        """Exactly what was run."""
        return self.root / ARGS_FILE

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
        return self.root / EXIT

    @property
    def trainer_log(self) -> Path:
        return self.root / LOG

    @property
    def running_log(self) -> Path:
        return self.root / "running_log.txt"

    @property
    def printed(self) -> Path:
        """What the run has printed: console.log; where there is none, as of a run of the plain CLI, what LLaMA-Factory
        itself has logged (extras/logging.py), if that is there."""
        own = self.console.exists() or not self.running_log.exists()
        return self.console if own else self.running_log

    @property
    def all_results(self) -> Path:
        return self.root / "all_results.json"

    @property
    def swanlab(self) -> Path:
        """What LLaMA-Factory notes of a SwanLab experiment (extras/constants.py, SWANLAB_CONFIG)."""
        return self.root / "swanlab_public_config.json"

    @property
    def trainer_state(self) -> Path:
        return self.root / STATE

    @property
    def notes(self) -> Path:
        """What people wrote about the run."""
        return self.root / NOTES

    @property
    def machine(self) -> Path:
        """What GPUs, processors, memory and disk did while the run went on."""
        return self.root / MACHINE

    @property
    def alerts(self) -> Path:
        """What was alerted of the run."""
        return self.root / ALERTS

    def attempt(self, number: int) -> AttemptPaths:
        """Control files of attempt `number` (1 is the first)."""
        return AttemptPaths(Path(f"{self.root}/attempts/{number:03d}"))

    def made_attempts(self) -> list[int]:
        """The numbers of all attempts that were made, finished or not, ascending. OSError when that cannot be known."""
        try:
            names = os.listdir(f"{self.root}/attempts")
        except OSError as error:
            if error.errno in NOT_THERE:
                return []
            raise
        return sorted(int(name) for name in names if name.isascii() and name.isdigit())

    def next_attempt(self) -> int:
        """The number of the attempt that would follow those that were made. OSError when that cannot be known."""
        return max(self.made_attempts(), default=0) + 1

    def listing(self) -> list[tuple[str, int, float]]:
        """Name (relative, / between), size in bytes and time of change (epoch seconds) of every file, sorted.

        Without the control files. A folder that is gone gives an empty list.
        """
        return sorted(self._walk(self.root, ""))

    def signs(self) -> list[tuple[str, int, float]]:
        """The same of the files that the run itself writes: what changes among them is a sign of life."""
        return [file for file in self.listing() if file[0] not in BESIDE_RUN]

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
