"""Finds the runs of a workspace and says how each stands, from its folder and its launcher's status."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lfdash.metrics import Progress
from lfdash.run import RunPaths, RunRecord, RunState


@dataclass(frozen=True)
class Saved:
    """What lies in the run's folder.

    model: "adapter" or "model" (whole weights) at top level, or None. step: the step it was saved at, where
    known (0: a stop before the first step saved an untrained one). checkpoints: their steps, ascending.
    """

    model: str | None = None
    step: int | None = None
    checkpoints: tuple[int, ...] = ()


@dataclass(frozen=True)
class RunView:
    """A run as a page shows it.

    path: absolute folder; output_dir: the same relative to the workspace. record: None for a run of the plain
    CLI (read-only). exit_code: None while alive or when nobody saw it; -N = killed by signal N. error: the
    exception line of one that failed. awaiting: while STOPPING, what is waited for: "data" (loading and
    tokenizing cannot be interrupted), "save" (the step ends, then the model is saved), "evaluation" (the last
    evaluation runs to its end), "term", "kill". started, ended: epoch seconds.
    """

    run_id: str
    name: str
    path: Path
    output_dir: str
    state: RunState
    record: RunRecord | None = None
    attempt: int = 1
    progress: Progress = Progress()
    exit_code: int | None = None
    error: str | None = None
    saved: Saved = Saved()
    awaiting: str | None = None
    started: float | None = None
    ended: float | None = None

    @property
    def paths(self) -> RunPaths:
        """The names of the files in its folder."""
        return RunPaths(self.path)
