"""The process-wide registry: starts runs, watches them, answers who runs."""

from __future__ import annotations

from pathlib import Path

from lfdash.launchers.base import Launched, Launcher, Level, Refused
from lfdash.plan import LaunchPlan
from lfdash.run import RunRecord
from lfdash.store import RunView


class ProcessRegistry:
    """All runs of one workspace, watched by one daemon thread; sessions read its snapshot.

    workspace: absolute folder. interval: seconds between two looks at the alive runs.
    """

    def __init__(self, workspace: Path, launcher: Launcher, *, interval: float = 0.5) -> None:
        raise NotImplementedError

    def start(self) -> None:
        """Finds the workspace's runs (before it returns) and starts the thread. Idempotent."""
        raise NotImplementedError

    def close(self) -> None:
        """Ends the thread. Runs go on."""
        raise NotImplementedError

    def launch(self, plan: LaunchPlan, record: RunRecord) -> Launched | Refused:
        """Starts a run, or says why not; the snapshot has it when this returns."""
        raise NotImplementedError

    def snapshot(self) -> tuple[RunView, ...]:
        """All runs, newest first."""
        raise NotImplementedError

    def get(self, run_id: str) -> RunView | None:
        """One run of the snapshot."""
        raise NotImplementedError

    def stop(self, run_id: str, level: Level) -> Refused | None:
        """Leaves the wish to stop a run; None when it was left."""
        raise NotImplementedError

    def set_secret(self, name: str, value: str) -> None:
        """Keeps a secret in memory for later launches; an empty value forgets it."""
        raise NotImplementedError

    def has_secret(self, name: str) -> bool:
        """Whether the secret is here or in the server's environment."""
        raise NotImplementedError
