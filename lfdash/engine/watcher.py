"""The runs of a workspace as a look finds them, on disk and among the processes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lfdash.launchers.table import Launchers
from lfdash.runs.kept import Kept
from lfdash.runs.paths import RunPaths
from lfdash.runs.record import ALLOWED, TERMINAL, Handle, RunRecord, Status
from lfdash.runs.scan import RunScan
from lfdash.runs.stall import StallDetector
from lfdash.runs.view import RunView

LET_GO_S = 5.0  # for what has written down how its run ended, and ends

logger = logging.getLogger(__name__)


class Watcher:
    """Looks at the runs of a workspace; it writes nothing. Any thread may use it.

    launchers: the run's own says how it does. folders: where links may lead. views: what the last look found, newest
    run first. alive: those among them that are not over. redactor: makes the function that hides secrets in a text.
    """

    def __init__(
        self, workspace: Path, launchers: Launchers, redactor: Callable[[], Callable[[str], str]],
        folders: Sequence[Path] = (),
    ) -> None:
        self.workspace = workspace
        self.launchers = launchers
        self.views: tuple[RunView, ...] = ()
        self.alive: list[RunView] = []
        self.stall_detector = StallDetector()
        self.lock = threading.RLock()  # held for a look, never while another process is waited for
        self._redactor = redactor
        self._redact: Callable[[str], str] | None = None
        self._handles: dict[str, Handle] = {}
        self._scan = RunScan(workspace, self.poll, self._finished, folders=folders)

    @property
    def unseen(self) -> Mapping[str, str]:
        """What the last looks could not see: folder -> why."""
        with self.lock:
            return self._scan.unseen

    @property
    def in_doubt(self) -> tuple[str, str] | None:
        """One of them that may have a device, and why; None when there is none."""
        with self.lock:
            return self._scan.in_doubt

    def take(self, kept: Kept) -> None:
        """Takes what an earlier process has found; before the first look."""
        with self.lock:
            self._scan.take(kept)

    def keep(self) -> Kept:
        """What a later process need not look at again."""
        with self.lock:
            return self._scan.keep()

    def look(self, *, everything: bool = True) -> None:
        """Looks at the alive runs, and for new folders when `everything`."""
        with self.lock:
            self._redact = None  # a secret may have been added
            self._scan.look(everything=everything)
            alive = self._scan.alive
            self.views = self.stall_detector.look(self._scan.views, alive)
            if self.views is not self._scan.views:
                noted = {view.path: view for view in self.views if view.stall is not None}
                alive = [noted.get(view.path, view) for view in alive]
            self.alive = alive
            self.launchers.reap()

    def look_at(self, folder: Path) -> RunView | None:
        """One run as its folder says now, whatever an earlier look has found; None when there is none (any more)."""
        with self.lock:
            self._scan.look_at(folder)
            self.look(everything=False)
            return next((view for view in self.views if view.path == folder), None)

    def poll(self, paths: RunPaths, record: RunRecord) -> Status:
        """What its launcher knows of a record's newest attempt. OSError when it cannot tell."""
        return self.launchers.get(record.launcher).poll(self.handle(paths, record))

    def handle(self, paths: RunPaths, record: RunRecord) -> Handle:
        """The handle that is held for an attempt. One that was found in another folder is a copy, or was moved."""
        launcher = self.launchers.get(record.launcher)
        known = self._handles.get(record.run_id)
        if known is not None and (known.attempt, known.paths) == (record.last.number, paths):
            return known
        adopted = launcher.adopt(paths, record)
        if known is None or known.attempt < adopted.attempt:
            self._handles[record.run_id] = adopted
        return adopted

    def _finished(self, before: RunView | None, now: RunView) -> RunView:
        """The view that is kept: one that can follow the one before, without secrets."""
        if now.error:
            self._redact = self._redact or self._redactor()
            now = hidden(now, self._redact)
        return settled(before, now)

    def hold(self, run_id: str, handle: Handle) -> None:
        """Keeps the handle of a run that was just started."""
        self._handles[run_id] = handle

    def let_go(self, run_id: str, launcher: str) -> None:
        """Forgets the handle of a run that is over, or of which nothing was started, once what of it still ends has
        ended. launcher: the one that its record names."""
        handle = self._handles.pop(run_id, None)
        if handle is not None:
            self.launchers.get(launcher).release(handle, LET_GO_S)


def hidden(view: RunView, redact: Callable[[str], str]) -> RunView:
    """The view without a secret in its error line."""
    error = redact(view.error) if view.error else view.error
    return view if error == view.error else replace(view, error=error)


def settled(before: RunView | None, now: RunView) -> RunView:
    """`now`, or with the state of `before` when that attempt cannot have come from there to here: what a look
    between two writes of another process finds must not be shown. An end without a code was
    seen by nobody, and does not bind: an attempt that was taken back while it was looked at is made anew. Another run
    in the same folder goes its own way."""
    if before is None or before.record is None or (before.run_id, before.attempt) != (now.run_id, now.attempt):
        return now
    if before.state in TERMINAL and before.exit_code is None:
        return now
    if now.state is before.state or now.state in ALLOWED[before.state]:
        return now
    logger.warning("run %s seems to go from %s to %s", now.run_id, before.state, now.state)
    return replace(now, state=before.state)
