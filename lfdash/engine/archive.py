"""Folders of runs that are over: deleted to the trash, taken back, renamed, while nobody starts a run."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from filelock import Timeout

from lfdash.engine.rights import Right, Rights, is_quiet
from lfdash.engine.watcher import Watcher
from lfdash.files import read_plain
from lfdash.outcomes import Refused, unchanged_by
from lfdash.queue.commands import QueueCommands
from lfdash.queue.store import QueueEntry
from lfdash.runs.paths import private
from lfdash.runs.record import TERMINAL
from lfdash.runs.rename import rename
from lfdash.runs.trash import Emptied, Trash
from lfdash.runs.trash_origins import Item
from lfdash.runs.view import RunView

QUIET_S = 3600.0  # a plain CLI run's folder that did not change so long is nobody's any more: nobody tells its end

PATHS = re.compile(r"[^\s'\",\[\]]*/[^\s'\",\[\]]*")

T = TypeVar("T")


class Archive:
    """What is done to runs that are over. refresh, snapshot: the registry's. folders: what runs may lie in."""

    def __init__(
        self, watcher: Watcher, queue: QueueCommands, rights: Rights, refresh: Callable[[], None],
        snapshot: Callable[[], tuple[RunView, ...]], folders: Sequence[Path],
    ) -> None:
        self.trash = Trash(watcher.workspace, folders)
        self._watcher = watcher
        self._queue = queue
        self._rights = rights
        self._refresh = refresh
        self._snapshot = snapshot

    def discard(self, run_id: str) -> Refused | None:
        """Moves the folder of a run that is over to the trash (`self.trash`), from where `restore` takes it back.

        Refused: as `Right.to_move`, and plain_fresh, in_use, not_ours, trash_outside, another_change, readonly,
        disk_kept, failed.
        """
        (outcome,) = self.discard_all([run_id])
        return outcome if isinstance(outcome, Refused) else None

    def discard_all(self, run_ids: Sequence[str]) -> list[Item | Refused]:
        """The same for several runs: the item of each in the trash, or why it stays."""
        return self._with_folders(run_ids, self.trash.put)

    def rename(self, run_id: str, name: str) -> RunView | Refused:
        """Gives a run that is over another name, and its folder too; the run as it is then listed.

        Refused: as `discard`, and rename_bad, rename_taken.
        """
        root = self._watcher.workspace

        def within(view: RunView) -> Path | Refused:
            outside = self.trash.why_not_ours(view)
            return outside or rename(root, view, name, self._reserved())

        (target,) = self._with_folders([run_id], within)
        if isinstance(target, Refused):
            return target
        return next((view for view in self._watcher.views if view.path == target), None) or Refused("unknown")

    def restore(self, item: str) -> Refused | None:
        """Takes a run back from the trash. Refused: unknown, place_taken, another_change, readonly, disk_kept,
        failed."""
        outcome = self._alone(lambda right: self.trash.restore(item, self._reserved()))
        self._refresh()
        return outcome if isinstance(outcome, Refused) else None

    def empty_trash(self, items: Sequence[str]) -> Emptied | Refused:
        """Deletes items of the trash for good. Refused: another_change, readonly, disk_kept, failed."""
        return self._alone(lambda right: self.trash.empty(items))

    def _with_folders(self, run_ids: Sequence[str], act: Callable[[RunView], T | Refused]) -> list[T | Refused]:
        """Does something to the folders of runs that are over, while nobody starts one; the outcome of each."""

        def all_of_them(right: Right) -> list[T | Refused]:
            outcomes = [self._with_folder(right, run_id, act) for run_id in run_ids]
            right.look()
            return outcomes

        outcomes = self._alone(all_of_them)
        return [outcomes] * len(run_ids) if isinstance(outcomes, Refused) else outcomes

    def _with_folder(self, right: Right, run_id: str, act: Callable[[RunView], T | Refused]) -> T | Refused:
        """Does something to the folder of one run, unless it must stay where it is."""
        shown = next((view for view in self._snapshot() if view.run_id == run_id), None)
        if shown is not None and shown.waiting is not None:
            return Refused("alive", {"run": shown.name})
        view = right.to_move(run_id)
        stays = view if isinstance(view, Refused) else self._why_it_stays(view)
        if isinstance(view, Refused) or stays is not None:
            return stays or Refused("unknown")
        if view.record is not None:
            self._watcher.let_go(run_id, view.record.launcher)
        entry = self._queue.jobs.get(run_id)
        if entry is not None and entry.begun:  # without its folder the job would start once more
            self._queue.jobs.remove(run_id)
        return act(view)

    def _alone(self, act: Callable[[Right], T | Refused]) -> T | Refused:
        """Does something while no dashboard on this workspace changes a run."""
        try:
            with self._rights.taken() as right:
                return act(right)
        except Timeout:
            return Refused("another_change")
        except OSError as error:
            return unchanged_by(error, private(self._watcher.workspace))

    def _why_it_stays(self, view: RunView) -> Refused | None:
        """Why the folder of a run that is over must stay where it is; None when nothing needs it."""
        if view.record is None and not is_quiet(view.path, QUIET_S):
            return Refused("plain_fresh", {"run": view.name})
        user = user_of(view, self._snapshot(), self._queue.jobs.entries())
        return None if user is None else Refused("in_use", {"run": view.name, "user": user})

    def _reserved(self) -> set[Path]:
        """The folders that waiting jobs will have."""
        return {entry.paths.root for entry in self._queue.jobs.entries()}


def user_of(view: RunView, others: Iterable[RunView], entries: Iterable[QueueEntry]) -> str | None:
    """The name of a run or waiting job that needs the folder of `view` where it is; None when there is none.

    A run that is not over, and names the folder in its arguments (as adapter, model, checkpoint), may still read it.
    The job that became the run itself is none of these, though its file may be there still.
    """
    wanted = naming(view.output_dir)
    for entry in entries:
        if entry.run_id == view.run_id and entry.begun:
            continue
        if any(wanted.search(plainly(text)) for text in (entry.plan.output_dir, *entry.plan.files.values())):
            return entry.record.name
    for other in others:
        if other.path == view.path or other.state in TERMINAL:
            continue
        with suppress(OSError, UnicodeDecodeError):
            if wanted.search(plainly(read_plain(other.paths.training_args))):
                return other.name
    return None


def plainly(text: str) -> str:
    """A text whose paths are spelled without detours (`a//b`, `a/./b`, `a/x/../b`)."""
    return PATHS.sub(lambda found: posixpath.normpath(found[0]), text)


def naming(folder: str) -> re.Pattern[str]:
    """Finds a folder, or something below it, in a text; not another one whose name begins or ends like it."""
    return re.compile(rf"(?<![\w.-]){re.escape(folder)}(?![\w.-])")
