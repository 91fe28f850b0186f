"""Jobs that wait for their turn: one file each, so that neither a restart nor a second dashboard loses any.

A waiting job is no run yet: its folder is made when it starts, by the gate that lets every folder be made once.
Whoever changes the queue holds the workspace's launch lock; reading needs none, since files are replaced whole.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from lfdash.errors import RecordError
from lfdash.files import (
    Absent,
    FileMark,
    Unreadable,
    as_record,
    file_mark,
    parse_mapping,
    read_json_file,
    readable,
    write_text_atomic,
)
from lfdash.jobs.resources import ResourceRequest
from lfdash.runs.paths import RunPaths
from lfdash.runs.plan import LaunchPlan
from lfdash.runs.record import Finite, RunRecord
from lfdash.runs.view import Reason

VERSION = 1
SUFFIX = ".job.json"
SETTINGS = "settings.json"
ASIDE = ".unreadable"  # what the name of a file ends with once somebody has put it out of the way
MOST_SLOTS = 64


@dataclass(frozen=True)
class QueueEntry:
    """A job that waits. order: its place, ascending. held: why it is not to be started, None = it may be.
    added: epoch seconds. tries: how often its attempt was made and ended before anything of it was started."""

    plan: LaunchPlan
    record: RunRecord
    request: ResourceRequest
    order: Finite
    added: Finite
    held: Reason | None = None
    tries: int = 0

    @property
    def run_id(self) -> str:
        return self.plan.run_id

    @property
    def paths(self) -> RunPaths:
        """The folder that the run will have."""
        return RunPaths(Path(self.plan.cwd) / self.plan.output_dir)

    @property
    def begun(self) -> bool:
        """Whether its attempt was made: a dashboard that ended between that and removing the entry.

        False where that cannot be read: then the gate that lets every folder be made once keeps it from a second start.
        """
        spec = read_json_file(self.paths.attempt(self.plan.attempt).spec)
        return isinstance(spec, dict) and spec.get("run_id") == self.run_id

    def to_json(self) -> str:
        data = {"version": VERSION, "order": self.order, "added": self.added, "ask": asdict(self.request)}
        data["tries"] = self.tries
        data |= {"held": asdict(self.held) if self.held else None, "plan": asdict(self.plan)}
        return json.dumps({**data, "record": json.loads(self.record.to_json())}, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse. RecordError for what is none, or comes from a newer version."""
        data = parse_mapping(text)
        if isinstance(data, Unreadable):
            raise RecordError(f"not a queued job: {data.reason}")
        return cls.from_data(data)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """The same, of what the JSON text holds."""
        version = data.get("version")
        if not isinstance(version, int):
            raise RecordError("not a queued job: it has no version")
        if version > VERSION:
            raise RecordError(f"the queued job has version {version}, this lfdash reads up to {VERSION}")
        return as_record(cls, {**data, "request": data.get("ask")}, "the queued job")


@dataclass(frozen=True)
class QueueSettings:
    """slots: runs without a GPU at once. paused: nothing is started. hold_on_failure: a job that fails holds the
    others."""

    slots: int = 1
    paused: bool = False
    hold_on_failure: bool = False

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Whatever of it can be used; the default for the rest."""
        slots = data.get("slots")
        if not isinstance(slots, int) or isinstance(slots, bool) or not 1 <= slots <= MOST_SLOTS:
            slots = 1
        return cls(slots, data.get("paused") is True, data.get("hold_on_failure") is True)


@dataclass(frozen=True)
class UnreadableFile:
    """A file of the queue that cannot be read. file: its name as it can be shown. reason: why, in English."""

    file: str
    reason: str


@dataclass(frozen=True)
class QueueLook:
    """What a look at the queue's folder found: the jobs in order, and the files that cannot be read.

    failure: why the folder could not be listed just now; the jobs are those of the last look then. "" = it could.
    """

    entries: tuple[QueueEntry, ...]
    unreadable: tuple[UnreadableFile, ...] = ()
    failure: str = ""


class QueueStore:
    """The waiting jobs of a workspace: files in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._cache: dict[str, tuple[FileMark, QueueEntry | UnreadableFile]] = {}
        self._settings: tuple[FileMark | None, QueueSettings] = (None, QueueSettings())

    def entries(self) -> tuple[QueueEntry, ...]:
        """All that can be read, in order. A broken file is left where it is and not started."""
        return self.look().entries

    def look(self) -> QueueLook:
        """The jobs, and what cannot be read. Never raises, never waits."""
        failure = ""
        try:
            names = [name for name in os.listdir(self.folder) if name.endswith(SUFFIX)]
        except (FileNotFoundError, NotADirectoryError):
            names = []
        except OSError as error:
            names, failure = list(self._cache), error.strerror or type(error).__name__
        self._cache = {name: cached for name, cached in self._cache.items() if name in names}
        seen = [item for item in map(self._read, sorted(names)) if item is not None]
        entries = sorted(
            (item for item in seen if isinstance(item, QueueEntry)),
            key=lambda entry: (entry.order, entry.added, entry.run_id),
        )
        spoiled = [item for item in seen if isinstance(item, UnreadableFile)]
        settings = read_json_file(self.folder / SETTINGS)
        if isinstance(settings, Unreadable):
            spoiled.append(UnreadableFile(SETTINGS, settings.reason))
        return QueueLook(tuple(entries), tuple(spoiled), failure)

    def _read(self, name: str) -> QueueEntry | UnreadableFile | None:
        """What a file holds; None when it is gone. A read that failed is not remembered: the next may not."""
        path = self.folder / name
        try:
            stat = path.lstat()
        except FileNotFoundError:
            return None
        except OSError as error:
            return UnreadableFile(readable(name), error.strerror or type(error).__name__)
        mark = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        cached = self._cache.get(name)
        if cached is not None and cached[0] == mark:
            return cached[1]
        data = read_json_file(path)
        if isinstance(data, Absent):
            return None
        if isinstance(data, Unreadable) and data.failure is not None:
            return UnreadableFile(readable(name), data.reason)
        found = UnreadableFile(readable(name), data.reason) if isinstance(data, Unreadable) else entry_of(name, data)
        self._cache[name] = (mark, found)
        return found

    def put_aside(self, file: str) -> bool:
        """Takes a file that cannot be read out of the way, by another name in the same folder; False when there is
        none of that name. OSError when the disk does not let it."""
        if file not in {spoiled.file for spoiled in self.look().unreadable}:
            return False
        name = next(name for name in os.listdir(self.folder) if readable(name) == file)
        number, target = 1, self.folder / f"{name}{ASIDE}"
        while os.path.lexists(target):
            number, target = number + 1, self.folder / f"{name}.{number}{ASIDE}"
        os.rename(self.folder / name, target)
        return True

    def get(self, run_id: str) -> QueueEntry | None:
        """The waiting job of a run."""
        return next((entry for entry in self.entries() if entry.run_id == run_id), None)

    def file(self, run_id: str) -> Path:
        return self.folder / f"{run_id}{SUFFIX}"

    def write(self, entry: QueueEntry) -> None:
        """Adds or replaces a job. OSError when the disk does not let it; then nothing has changed."""
        self._make_folder()
        write_text_atomic(self.file(entry.run_id), entry.to_json())

    def _make_folder(self) -> None:
        """Makes the queue's folder and the one around it; not the workspace, which may have been moved."""
        self.folder.parent.mkdir(exist_ok=True)
        self.folder.mkdir(exist_ok=True)

    def remove(self, run_id: str) -> None:
        """Takes a job out. OSError when the disk does not let it."""
        self.file(run_id).unlink(missing_ok=True)

    def place_at(self, run_id: str, place: int) -> None:
        """Moves a job to a place (0 is the first) and changes the others' order only."""
        entries = [entry for entry in self.entries() if entry.run_id != run_id]
        moved = self.get(run_id)
        if moved is None:
            return
        place = max(0, min(place, len(entries)))
        before = entries[place - 1].order if place else None
        after = entries[place].order if place < len(entries) else None
        order = between(before, after)
        if order in (before, after):  # halved too often: nothing fits between
            for number, entry in enumerate([*entries[:place], moved, *entries[place:]]):
                self.write(replace(entry, order=float(number)))
        else:
            self.write(replace(moved, order=order))

    def last_order(self) -> float:
        """The order of a job that is put behind all others."""
        entries = self.entries()
        return entries[-1].order + 1 if entries else 0.0

    def settings(self) -> QueueSettings:
        """How the queue of this workspace is to be run. Settings that cannot be read may say that nothing is to be
        started: then the last known ones count, and without any nothing is started."""
        path = self.folder / SETTINGS
        mark = file_mark(path)
        if mark is not None and self._settings[0] == mark:
            return self._settings[1]
        data = read_json_file(path)
        if isinstance(data, Absent):
            self._settings = (None, QueueSettings())
        elif isinstance(data, dict):
            self._settings = (mark, QueueSettings.from_json(data))
        elif self._settings[0] is None or data.failure is None:
            return QueueSettings(paused=True)
        return self._settings[1]

    def change_settings(self, changes: Mapping[str, Any]) -> None:
        """Sets some of the settings. OSError when the others could not be read, or the disk does not let it."""
        data = read_json_file(self.folder / SETTINGS)
        if isinstance(data, Unreadable) and data.failure is not None:
            raise OSError(data.failure, data.reason, str(self.folder / SETTINGS))
        known = QueueSettings.from_json(data) if isinstance(data, dict) else QueueSettings()
        self.set_settings(replace(known, **changes))

    def set_settings(self, settings: QueueSettings) -> None:
        """OSError when the disk does not let it."""
        self._make_folder()
        write_text_atomic(self.folder / SETTINGS, json.dumps(asdict(settings)) + "\n")

    # -- those that were started from here: whether they failed is asked when they are over

    def note_started(self, run_id: str) -> None:
        (self.folder / f"{run_id}.started").touch()

    def started(self) -> tuple[str, ...]:
        """Ids of the runs that the queue has started and whose end it has not looked at."""
        try:
            names = os.listdir(self.folder)
        except OSError:
            return ()
        return tuple(name.removesuffix(".started") for name in names if name.endswith(".started"))

    def forget_started(self, run_id: str) -> None:
        (self.folder / f"{run_id}.started").unlink(missing_ok=True)


def entry_of(name: str, data: Mapping[str, Any]) -> QueueEntry | UnreadableFile:
    """The job that a file of that name holds."""
    try:
        entry = QueueEntry.from_data(data)
    except RecordError as error:
        return UnreadableFile(readable(name), str(error))
    if name != entry.run_id + SUFFIX:
        return UnreadableFile(readable(name), f"it holds the job {entry.run_id}, which has a file of its own")
    return entry


def between(before: float | None, after: float | None) -> float:
    """An order between two; outside of one where there is no other."""
    if before is None:
        return 0.0 if after is None else after - 1
    return before + 1 if after is None else (before + after) / 2


@dataclass(frozen=True)
class Queued:
    """The job waits; position: 1 is next. starts: there is room for it, so that it starts in a moment."""

    run_id: str
    position: int
    starts: bool = False
