"""Looks at the runs of a workspace: how each stands, from its folder and its launcher's status."""

from __future__ import annotations

import errno
import logging
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from lfdash.errors import NewerRecord, RecordError
from lfdash.files import Absent, FileMark, Unreadable, is_absent, look_json, look_mark, read_text_file, readable
from lfdash.jobs.kinds import DEFAULT
from lfdash.runs.kept import Kept, KeptRun, can_be_kept, no_collection
from lfdash.runs.newest_first import NewestFirst, when
from lfdash.runs.paths import EXIT, LOG, RECORD, RunPaths
from lfdash.runs.places import SETTLE_S, Mark, Places, is_unlogged, reason
from lfdash.runs.record import (
    ELSEWHERE_UNSEEN,
    RUN_ID,
    TERMINAL,
    Attempt,
    Exit,
    Handle,
    RunRecord,
    RunState,
    Status,
    read_exit,
)
from lfdash.runs.view import RunView, judge, known, view_plain, view_run, view_unknown, view_unseen

logger = logging.getLogger(__name__)

NOT_OURS = (errno.EACCES, errno.EPERM, errno.EXDEV, ELSEWHERE_UNSEEN)  # what these hide has no device of this machine
MANY = 500  # runs that are looked at in one go
TURNS = 20  # walks in which every run that is over is read anew once, whatever its folder's time of change says

Poll = Callable[[RunPaths, RunRecord], Status]
Finish = Callable[[RunView | None, RunView], RunView]


# -- one run --------------------------------------------------------------------------------------------


def look(workspace: Path, path: Path, poll: Poll) -> RunView | None:
    """How the run in a folder stands; None when there is none any more. OSError when something of it cannot be read:
    then nothing is known."""
    paths = RunPaths(path)
    text = read_text_file(paths.named(RECORD))
    if isinstance(text, Absent):
        is_there = look_mark(paths.named(LOG)) is not None or is_unlogged(path.name, names_in(path))
        return view_plain(workspace, paths) if is_there else None
    if isinstance(text, Unreadable):
        if text.failure is not None:
            raise OSError(text.failure, text.reason, str(paths.record))
        return without_record(workspace, paths, f"run.json cannot be read: {text.reason}", poll)
    try:
        record = made(paths, RunRecord.from_json(text))
    except NewerRecord as error:
        return view_plain(workspace, paths, str(error))
    except RecordError as error:
        return without_record(workspace, paths, str(error), poll)
    return view_run(workspace, paths, *standing(paths, record, poll))


def names_in(path: Path) -> list[str]:
    """The names in a folder; none where there is no folder. OSError when it cannot be read."""
    try:
        return os.listdir(path)
    except OSError as error:
        if is_absent(error):
            return []
        raise


def without_record(workspace: Path, paths: RunPaths, why: str, poll: Poll) -> RunView:
    """How a run stands whose run.json is spoiled: by the control files of its attempts, where there are any. It can be
    stopped, and holds its devices (all of them, since nobody knows which)."""
    attempts = tuple(filter(None, (attempt_of(paths, number) for number in paths.made_attempts())))
    run_id = look_json(paths.attempt(attempts[-1].number).spec).get("run_id") if attempts else None
    if not isinstance(run_id, str) or not re.fullmatch(RUN_ID, run_id):
        return view_plain(workspace, paths, why)
    name = readable(paths.root.name)
    record = RunRecord(run_id, DEFAULT.name, name, "local", "", "", "", (), attempts)
    return replace(view_run(workspace, paths, *standing(paths, record, poll)), error=why)


def made(paths: RunPaths, record: RunRecord) -> RunRecord:
    """The record with the attempts that are on disk: not those that were taken back, since they could not be started,
    and those too of which somebody died before writing them into run.json."""
    numbers = paths.made_attempts()
    if numbers == [attempt.number for attempt in record.attempts]:
        return record
    kept = [attempt for attempt in record.attempts if attempt.number in numbers] or [record.attempts[0]]
    written = {attempt.number for attempt in kept}
    more = [attempt_of(paths, number) for number in numbers if number not in written]
    attempts = sorted([*kept, *filter(None, more)], key=lambda attempt: attempt.number)
    return with_end(paths, replace(record, attempts=tuple(attempts)))


def with_end(paths: RunPaths, record: RunRecord) -> RunRecord:
    """The record with the end that exit.json tells of an earlier attempt: whoever began the next one died before
    writing that into run.json, and the next end will take its place."""
    earlier = record.attempts[:-1]
    if all(attempt.exit for attempt in earlier):
        return record
    ends = {one.number: read_exit(Handle(record.run_id, one.number, paths)) for one in earlier if one.exit is None}
    told = tuple(ended(attempt, ends.get(attempt.number)) for attempt in record.attempts)
    return replace(record, attempts=told)


def ended(attempt: Attempt, end: Exit | None) -> Attempt:
    """An attempt with its end; as it is without one."""
    if end is None:
        return attempt
    wish = end.stop[-1] if end.stop else None
    return replace(attempt, exit=end, stop=wish, state=judge(Status("ended", end, wish), complete=False))


def attempt_of(paths: RunPaths, number: int) -> Attempt | None:
    """An attempt by its control files alone; None for a folder that holds none."""
    if look_mark(paths.attempt(number).spec) is None:
        return None
    spec = look_json(paths.attempt(number).spec)
    argv = spec.get("argv")
    words = tuple(map(str, argv)) if isinstance(argv, list) else ()
    return Attempt(number, words, {}, automatic=spec.get("automatic") is True)


def standing(paths: RunPaths, record: RunRecord, poll: Poll) -> tuple[RunRecord, Status, tuple[int, ...]]:
    """The record up to the attempt that counts, how that stands, and the earlier ones that live as well.

    The newest counts; when it is over and an earlier one lives, which must not be, that one does.
    """
    status = known(record) or poll(paths, record)
    alive: list[tuple[RunRecord, Status]] = []
    for attempt in reversed(record.attempts[:-1]):
        earlier = record.upto(attempt.number)
        if known(earlier) is None:
            found = poll(paths, earlier)
            if found.phase not in ("ended", "lost"):
                alive.append((earlier, found))
    if status.phase in ("ended", "lost") and alive:
        record, status = alive.pop(0)
    return record, status, tuple(one.last.number for one, _ in alive)


# -- all of them ----------------------------------------------------------------------------------------

Signature = tuple[FileMark | None, ...]


def signature(folder: str) -> Signature:
    """Changes whenever a run that is over could look different."""
    marks: list[FileMark | None] = []
    for name in (RECORD, EXIT, LOG):
        try:
            found = os.stat(f"{folder}/{name}")
        except OSError:
            marks.append(None)
        else:
            marks.append((found.st_mtime_ns, found.st_size, found.st_ino))
    return tuple(marks)


@dataclass(slots=True)
class Entry:
    """What the last look at a folder found. mark: of the folder then, and since when it has that one (`monotonic`);
    signature: of its files."""

    mark: Mark
    since: float
    signature: Signature
    view: RunView


class RunScan:
    """The runs of one workspace, as the looks find them. Runs that are over are read again only when they changed.

    poll: asks the launcher about the newest attempt of a record; raises OSError when it cannot tell. finish: the view
    before and the new one -> what is kept. clock: seconds, never set back. folders: where links may lead. views: all
    runs, newest first; another tuple whenever one of them changed. failed: folders that the last walk could not read
    -> the error.
    """

    def __init__(
        self, workspace: Path, poll: Poll, finish: Finish | None = None, clock: Callable[[], float] = time.monotonic,
        folders: Sequence[Path] = (),
    ) -> None:
        self.views: tuple[RunView, ...] = ()
        self.failed: Mapping[str, OSError] = {}
        self._errors: dict[str, OSError] = {}  # of the runs that the last look could not see
        self._workspace = workspace
        self._poll = poll
        self._finish = finish or (lambda before, now: now)
        self._clock = clock
        self._places = Places(workspace, clock, folders)
        self._entries: dict[str, Entry] = {}
        self._order = NewestFirst(workspace)
        self._alive: set[str] = set()  # and those that were not seen
        self._lost: set[str] = set()  # those that may be found again
        self._plain: set[str] = set()  # without a record: nobody says when they end
        self._fresh: set[str] = set()  # whose folder changed so lately that a later change might not show in its time
        self._turns: tuple[set[str], ...] = tuple(set() for _ in range(TURNS))
        self._walks = 0
        self._kept: dict[str, KeptRun] = {}  # by an earlier process, of those that were not looked at yet

    def take(self, kept: Kept) -> None:
        """Takes what an earlier process has found; before the first look."""
        self._kept = dict(kept.runs)
        self._places.take(kept.folders)

    def keep(self) -> Kept:
        """What a later process need not look at again: runs that are over, and whose time of change has settled."""
        settled = self._clock() - 2 * SETTLE_S
        runs = {
            path: KeptRun(entry.mark, entry.signature, entry.view)
            for path, entry in self._entries.items()
            if entry.since < settled and path not in self._errors and can_be_kept(entry.view)
        }
        return Kept(runs, self._places.keep())

    @property
    def unseen(self) -> dict[str, str]:
        """What the last looks could not see: folder -> why. Empty: everything was seen."""
        return {path: reason(error) for path, error in {**self.failed, **self._errors}.items()}

    @property
    def in_doubt(self) -> tuple[str, str] | None:
        """One of them that may have a device, and why; not what this user has no right to read, and never had,
        nor a run that a scheduler has, which does not answer."""
        errors = {**self.failed, **self._errors}
        return next(((path, reason(one)) for path, one in errors.items() if one.errno not in NOT_OURS), None)

    @property
    def alive(self) -> list[RunView]:
        """Those that are not over, as far as the last looks could see, newest first."""
        return sorted((self._entries[path].view for path in self._alive), key=when, reverse=True)

    def look(self, *, everything: bool = True) -> None:
        """Looks at the alive runs, and for new folders when `everything`."""
        if everything:
            self._walk()
        else:
            for path in list(self._alive):
                self._look_at(path, self._entries[path].mark)
        self.views = self._order.views()

    def look_at(self, folder: Path) -> None:
        """Looks at one folder anew, whatever is known of it; part of the views with the next look."""
        path = str(folder)
        if path in self._entries:
            self._look_at(path, self._entries[path].mark)

    def _walk(self) -> None:
        """Costs one stat of each folder, and what has changed."""
        self._walks += 1
        found = self._places.find()
        self.failed = found.failed
        for path in self._entries.keys() - found.runs.keys():
            self._drop(path)
        due = {path for path in found.changed if self._is_new(path, found.runs[path])} | self._alive | self._lost
        due.update(found.runs.keys() - self._entries.keys())  # also those of listings that were kept
        due.update(path for path in self._doubtful() - due if self._entries[path].signature != signature(path))
        with no_collection() if len(due) > MANY else nullcontext():
            for path in sorted(due):
                self._look_at(path, found.runs[path])
        self._kept.clear()

    def _is_new(self, path: str, mark: Mark) -> bool:
        entry = self._entries.get(path)
        return entry is None or entry.mark != mark

    def _doubtful(self) -> set[str]:
        """Those whose files are looked at whatever their folder's time of change says."""
        doubtful = self._fresh | self._turns[self._walks % TURNS] | self._plain
        settled = self._clock() - 2 * SETTLE_S
        self._fresh = {path for path in self._fresh if self._entries[path].since > settled}
        return doubtful

    def _look_at(self, path: str, mark: Mark) -> None:
        entry = self._entries.get(path)
        before = entry.view if entry is not None else None
        files = signature(path)
        self._errors.pop(path, None)
        kept = self._kept.pop(path, None) if entry is None else None
        try:
            view = None if kept is None else kept.still(path, mark, files)
            view = view or look(self._workspace, Path(path), self._poll)
        except Exception as error:  # one odd folder must not hide the other runs
            if not isinstance(error, OSError):
                logger.exception("looking at the run in %s failed", path)
                error = OSError(0, "an unexpected error, see the server's log")
            self._errors[path] = error
            view = unseen(self._workspace, path, before, reason(error))
        if view is None:
            self._drop(path)
            return
        view = self._finish(before, touched(entry, files, view))
        if before is not None and view == before:
            view = before
        else:
            self._order.put(path, view)
        since = entry.since if entry is not None and entry.mark == mark else self._clock()
        self._entries[path] = Entry(mark, since, files, view)
        self._note(path, view)

    def _note(self, path: str, view: RunView) -> None:
        """Puts a folder among those that are to be looked at again."""
        self._fresh.add(path)
        self._turns[hash(path) % TURNS].add(path)
        member(self._alive, path, view.state not in TERMINAL or view.unseen is not None)
        member(self._lost, path, view.state is RunState.LOST and view.record is not None)
        member(self._plain, path, view.record is None)

    def _drop(self, path: str) -> None:
        for group in (self._alive, self._lost, self._plain, self._fresh, self._turns[hash(path) % TURNS]):
            group.discard(path)
        self._errors.pop(path, None)
        if self._entries.pop(path, None) is not None:
            self._order.drop(path)


def touched(entry: Entry | None, files: Signature, view: RunView) -> RunView:
    """The view of a plain run that was over and whose log was touched since, not grown: that is no news."""
    if entry is None or view.record is not None or view.state is not RunState.RUNNING:
        return view
    before, log, seen = entry.view, files[2], entry.signature[2]
    if before.state not in TERMINAL or before.record is not None or log is None or seen is None or log[1:] != seen[1:]:
        return view
    return replace(view, state=before.state, started=before.started, ended=before.ended)


def member(group: set[str], path: str, there: bool) -> None:
    """Puts a path into a group, or takes it out."""
    (group.add if there else group.discard)(path)


def unseen(workspace: Path, path: str, before: RunView | None, why: str) -> RunView:
    """The view of the look before, marked; when there was none what the record tells, if that can be read."""
    if before is not None:
        return replace(before, unseen=why)
    paths = RunPaths(Path(path))
    try:
        text = read_text_file(paths.named(RECORD))
        record = made(paths, RunRecord.from_json(text)) if isinstance(text, str) else None
    except (OSError, RecordError):
        record = None
    return view_unknown(workspace, Path(path), why) if record is None else view_unseen(workspace, paths, record, why)
