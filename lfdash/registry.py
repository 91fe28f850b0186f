"""The process-wide registry: starts runs, watches them, answers who runs."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from filelock import FileLock, Timeout

from lfdash import failpoints, shim
from lfdash.launchers.base import Handle, Launched, Launcher, Level, Refused, Status, refused_by
from lfdash.plan import LaunchPlan
from lfdash.run import ALLOWED, TERMINAL, RunPaths, RunRecord, RunState
from lfdash.store import Cached, RunView, elsewhere, scan

WALK_EVERY = 10  # looks at the alive runs between two searches for folders that others made
LOCK_S = 10.0  # how long another dashboard on this workspace may take to start a run

logger = logging.getLogger(__name__)


class ProcessRegistry:
    """All runs of one workspace, watched by one daemon thread; sessions read its snapshot.

    workspace: absolute folder. interval: seconds between two looks at the alive runs.
    """

    def __init__(self, workspace: Path, launcher: Launcher, *, interval: float = 0.5) -> None:
        self.workspace = workspace
        self.launcher = launcher
        self._interval = interval
        self._handles: dict[str, Handle] = {}
        self._secrets: dict[str, str] = {}
        self._cache: dict[Path, Cached] = {}
        self._views: tuple[RunView, ...] = ()
        self._lock = threading.RLock()  # everything but the snapshot, which is replaced as a whole
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Finds the workspace's runs (before it returns) and starts the thread. Idempotent."""
        with self._lock:
            if self._thread is not None:
                return
            self._closing.clear()
            self.refresh()
            self._thread = threading.Thread(target=self._watch, name="lfdash-registry", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Ends the thread. Runs go on."""
        self._closing.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()

    def _watch(self) -> None:
        looks = 0
        while not self._closing.wait(self._interval):
            looks += 1
            try:
                self.refresh(everything=looks % WALK_EVERY == 0)
            except Exception:  # the thread must not die of one odd folder: no run would be seen to end
                logger.exception("looking at the runs of %s failed", self.workspace)

    def refresh(self, *, everything: bool = True) -> None:
        """Looks at the alive runs, and for new folders when `everything`."""
        with self._lock:
            folders = None
            if not everything:
                folders = [path for path, held in self._cache.items() if held.view.state not in TERMINAL]
            views = scan(self.workspace, self._cache, self._poll, folders)
            before = {view.run_id: view for view in self._views}
            self._views = tuple(self._noted(settled(before.get(view.run_id), view)) for view in views)
            self._reap()

    def _poll(self, paths: RunPaths, record: RunRecord) -> Status:
        return self.launcher.poll(self._handle(paths, record))

    def _handle(self, paths: RunPaths, record: RunRecord) -> Handle:
        """The handle that is held for an attempt. One that was found in another folder is a copy, or was moved."""
        held = self._handles.get(record.run_id)
        if held is not None and held.attempt == record.last.number:
            return held if held.paths == paths else self.launcher.adopt(paths, record)
        found = self._handles[record.run_id] = self.launcher.adopt(paths, record)
        return found

    def _noted(self, view: RunView) -> RunView:
        """Writes into run.json how a run ended, once. The view is right whether or not that works."""
        record = view.record
        if record is None or view.state not in TERMINAL or record.last.state is view.state:
            return view
        status = self._poll(view.paths, record)
        if status.phase != "ended" and view.state is RunState.LOST:
            return view  # it may be found again: nothing to write down
        record = record.with_last(state=view.state, stop=status.wish, exit=status.exit)
        failpoints.hit("registry.before_noted")
        with suppress(OSError):
            shim.write_text_atomic(str(view.paths.record), record.to_json())
        failpoints.hit("registry.after_noted")
        return replace(view, record=record)

    def _reap(self) -> None:
        """Takes the exit codes of shims that ended, a moment after they wrote down how the run did; nobody else
        may wait for them."""
        for handle in self._handles.values():
            if handle.process is not None:
                handle.process.poll()

    def launch(self, plan: LaunchPlan, record: RunRecord) -> Launched | Refused:
        """Starts a run, or says why not; the snapshot has it when this returns.

        Refused: busy (a run is alive), no_output, outside, secret_missing, another_launch, and what the
        launcher refuses (exists, disk, readonly, cli_missing, not_linux, space, start_failed).
        """
        failpoints.hit("launch.clicked")
        refused = check_output(plan)
        if refused is not None:
            return refused
        private = self.workspace / ".lfdash"
        try:
            private.mkdir(parents=True, exist_ok=True)
            with self._lock, FileLock(private / "launch.lock", timeout=LOCK_S):
                return self._launch(plan, record)
        except Timeout:
            return Refused("another_launch")
        except OSError as error:
            return refused_by(error, private)

    def _launch(self, plan: LaunchPlan, record: RunRecord) -> Launched | Refused:
        failpoints.hit("launch.locked")
        self.refresh()
        busy = next((view for view in self._views if view.record and view.state not in TERMINAL), None)
        if busy is not None:
            return Refused("busy", {"run": busy.name})
        missing = [name for name in plan.secrets if not self.has_secret(name)]
        if missing:
            return Refused("secret_missing", {"name": ", ".join(missing)})
        note = self._note_place(plan)
        secrets = {name: self._secrets.get(name) or os.environ[name] for name in plan.secrets}
        failpoints.hit("launch.checked")
        outcome = self.launcher.submit(plan, record, secrets)
        failpoints.hit("launch.submitted")
        if isinstance(outcome, Refused):
            if note is not None:
                note.unlink(missing_ok=True)
            return outcome
        self._handles[plan.run_id] = outcome.handle
        self.refresh()
        return outcome

    def _note_place(self, plan: LaunchPlan) -> Path | None:
        """Notes where a run outside saves/ lies, so that it is found again. OSError when that is not possible."""
        root = Path(plan.cwd) / plan.output_dir
        if root.is_relative_to(self.workspace / "saves"):
            return None
        note = elsewhere(self.workspace) / plan.run_id
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(str(root), encoding="utf-8")
        return note

    def snapshot(self) -> tuple[RunView, ...]:
        """All runs, newest first."""
        return self._views

    def get(self, run_id: str) -> RunView | None:
        """One run of the snapshot."""
        return next((view for view in self._views if view.run_id == run_id), None)

    def stop(self, run_id: str, level: Level) -> Refused | None:
        """Leaves the wish to stop a run; None when it was left. The snapshot says STOPPING when this returns.

        Refused: unknown, plain (a run that the plain CLI started), not_running, readonly.
        """
        with self._lock:
            view = self.get(run_id)
            if view is None:
                return Refused("unknown")
            if view.record is None:
                return Refused("plain")
            refused = self.launcher.stop(self._handle(view.paths, view.record), level)
            self.refresh(everything=False)
            return refused

    def discard(self, run_id: str) -> Refused | None:
        """Moves the folder of a run that is over to the workspace's trash, from where it can be taken back.

        Refused: unknown, plain (its process is not known to be over), alive, readonly, disk.
        """
        with self._lock:
            self.refresh()
            view = self.get(run_id)
            if view is None:
                return Refused("unknown")
            if view.record is None:
                return Refused("plain")
            if view.state not in TERMINAL:
                return Refused("alive", {"run": view.name})
            target = self.workspace / ".lfdash" / "trash" / f"{view.name}.{run_id}"
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                failpoints.hit("trash.before_move")
                shutil.move(view.path, free_name(target))
                failpoints.hit("trash.after_move")
            except OSError as error:
                return refused_by(error, view.path)
            self._handles.pop(run_id, None)
            self.refresh()
            return None

    def set_secret(self, name: str, value: str) -> None:
        """Keeps a secret in memory for later launches; an empty value forgets it."""
        with self._lock:
            if value:
                self._secrets[name] = value
            else:
                self._secrets.pop(name, None)

    def redact(self, text: str) -> str:
        """A text without the secrets that are known here."""
        for name, value in self._secrets.items():
            text = text.replace(value, f"•••{name}")
        return text

    def has_secret(self, name: str) -> bool:
        """Whether the secret is here or in the server's environment."""
        return bool(self._secrets.get(name) or os.environ.get(name))


def free_name(path: Path) -> Path:
    """The path, or with a number behind it when something is there."""
    number, found = 1, path
    while found.exists():
        number += 1
        found = path.with_name(f"{path.name}-{number}")
    return found


def check_output(plan: LaunchPlan) -> Refused | None:
    """Refuses a plan without an output folder, or with one that climbs out of the workspace."""
    if not plan.output_dir.strip("./ "):
        return Refused("no_output")
    if ".." in Path(plan.output_dir).parts:
        return Refused("outside", {"path": plan.output_dir})
    return None


def settled(before: RunView | None, now: RunView) -> RunView:
    """`now`, or with the state of `before` when that attempt cannot have come from there to here: what a look
    between two writes of another process finds must not be shown, let alone written down."""
    if before is None or before.record is None or before.attempt != now.attempt:
        return now
    if now.state is before.state or now.state in ALLOWED[before.state]:
        return now
    logger.warning("run %s seems to go from %s to %s", now.run_id, before.state, now.state)
    return replace(now, state=before.state)
