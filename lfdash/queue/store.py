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
from lfdash.files import as_record, write_text_atomic
from lfdash.jobs.resources import ResourceRequest
from lfdash.runs.paths import RunPaths
from lfdash.runs.plan import LaunchPlan
from lfdash.runs.record import Finite, RunRecord
from lfdash.runs.view import Reason

VERSION = 1
SUFFIX = ".job.json"
SETTINGS = "settings.json"
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
        """Whether its attempt was made: a dashboard that ended between that and removing the entry."""
        control = self.paths.attempt(self.plan.attempt)
        try:
            return bool(json.loads(control.spec.read_text(encoding="utf-8"))["run_id"] == self.run_id)
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def to_json(self) -> str:
        data = {"version": VERSION, "order": self.order, "added": self.added, "ask": asdict(self.request)}
        data["tries"] = self.tries
        data |= {"held": asdict(self.held) if self.held else None, "plan": asdict(self.plan)}
        return json.dumps({**data, "record": json.loads(self.record.to_json())}, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse. RecordError for what is none, or comes from a newer version."""
        try:
            data = json.loads(text)
            if data["version"] > VERSION:
                raise RecordError(f"the queued job has version {data['version']}, this lfdash reads up to {VERSION}")
            data["request"] = data["ask"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise RecordError(f"not a queued job: {error!r}") from error
        return as_record(cls, data, "the queued job")


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


class QueueStore:
    """The waiting jobs of a workspace: files in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._cache: dict[str, tuple[tuple[int, int, int], QueueEntry | None]] = {}
        self._settings: tuple[tuple[int, int, int] | None, QueueSettings] = (None, QueueSettings())

    def entries(self) -> tuple[QueueEntry, ...]:
        """All that can be read, in order. A broken file is left where it is and not started."""
        try:
            names = [name for name in os.listdir(self.folder) if name.endswith(SUFFIX)]
        except OSError:
            names = []
        self._cache = {name: held for name, held in self._cache.items() if name in names}
        found = [entry for entry in map(self._read, names) if entry is not None]
        return tuple(sorted(found, key=lambda entry: (entry.order, entry.added, entry.run_id)))

    def _read(self, name: str) -> QueueEntry | None:
        path = self.folder / name
        try:
            stat = path.stat()
            mark = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            held = self._cache.get(name)
            if held is None or held[0] != mark:
                entry = QueueEntry.from_json(path.read_text(encoding="utf-8"))
                held = self._cache[name] = (mark, entry if name == entry.run_id + SUFFIX else None)
            return held[1]
        except RecordError:
            self._cache[name] = (mark, None)
        except (OSError, UnicodeDecodeError):
            pass
        return None

    def get(self, run_id: str) -> QueueEntry | None:
        """The waiting job of a run."""
        return next((entry for entry in self.entries() if entry.run_id == run_id), None)

    def file(self, run_id: str) -> Path:
        return self.folder / f"{run_id}{SUFFIX}"

    def write(self, entry: QueueEntry) -> None:
        """Adds or replaces a job. OSError when the disk does not let it; then nothing has changed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text_atomic(self.file(entry.run_id), entry.to_json())

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
        """How the queue of this workspace is to be run."""
        path = self.folder / SETTINGS
        try:
            stat = path.stat()
            mark = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if self._settings[0] != mark:
                data = json.loads(path.read_text(encoding="utf-8"))
                self._settings = (mark, QueueSettings.from_json(data if isinstance(data, dict) else {}))
        except (OSError, ValueError):
            self._settings = (None, QueueSettings())
        return self._settings[1]

    def set_settings(self, settings: QueueSettings) -> None:
        """OSError when the disk does not let it."""
        self.folder.mkdir(parents=True, exist_ok=True)
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


def between(before: float | None, after: float | None) -> float:
    """An order between two; outside of one where there is no other."""
    if before is None:
        return 0.0 if after is None else after - 1
    return before + 1 if after is None else (before + after) / 2


@dataclass(frozen=True)
class Queued:
    """The job waits; position: 1 is next."""

    run_id: str
    position: int
