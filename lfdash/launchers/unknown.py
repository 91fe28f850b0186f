"""Stands for a launcher that is not known here: one of a newer version, or of packages that are missing."""

from __future__ import annotations

from collections.abc import Mapping

from lfdash.launchers.base import Launched, Level
from lfdash.outcomes import Refused
from lfdash.runs.paths import RunPaths
from lfdash.runs.plan import LaunchPlan
from lfdash.runs.record import Handle, RunRecord, Status, read_exit


class UnknownLauncher:
    """Starts nothing and signals nobody. Its runs are told by their exit record and by what lies in their folders;
    whether one still goes on cannot be seen from here."""

    local = False

    def __init__(self, name: str) -> None:
        self.name = name

    def plan(self, plan: LaunchPlan) -> LaunchPlan:
        """The plan as it is."""
        return plan

    def submit(self, plan: LaunchPlan, record: RunRecord, secrets: Mapping[str, str]) -> Launched | Refused:
        """Refused("launcher_unknown")."""
        return Refused("launcher_unknown", {"name": self.name})

    def adopt(self, paths: RunPaths, record: RunRecord) -> Handle:
        """A handle to read the run's files by."""
        return Handle(record.run_id, record.last.number, paths)

    def poll(self, handle: Handle) -> Status:
        """Its exit record, else lost. A wish to stop is not told: nobody here knows whether it was acted on."""
        ended = read_exit(handle)
        if ended is None:
            return Status("lost", why="launcher")
        return Status("ended", ended, handle.paths.attempt(handle.attempt).read_wish(), ended.started)

    def stop(self, handle: Handle, level: Level) -> Refused | None:
        """Refused("launcher_unknown")."""
        return Refused("launcher_unknown", {"name": self.name})

    def give_up(self, handle: Handle) -> bool:
        """False: nobody comes late."""
        return False

    def reap(self) -> None:
        """Nothing: it has started nothing."""

    def release(self, handle: Handle, seconds: float) -> None:
        """Nothing: it has started nothing."""
