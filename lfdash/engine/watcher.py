"""The runs of a workspace as a look finds them, on disk and among the processes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from lfdash.errors import RecordError
from lfdash.files import read_plain, write_text_atomic
from lfdash.launchers.table import Launchers
from lfdash.runs.paths import RunPaths
from lfdash.runs.record import ALLOWED, TERMINAL, Handle, RunRecord, RunState, Status
from lfdash.runs.scan import Cached, scan
from lfdash.runs.stall import StallDetector
from lfdash.runs.view import RunView
from lfdash.supervisor import failpoints

REST_S = 30.0  # after a disk that did not let an end be noted
LET_GO_S = 5.0  # for what has written down how its run ended, and ends

logger = logging.getLogger(__name__)


class Watcher:
    """Looks at the runs and writes into their records how they ended. Used under the registry's lock.

    launchers: the run's own says how it does. views: what the last look found, newest run first. redactor: makes the
    function that hides secrets in a text.
    """

    def __init__(
        self, workspace: Path, launchers: Launchers, redactor: Callable[[], Callable[[str], str]]
    ) -> None:
        self.workspace = workspace
        self.launchers = launchers
        self.views: tuple[RunView, ...] = ()
        self.stall_detector = StallDetector()
        self._redactor = redactor
        self._handles: dict[str, Handle] = {}
        self._cache: dict[Path, Cached] = {}
        self._note_after = 0.0
        self.notes_ends = True

    def look(self, *, everything: bool = True) -> None:
        """Looks at the alive runs, and for new folders when `everything`."""
        folders = None
        if not everything:
            folders = [path for path, held in self._cache.items() if held.view.state not in TERMINAL]
        views = scan(self.workspace, self._cache, self.poll, folders)
        before = {view.run_id: view for view in self.views}
        redact = self._redactor()
        noted = [self._noted(hidden(settled(before.get(view.run_id), view), redact)) for view in views]
        self.views = self.stall_detector.look(noted)
        self.launchers.reap()

    def poll(self, paths: RunPaths, record: RunRecord) -> Status:
        """What its launcher knows of a run's newest attempt."""
        return self.launchers.get(record.launcher).poll(self.handle(paths, record))

    def handle(self, paths: RunPaths, record: RunRecord) -> Handle:
        """The handle that is held for an attempt. One that was found in another folder is a copy, or was moved."""
        launcher = self.launchers.get(record.launcher)
        known = self._handles.get(record.run_id)
        if known is not None and known.attempt == record.last.number:
            return known if known.paths == paths else launcher.adopt(paths, record)
        adopted = self._handles[record.run_id] = launcher.adopt(paths, record)
        return adopted

    def _noted(self, view: RunView) -> RunView:
        """Writes into run.json how a run ended, once, where this process does that (`notes_ends`): one that only looks
        must not write a record that it read a while ago. The view is right whether or not it is written."""
        record = view.record
        if record is None or view.state not in TERMINAL or record.last.state is view.state:
            return view
        if view.state is RunState.LOST or time.monotonic() < self._note_after:
            return view  # a lost one may be found again: nothing to write down
        status = self.poll(view.paths, record)
        record = record.with_last(state=view.state, stop=status.wish, exit=status.exit)
        try:
            failpoints.hit("registry.before_noted")
            if self.notes_ends and is_newest(view.paths, record):
                write_text_atomic(view.paths.record, record.to_json())
            failpoints.hit("registry.after_noted")
        except OSError:
            self._note_after = time.monotonic() + REST_S
            return replace(view, record=record)
        cached = self._cache.get(view.path)
        if cached is not None and cached.view.attempt == view.attempt:
            cached.view = replace(cached.view, record=record)  # or the next look would write it again
        return replace(view, record=record)

    def hold(self, run_id: str, handle: Handle) -> None:
        """Keeps the handle of a run that was just started."""
        self._handles[run_id] = handle

    def let_go(self, run_id: str, launcher: str) -> None:
        """Forgets the handle of a run that is over, or of which nothing was started, once what of it still ends has
        ended. launcher: the one that its record names."""
        handle = self._handles.pop(run_id, None)
        if handle is not None:
            self.launchers.get(launcher).release(handle, LET_GO_S)


def is_newest(paths: RunPaths, record: RunRecord) -> bool:
    """Whether a record on disk has no attempt that this one lacks: another process may have resumed the run since it
    was read."""
    try:
        return RunRecord.from_json(read_plain(paths.record)).last.number <= record.last.number
    except (RecordError, UnicodeDecodeError):
        return False


def hidden(view: RunView, redact: Callable[[str], str]) -> RunView:
    """The view without a secret in its error line."""
    error = redact(view.error) if view.error else view.error
    return view if error == view.error else replace(view, error=error)


def settled(before: RunView | None, now: RunView) -> RunView:
    """`now`, or with the state of `before` when that attempt cannot have come from there to here: what a look
    between two writes of another process finds must not be shown, let alone written down. An end without a code was
    seen by nobody, and does not bind: an attempt that was taken back while it was looked at is made anew."""
    if before is None or before.record is None or before.attempt != now.attempt:
        return now
    if before.state in TERMINAL and before.exit_code is None:
        return now
    if now.state is before.state or now.state in ALLOWED[before.state]:
        return now
    logger.warning("run %s seems to go from %s to %s", now.run_id, before.state, now.state)
    return replace(now, state=before.state)
