"""What the rows of the fault suite ask of a run: how often it was started, who is left of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lfdash.engine.registry import ProcessRegistry
from lfdash.files import read_json
from lfdash.launchers.base import MachineIdentity
from lfdash.launchers.local import LocalLauncher
from lfdash.runs.paths import RunPaths, marker
from lfdash.runs.record import TERMINAL, Handle, RunState
from lfdash.runs.view import RunView
from lfdash.supervisor.processes import boot_clock, descendants, marked
from tests.support.runs import wait_for


def new(workspace: Path, *, later: float = 0.0, machine: MachineIdentity | None = None) -> ProcessRegistry:
    """A new dashboard's registry, without its thread; its clock is ahead by `later` seconds."""
    ahead = MachineIdentity(clock=lambda: boot_clock() + later)
    return ProcessRegistry(workspace, LocalLauncher(machine or ahead), interval=0.02)


@contextmanager
def started(workspace: Path) -> Iterator[ProcessRegistry]:
    """A dashboard's registry with its thread."""
    registry = new(workspace)
    registry.start()
    try:
        yield registry
    finally:
        registry.close()


def seen(registry: ProcessRegistry, run_id: str = "id-r1") -> RunView:
    """The run as a fresh look finds it."""
    registry.refresh()
    view = registry.get(run_id)
    assert view is not None, f"{run_id} is lost"
    return view


def over(registry: ProcessRegistry, count: int = 1) -> list[RunView]:
    """The runs once `count` are there and over."""

    def look() -> list[RunView]:
        registry.refresh()
        views = list(registry.snapshot())
        return views if len(views) == count and all(view.state in TERMINAL for view in views) else []

    return wait_for(look, 30)


def becomes(registry: ProcessRegistry, state: RunState, run_id: str = "id-r1") -> RunView:
    """The run once it is in a state."""
    return wait_for(lambda: view if (view := seen(registry, run_id)).state is state else None, 30)  # type: ignore


def starts(paths: RunPaths) -> int:
    """How often the stand-in was started for a run: each start says so in the one log."""
    return len(re.findall(r"^started$", paths.console.read_text(), re.M)) if paths.console.exists() else 0


def alive(paths: RunPaths, attempt: int = 1) -> int:
    """How many processes of a run there are, by their marker."""
    return len(marked(marker(paths, attempt)))


def shims(paths: RunPaths, attempt: int = 1) -> int:
    """How many shims there are for a run."""
    own = str(paths.attempt(attempt).root).encode()
    return sum(own in words(pid) for pid in descendants(1))


def words(pid: int) -> bytes:
    """A process's command line."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def pids(handle: Handle) -> tuple[int, int]:
    """(shim, child) of a run, once both are there."""
    path = handle.paths.attempt(handle.attempt).child
    child = wait_for(lambda: read_json(path))
    return child["shim"], child["child"]
