"""The trash: folders of runs that were deleted, until somebody takes them back or empties it.

Nothing is ever copied: a folder is renamed, within its own disk, so that it is whole here or whole there whenever
a process dies. Where it came from is written down before. Deleting for good renames first, too: what is half
deleted is not shown, and is removed the next time.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lfdash.errors import RecordError
from lfdash.files import readable, write_text_atomic
from lfdash.outcomes import DISK_FULL, Refused, unchanged_by
from lfdash.runs.paths import RunPaths, private, saves
from lfdash.runs.places import elsewhere
from lfdash.runs.record import RunRecord
from lfdash.runs.view import RunView, relative
from lfdash.supervisor import failpoints
from lfdash.supervisor.records import sync_folder

BESIDE = ".lfdash-trash"  # folder beside a run on another disk than the workspace's
GONE = ".gone."  # what a folder's name begins with while it is deleted
STALE_S = 3600.0  # an origin without a folder is that old before it is forgotten: somebody may be about to move it


@dataclass(frozen=True)
class Item:
    """A deleted run. name: its key in the trash. place: where its folder lies, origin: where it came from (both
    absolute). title: the run's name. discarded: epoch seconds."""

    name: str
    place: Path
    origin: Path
    run_id: str
    title: str
    discarded: float


@dataclass(frozen=True)
class Emptied:
    """freed: bytes. refused: why something was not deleted: trash_left (part of it), readonly, disk_kept, failed."""

    freed: int
    refused: Refused | None = None


class Trash:
    """The deleted runs of one workspace. Who changes it holds the workspace's launch lock."""

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self.folder = private(workspace) / "trash"
        self._origins = self.folder / ".origins"
        self._sizes: dict[tuple[Path, int], int] = {}

    # -- what is there ----------------------------------------------------------------------------------

    def items(self) -> tuple[Item, ...]:
        """All deleted runs that can be taken back, newest first."""
        found = {item.name: item for item in self._without_origin()}
        found.update((item.name, item) for item in self._told() if item.place.is_dir())
        return tuple(sorted(found.values(), key=lambda item: (item.discarded, item.name), reverse=True))

    def get(self, name: str) -> Item | None:
        """One of them."""
        return next((item for item in self.items() if item.name == name), None)

    def newest(self, run_id: str) -> Item | None:
        """The one of a run that was deleted last."""
        return next((item for item in self.items() if item.run_id == run_id), None)

    def size(self, item: Item) -> int:
        """Bytes on disk that deleting it for good frees. Counted once: what lies here does not change."""
        try:
            key = (item.place, item.place.stat().st_mtime_ns)
        except OSError:
            return 0
        if key not in self._sizes:
            self._sizes[key] = sum(sizes(item.place))
        return self._sizes[key]

    def _told(self) -> Iterator[Item]:
        """Every item whose origin was written down, whether or not its folder is here."""
        for path in listing(self._origins):
            if path.suffix != ".json":  # being written
                continue
            try:
                data = json.loads(path.read_text(encoding="utf-8"))
                yield self._from_json(path.stem, data)
            except (OSError, ValueError, KeyError, TypeError):
                continue

    def _from_json(self, name: str, data: dict[str, Any]) -> Item:
        place, origin = (Path(os.path.normpath(self._workspace / str(data[key]))) for key in ("place", "origin"))
        return Item(name, place, origin, str(data["run_id"]), str(data["title"]), float(data["discarded"]))

    def _without_origin(self) -> Iterator[Item]:
        """Folders of which only their own record tells where they came from: an older version moved them here, or
        the disk was full."""
        for path in listing(self.folder):
            if path.name.startswith(".") or not path.is_dir():
                continue
            found = told_by_record(self._workspace, path)
            if found is not None:
                record, origin = found
                with suppress(OSError):
                    yield Item(path.name, path, origin, record.run_id, record.name, path.stat().st_ctime)

    # -- in -----------------------------------------------------------------------------------------------

    def put(self, view: RunView) -> Item | Refused:
        """Moves a run's folder here. Refused: readonly, disk_kept, failed; then it is where it was."""
        name = self._free_name(f"{readable(view.path.name)}.{view.run_id}")
        item = Item(name, self.folder / name, view.path, view.run_id, view.name, time.time())
        try:
            self._origins.mkdir(parents=True, exist_ok=True)
            self._note(item)
            failpoints.hit("trash.before_move")
            try:
                os.rename(item.origin, item.place)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                item = replace(item, place=view.path.parent / BESIDE / name)
                self._note(item)
                item.place.parent.mkdir(exist_ok=True)
                os.rename(item.origin, item.place)
            failpoints.hit("trash.after_move")
        except OSError as error:
            remove_if_empty(item.place.parent)
            with suppress(OSError):
                self._origin(name).unlink(missing_ok=True)
            return unchanged_by(error, view.path)
        sync(item.place.parent, item.origin.parent)
        return item

    def _note(self, item: Item) -> None:
        """Writes down where an item comes from and where it will lie. On a full disk the run's own record must do."""
        data = {"version": 1, "run_id": item.run_id, "title": item.title, "discarded": item.discarded}
        data |= {key: written(self._workspace, getattr(item, key)) for key in ("origin", "place")}
        try:
            write_text_atomic(self._origin(item.name), json.dumps(data))
        except OSError as error:
            found = told_by_record(self._workspace, item.origin)
            here = item.place.parent == self.folder  # elsewhere nothing would lead to it
            if error.errno not in DISK_FULL or not here or found is None or found[1] != item.origin:
                raise

    def _origin(self, name: str) -> Path:
        return self._origins / f"{name}.json"

    def _free_name(self, wanted: str) -> str:
        """A name that no item has, nor one that is being made or deleted."""
        number, name = 1, wanted
        while any(os.path.lexists(path) for path in (self.folder / name, self.folder / (GONE + name),
                                                     self._origin(name))):
            number += 1
            name = f"{wanted}-{number}"
        return name

    # -- out ----------------------------------------------------------------------------------------------

    def restore(self, name: str, reserved: Collection[Path] = ()) -> Item | Refused:
        """Moves a run's folder back. reserved: folders that waiting jobs will have.

        Refused: unknown, place_taken (something is there), readonly, disk_kept, failed.
        """
        item = self.get(name)
        if item is None:
            return Refused("unknown")
        if item.origin in reserved or os.path.lexists(item.origin):
            return Refused("place_taken", {"path": relative(self._workspace, item.origin)})
        try:
            item.origin.parent.mkdir(parents=True, exist_ok=True)
            if not item.origin.is_relative_to(saves(self._workspace)):
                note_elsewhere(self._workspace, item.run_id, item.origin)
            os.rename(item.place, item.origin)
        except OSError as error:
            return unchanged_by(error, item.origin)
        sync(item.origin.parent, item.place.parent)
        self._origin(name).unlink(missing_ok=True)
        remove_if_empty(item.place.parent)
        return item

    def empty(self, names: Sequence[str]) -> Emptied:
        """Deletes items for good, each as far as possible."""
        freed, refused = 0, None
        for item in self.items():
            if item.name not in names:
                continue
            size = self.size(item)
            gone = item.place.with_name(GONE + item.name)
            try:
                os.rename(item.place, gone)
            except OSError as error:
                refused = unchanged_by(error, item.place)
                continue
            if self._delete(gone):
                self._forget(item)
                freed += size
            else:
                refused = Refused("trash_left", {"path": str(gone)})
        return Emptied(freed, refused)

    def _delete(self, folder: Path) -> bool:
        """Deletes a folder, as far as possible; whether nothing is left."""
        shutil.rmtree(folder, ignore_errors=True)
        return not os.path.lexists(folder)

    def _forget(self, item: Item) -> None:
        """Removes what was kept about an item that is deleted."""
        with suppress(OSError):
            self._origin(item.name).unlink(missing_ok=True)
            remove_if_empty(item.place.parent)
            if not os.path.lexists(item.origin):
                (elsewhere(self._workspace) / item.run_id).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Finishes what a process that died while it deleted has left. Makes the folders, while the disk has room."""
        with suppress(OSError):
            self._origins.mkdir(parents=True, exist_ok=True)
        for item in self._told():
            gone = item.place.with_name(GONE + item.name)
            begun = os.path.lexists(gone)
            stale = not os.path.lexists(item.place) and time.time() - item.discarded > STALE_S
            if (begun and self._delete(gone)) or (not begun and stale):
                self._forget(item)
        for path in listing(self.folder):
            if path.name.startswith(GONE):
                self._delete(path)


def told_by_record(workspace: Path, folder: Path) -> tuple[RunRecord, Path] | None:
    """A run's record and the place that it says the run was started in; None when there is no such record."""
    try:
        record = RunRecord.from_json(RunPaths(folder).record.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, RecordError):
        return None
    place = record.last.env.get("LLAMABOARD_WORKDIR")
    return None if not place else (record, Path(os.path.normpath(workspace / place)))


def written(workspace: Path, path: Path) -> str:
    """A path as it is written down: relative where it lies in the workspace, which may be moved; bytes that are no
    text are kept (JSON escapes them)."""
    return str(path.relative_to(workspace)) if path.is_relative_to(workspace) else str(path)


def note_elsewhere(workspace: Path, run_id: str, folder: Path) -> None:
    """Notes where a run outside saves/ lies, so that it is found. OSError when that is not possible."""
    note = elsewhere(workspace) / run_id
    note.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomic(note, str(folder))


def listing(folder: Path) -> list[Path]:
    """What lies in a folder; empty when it is missing."""
    try:
        return [folder / name for name in sorted(os.listdir(folder))]
    except OSError:
        return []


def sizes(folder: Path) -> Iterator[int]:
    """Bytes on disk of every file below a folder; a file with another name elsewhere frees nothing."""
    for base, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                stat = os.lstat(os.path.join(base, name))
                if stat.st_nlink == 1:
                    yield stat.st_blocks * 512


def sync(*folders: Path) -> None:
    """Makes renames durable, as far as the file system can."""
    for folder in folders:
        with suppress(OSError):
            sync_folder(str(folder))


def remove_if_empty(folder: Path) -> None:
    """Removes a folder beside runs once nothing is in it any more."""
    if folder.name == BESIDE:
        with suppress(OSError):
            folder.rmdir()


def total(trash: Trash, items: Iterable[Item]) -> int:
    """Bytes of several items."""
    return sum(trash.size(item) for item in items)
