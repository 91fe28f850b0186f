"""What every launcher offers and answers. Expected failures are values."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import Any, Literal, Protocol

from lfdash.runs.plan import LaunchPlan
from lfdash.runs.record import Exit, RunPaths, RunRecord
from lfdash.supervisor import shim

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)
TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)

Level = Literal["graceful", "term", "kill"]
Phase = Literal["starting", "running", "ended", "lost"]
Why = Literal["gone", "boot", "host"]


@dataclass(frozen=True)
class Machine:
    """What tells a machine, its boot and its time; tests put others in its place.

    boot_id: the same only on one machine until it boots again. clock: seconds since the boot, which nobody sets.
    """

    host: Callable[[], str] = lambda: os.uname().nodename
    boot_id: Callable[[], str] = shim.boot_id
    clock: Callable[[], float] = shim.boot_clock


THIS = Machine()


@dataclass(frozen=True)
class Handle:
    """A run that this process watches: one it started (`process`), or one it found (None: adopted)."""

    run_id: str
    attempt: int
    paths: RunPaths
    process: Popen[bytes] | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Launched:
    """The run was started."""

    handle: Handle

    @property
    def run_id(self) -> str:
        return self.handle.run_id


@dataclass(frozen=True)
class Refused:
    """Nothing was started or changed. The text of `code` is in the locales' [outcomes]; `params` fill it."""

    code: str
    params: Mapping[str, Any] = field(default_factory=dict)


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


class Launcher(Protocol):
    """Starts runs and says how they do. No method waits for a run."""

    name: str

    def plan(self, plan: LaunchPlan) -> LaunchPlan:
        """The plan as this launcher will run it; what the user previews. Pure."""
        ...

    def submit(self, plan: LaunchPlan, record: RunRecord, secrets: Mapping[str, str]) -> Launched | Refused:
        """Makes the run's folder and starts it: completely, or not at all. Exactly once per folder."""
        ...

    def adopt(self, paths: RunPaths, record: RunRecord) -> Handle:
        """A handle on a run that another process started."""
        ...

    def poll(self, handle: Handle) -> Status:
        """How the run does now."""
        ...

    def stop(self, handle: Handle, level: Level) -> Refused | None:
        """Leaves the wish to stop; a harder one may follow. Refused("not_running") when it is over."""
        ...

    def logs(self, handle: Handle) -> Path:
        """The file that holds the run's output."""
        ...


def refused_by(error: OSError, path: Path) -> Refused:
    """The outcome for a failure of the file system: disk, readonly, exists or start_failed."""
    for code, numbers in (("disk", DISK_FULL), ("readonly", NOT_WRITABLE), ("exists", TAKEN)):
        if error.errno in numbers:
            return Refused(code, {"path": str(path)})
    return Refused("start_failed", {"reason": f"{type(error).__name__}: {error}"})


def unchanged_by(error: OSError, path: Path) -> Refused:
    """The outcome of something else than a start that the file system did not let be: readonly, disk_kept, failed."""
    if error.errno in DISK_FULL:
        return Refused("disk_kept", {"path": str(path)})
    if error.errno in NOT_WRITABLE:
        return Refused("readonly", {"path": str(path)})
    return Refused("failed", {"reason": f"{type(error).__name__}: {error}"})
