"""What every launcher offers and answers. Expected failures are values."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from lfdash.outcomes import Refused
from lfdash.runs.paths import RunPaths
from lfdash.runs.plan import LaunchPlan
from lfdash.runs.record import Handle, RunRecord, Status
from lfdash.supervisor import processes
from lfdash.supervisor.processes import boot_clock

Level = Literal["graceful", "term", "kill"]


@dataclass(frozen=True)
class MachineIdentity:
    """What tells a machine, its boot and its time; tests put others in its place.

    boot_id: the same only on one machine until it boots again. clock: seconds since the boot, which nobody sets.
    """

    host: Callable[[], str] = lambda: os.uname().nodename
    boot_id: Callable[[], str] = processes.boot_id
    clock: Callable[[], float] = boot_clock


THIS = MachineIdentity()


@dataclass(frozen=True)
class Launched:
    """The run was started."""

    handle: Handle

    @property
    def run_id(self) -> str:
        return self.handle.run_id


@dataclass(frozen=True)
class ArrayTask:
    """One run of several that are submitted together. secrets: for it alone."""

    plan: LaunchPlan
    record: RunRecord
    secrets: Mapping[str, str]


@dataclass(frozen=True)
class Array:
    """Runs that are submitted together. name: of the array in the scheduler. at_once: how many of them go on at a
    time. script: the file in which what is submitted is kept, absolute."""

    name: str
    at_once: int
    script: Path


@runtime_checkable
class ArrayLauncher(Protocol):
    """A launcher whose scheduler takes several runs in one submission, and starts so many of them at once as it was
    told."""

    def most_together(self) -> int | Refused:
        """How many runs one array may have; 0 or 1 where there are none. Refused: that is not known just now
        (scheduler_silent). Waits for the very first answer, 2 s at most, and for no other."""
        ...

    def array_script(self, plans: Sequence[LaunchPlan], name: str, at_once: int) -> str:
        """What is submitted for these runs: what is previewed of an array. "" where there is no such target. Pure."""
        ...

    def alike(self, plan: LaunchPlan) -> object:
        """What runs must have in common to be in one array."""
        ...

    def submit_array(self, array: Array, tasks: Sequence[ArrayTask]) -> tuple[Launched, ...] | Refused:
        """Starts all, each exactly once, or none; see `Launcher.submit`."""
        ...


@dataclass(frozen=True)
class Interruption:
    """Whether an attempt was ended by its scheduler, and what was said of that when it was submitted. why:
    "time_limit", "preempted" (to make room for another job), "" for any other end, "unknown" while the scheduler has
    not said. most: attempts in a row that may follow by themselves. step: the one that it began after. ours: whether
    this user's lfdash submitted it, from this very folder."""

    why: Literal["time_limit", "preempted", "unknown", ""] = ""
    most: int = 0
    step: int = 0
    ours: bool = True


@runtime_checkable
class InterruptingLauncher(Protocol):
    """A launcher whose scheduler ends runs before they are done."""

    def interruption(self, handle: Handle) -> Interruption:
        """Why an attempt that is over was ended. OSError when its folder cannot be read."""
        ...


class Launcher(Protocol):
    """Starts runs and says how they do. No method waits for a run to end.

    name: its row in the table; the records of its runs carry it. local: whether its runs go on on this machine: they
    take its devices and its ports, and what is installed here decides what they can do.
    """

    name: str
    local: bool

    def plan(self, plan: LaunchPlan) -> LaunchPlan:
        """The plan as this launcher will run it (with its allocation, its batch script): what the user previews and
        what `submit` is given. Pure."""
        ...

    def submit(self, plan: LaunchPlan, record: RunRecord, secrets: Mapping[str, str]) -> Launched | Refused:
        """Makes the run's folder and starts it: completely, or not at all. Exactly once per folder."""
        ...

    def adopt(self, paths: RunPaths, record: RunRecord) -> Handle:
        """A handle on a run that another process started."""
        ...

    def poll(self, handle: Handle) -> Status:
        """How the attempt does now. OSError when that cannot be seen; nothing is said to be over without evidence."""
        ...

    def stop(self, handle: Handle, level: Level) -> Refused | None:
        """Leaves the wish to stop; a harder one may follow. Refused("not_running") when it is over."""
        ...

    def give_up(self, handle: Handle) -> bool:
        """Makes sure that an attempt which `poll` calls over is not started by somebody who comes late. True: it never
        was, and never will be. False: it was started once, and what `poll` says is all. OSError: nothing is known."""
        ...

    def reap(self) -> None:
        """Called after each look at the runs: takes what the system keeps for this process of those that ended."""
        ...

    def release(self, handle: Handle, seconds: float) -> None:
        """Forgets a run that is over, so that its folder can be moved; what of it still ends is waited for, at most
        so long."""
        ...
