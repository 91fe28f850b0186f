"""What users do with the queue: add, cancel, take back, hold, release, move. Every change holds the launch lock."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lfdash.errors import RecordError
from lfdash.files import read_json_file
from lfdash.jobs.resources import ResourceRequest
from lfdash.outcomes import Refused, refused_by
from lfdash.queue.store import SUFFIX, Queued, QueueEntry, QueueSettings, QueueStore
from lfdash.runs.plan import LaunchPlan
from lfdash.runs.record import RunRecord
from lfdash.runs.view import Reason
from lfdash.supervisor import failpoints

LOCK_S = 10.0  # how long another dashboard on this workspace may take to start a run
CANCELLED = ".cancelled.json"
KEPT = 20  # cancelled jobs that can be taken back
BY_USER = Reason("user")


class LaunchLock:
    """One launch, or one change of the queue, at a time: among this process's threads and other dashboards.

    Nothing else waits for it: looks at the runs and Stop go on while somebody else holds it. check: raises
    WorkspaceGone (an OSError) when the workspace is not where it was.
    """

    def __init__(self, private: Path, check: Callable[[], None] = lambda: None) -> None:
        self.private = private
        self._check = check

    @contextmanager
    def held(self, timeout: float = LOCK_S) -> Iterator[None]:
        """Not to be nested. Timeout when another thread or dashboard holds it, OSError when the disk does not let it
        or the workspace was moved."""
        self._check()
        self.private.mkdir(exist_ok=True)
        lock = FileLock(self.private / "launch.lock", timeout=timeout)
        try:
            lock.acquire()
        except Timeout:
            self._ask()
            raise
        try:
            self._check()
            yield
        finally:
            lock.release()

    def _ask(self) -> None:
        """OSError where the file system has no locks: filelock takes every failure for a lock that is held."""
        descriptor = os.open(self.private / "launch.lock", os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        finally:
            os.close(descriptor)


class QueueCommands:
    """The queue of one workspace. `changed` is called after each change; the jobs are started by the registry."""

    def __init__(self, launch_lock: LaunchLock, changed: Callable[[], None]) -> None:
        self.jobs = QueueStore(launch_lock.private / "queue")
        self._lock = launch_lock
        self._changed = changed

    def _change(self, what: Callable[[], Refused | None]) -> Refused | None:
        """Runs a change under the lock. Refused: another_launch, disk, readonly, start_failed, or its own."""
        try:
            with self._lock.held():
                refused = what()
        except Timeout:
            return Refused("another_launch")
        except OSError as error:
            return refused_by(error, self.jobs.folder)
        self._changed()
        return refused

    def add(self, plan: LaunchPlan, record: RunRecord, request: ResourceRequest) -> Queued | Refused:
        """Puts a job behind all others. Refused: exists (its folder or another waiting job has the name)."""

        def put() -> Refused | None:
            if taken(plan, self.jobs.entries()):
                return Refused("exists", {"path": plan.output_dir})
            failpoints.hit("queue.before_added")
            self.jobs.write(QueueEntry(plan, record, request, self.jobs.last_order(), time.time()))
            failpoints.hit("queue.after_added")
            return None

        refused = self._change(put)
        if refused is not None:
            return refused
        waiting = [entry.run_id for entry in self.jobs.entries()]
        return Queued(plan.run_id, waiting.index(plan.run_id) + 1 if plan.run_id in waiting else 0)

    def _on(self, run_id: str, what: Callable[[QueueEntry], None]) -> Refused | None:
        """A change of one waiting job. Refused("not_waiting") when it has started or is gone."""

        def change() -> Refused | None:
            entry = self.jobs.get(run_id)
            if entry is None or entry.begun:
                return Refused("not_waiting")
            what(entry)
            return None

        return self._change(change)

    def cancel(self, run_id: str) -> Refused | None:
        """Takes a job out of the queue; `take_back` undoes that."""

        def drop(_entry: QueueEntry) -> None:
            os.replace(self.jobs.file(run_id), self.jobs.folder / f"{run_id}{CANCELLED}")
            for old in self._cancelled()[KEPT:]:
                old.unlink(missing_ok=True)

        return self._on(run_id, drop)

    def _cancelled(self) -> list[Path]:
        """Files of cancelled jobs, the latest first."""
        found = self.jobs.folder.glob(f"*{CANCELLED}")
        return sorted(found, key=lambda path: path.stat().st_ctime_ns, reverse=True)

    def take_back(self, run_id: str) -> Refused | None:
        """Puts a cancelled job back where it was. Refused: not_waiting (it is not there), exists."""
        kept = self.jobs.folder / f"{run_id}{CANCELLED}"

        def back() -> Refused | None:
            try:
                data = read_json_file(kept)
                if not isinstance(data, dict):
                    return Refused("not_waiting")
                entry = QueueEntry.from_data(data)
            except RecordError:
                return Refused("not_waiting")
            if taken(entry.plan, self.jobs.entries()):
                return Refused("exists", {"path": entry.plan.output_dir})
            os.replace(kept, self.jobs.folder / f"{run_id}{SUFFIX}")
            return None

        return self._change(back)

    def hold(self, run_id: str) -> Refused | None:
        """Keeps a job from being started until it is released."""
        return self._on(run_id, lambda entry: self.jobs.write(replace(entry, held=BY_USER)))

    def release(self, run_id: str) -> Refused | None:
        """Lets a held job start when its turn comes."""
        return self._on(run_id, lambda entry: self.jobs.write(replace(entry, held=None)))

    def remake(self, run_id: str, plan: LaunchPlan, record: RunRecord) -> Refused | None:
        """Gives a job another plan, at the place that it has; it is not held any more. Refused: not_waiting, exists."""

        def change() -> Refused | None:
            entry = self.jobs.get(run_id)
            if entry is None or entry.begun:
                return Refused("not_waiting")
            if taken(plan, tuple(one for one in self.jobs.entries() if one.run_id != run_id)):
                return Refused("exists", {"path": plan.output_dir})
            self.jobs.write(replace(entry, plan=plan, record=record, held=None))
            return None

        return self._change(change)

    def move(self, run_id: str, steps: int) -> Refused | None:
        """Moves a job up (negative) or down among those that wait."""

        def shift(_entry: QueueEntry) -> None:
            ids = [entry.run_id for entry in self.jobs.entries()]
            self.jobs.place_at(run_id, ids.index(run_id) + steps)

        return self._on(run_id, shift)

    def put_aside(self, file: str) -> Refused | None:
        """Takes a file that cannot be read out of the way; it is not deleted. Refused("not_waiting") when there is none
        of that name any more."""
        return self._change(lambda: None if self.jobs.put_aside(file) else Refused("not_waiting"))

    def set_settings(self, settings: QueueSettings) -> Refused | None:
        """Slots, pause, and what a failure does."""

        def put() -> None:
            self.jobs.set_settings(settings)

        return self._change(put)

    def change_settings(self, **changes: Any) -> Refused | None:
        """Sets some of the settings, by their names; the others stay as somebody may have set them meanwhile."""

        def put() -> None:
            self.jobs.change_settings(changes)

        return self._change(put)


def taken(plan: LaunchPlan, entries: tuple[QueueEntry, ...]) -> bool:
    """Whether a job's folder is there already (unless it is its own), or will be another job's."""
    root = Path(plan.cwd) / plan.output_dir
    return (plan.attempt == 1 and os.path.lexists(root)) or any(entry.paths.root == root for entry in entries)
