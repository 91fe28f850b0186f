"""The trash: folders of runs that were deleted, until somebody takes them back or empties it.

Nothing is ever copied: a folder is renamed, within its own disk, so that it is whole here or whole there whenever
a process dies. Where it came from is written down before. Deleting for good renames first, too: what is half
deleted is not shown, and is removed the next time.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
import stat
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from lfdash.errors import RecordError
from lfdash.files import Unreadable, open_folder, read_json_file, read_text_file, readable, write_text_atomic
from lfdash.outcomes import DISK_FULL, Refused, unchanged_by
from lfdash.runs.paths import RunPaths, private, saves
from lfdash.runs.places import elsewhere, is_walked, note_elsewhere
from lfdash.runs.record import RunRecord
from lfdash.runs.trash_origins import BESIDE, OWN, Bounds, Item, UnreadableItem, item_of
from lfdash.runs.view import RunView, relative
from lfdash.supervisor import failpoints
from lfdash.supervisor.records import sync_folder

GONE = ".gone."  # what a folder's name begins with while it is deleted
MARK = ".disk"  # file in a trash folder beside runs: what that folder is known by, when its disk was away
STALE_S = 3600.0  # an origin without a folder is that old before it is forgotten: somebody may be about to move it


@dataclass(frozen=True)
class TrashLook:
    """What a look at the trash found. items: what can be taken back, newest first. away: what lies on a disk that is
    not there now. unreadable: notes that cannot be used; nothing is moved or deleted by them."""

    items: tuple[Item, ...]
    away: tuple[Item, ...] = ()
    unreadable: tuple[UnreadableItem, ...] = ()


@dataclass(frozen=True)
class Emptied:
    """freed: bytes. refused: why something was not deleted: trash_left (part of it), readonly, disk_kept, failed."""

    freed: int
    refused: Refused | None = None


class Trash:
    """The deleted runs of one workspace. Who changes it holds the workspace's launch lock.

    folders: what deleted runs may lie in and go back to (absolute, without links); default: the workspace, and its
    saves/ wherever that leads.
    """

    def __init__(self, workspace: Path, folders: Sequence[Path] = ()) -> None:
        self._workspace = workspace
        self.folder = private(workspace) / OWN
        real = tuple(Path(os.path.realpath(folder)) for folder in (workspace, saves(workspace)))
        self._bounds = Bounds(self.folder, tuple(folders) or real)
        self._origins = self.folder / ".origins"
        self._sizes: dict[tuple[Path, int], int] = {}

    # -- what is there ----------------------------------------------------------------------------------

    def items(self) -> tuple[Item, ...]:
        """All deleted runs that can be taken back, newest first."""
        return self.look().items

    def look(self) -> TrashLook:
        """Everything that is known of deleted runs. Never raises, never waits."""
        items = {item.name: item for item in self._without_origin()}
        away, unreadable = [], []
        for note in self._notes():
            where = "" if isinstance(note, UnreadableItem) else self._where(note)
            if isinstance(note, UnreadableItem):
                if note.file.removesuffix(".json") not in items:
                    unreadable.append(note)
            elif where == "here":
                items[note.name] = note
            elif where == "away":
                away.append(note)
        newest_first = sorted(items.values(), key=lambda item: (item.discarded, item.name), reverse=True)
        return TrashLook(tuple(newest_first), tuple(away), tuple(unreadable))

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

    def _notes(self) -> Iterator[Item | UnreadableItem]:
        """Every item whose origin was written down, whether or not its folder is here; and what cannot be used."""
        try:
            names = sorted(os.listdir(self._origins))
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            yield UnreadableItem(self._origins.name, error.strerror or type(error).__name__)
            return
        for file in names:
            name, suffix = os.path.splitext(file)
            if suffix != ".json":  # being written
                continue
            data = read_json_file(self._origins / file)
            if isinstance(data, dict):
                yield self._believed(name, data)
            elif isinstance(data, Unreadable):
                yield UnreadableItem(readable(file), data.reason)

    def _believed(self, name: str, data: dict[str, object]) -> Item | UnreadableItem:
        try:
            item = item_of(self._workspace, name, data)
        except RecordError as error:
            return UnreadableItem(readable(f"{name}.json"), str(error))
        reason = self._bounds.why_not(item)
        return UnreadableItem(readable(f"{name}.json"), reason) if reason else item

    def _told(self) -> list[Item]:
        """The items among the notes."""
        return [note for note in self._notes() if isinstance(note, Item)]

    def _where(self, item: Item) -> Literal["here", "gone", "away"]:
        """Whether an item's folder is at its place. It is gone only where its trash folder is there and says so: an
        empty mount point, or a look that failed, says nothing."""
        try:
            if stat.S_ISDIR(os.lstat(item.place).st_mode):
                return "here"
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError:
            return "away"
        there = item.place.parent == self.folder or (item.disk and item.disk == disk_of(item.place.parent))
        back = told_by_record(self._workspace, item.origin)
        return "gone" if there or (back is not None and back[0].run_id == item.run_id) else "away"

    def _without_origin(self) -> Iterator[Item]:
        """Folders of which only their own record tells where they came from: an older version moved them here, or
        the disk was full."""
        for path in listing(self.folder):
            if path.name.startswith(".") or path.is_symlink() or not path.is_dir():
                continue
            told = told_by_record(self._workspace, path)
            if told is None:
                continue
            record, origin = told
            with suppress(OSError):
                item = Item(path.name, path, origin, record.run_id, record.name, path.stat().st_ctime)
                if not self._bounds.why_not(item):
                    yield item

    # -- in -----------------------------------------------------------------------------------------------

    def _item(self, view: RunView) -> Item:
        """What a run would be here."""
        name = self._free_name(f"{readable(view.path.name)}.{view.run_id}")
        return Item(name, self.folder / name, view.path, view.run_id, view.name, time.time())

    def why_not_ours(self, view: RunView) -> Refused | None:
        """Refused("not_ours") for a run that lies where none of ours may: it is neither moved nor renamed."""
        outside = self._bounds.why_not_origin(self._item(view))
        return Refused("not_ours", {"path": relative(self._workspace, view.path)}) if outside else None

    def put(self, view: RunView) -> Item | Refused:
        """Moves a run's folder here. Refused: not_ours (it lies where no run of ours may), trash_outside (the trash is
        a link that leads outside), readonly, disk_kept, failed; then it is where it was."""
        item = self._item(view)
        refused = self.why_not_ours(view)
        if refused is not None:
            return refused
        if self._bounds.why_not_place(item):
            where = {"path": relative(self._workspace, self.folder), "target": readable(os.path.realpath(self.folder))}
            return Refused("trash_outside", where)
        try:
            make_folders(self._workspace, self._origins)
            self._note(item)
            failpoints.hit("trash.before_move")
            try:
                os.rename(item.origin, item.place)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                item = self._beside(item)
                os.rename(item.origin, item.place)
            failpoints.hit("trash.after_move")
        except OSError as error:
            remove_if_empty(view.path.parent / BESIDE)
            with suppress(OSError):
                self._origin(item.name).unlink(missing_ok=True)
            return unchanged_by(error, view.path)
        sync(item.place.parent, item.origin.parent)
        return item

    def _beside(self, item: Item) -> Item:
        """The item with a place on its own disk, in a trash folder that is made and marked there. OSError when that
        cannot be."""
        folder = item.origin.parent / BESIDE
        folder.mkdir(exist_ok=True)
        if folder.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(folder))
        item = replace(item, place=folder / item.name, disk=mark_disk(folder))
        self._note(item)
        return item

    def _note(self, item: Item) -> None:
        """Writes down where an item comes from and where it will lie. On a full disk the run's own record must do."""
        data = {"version": 1, "run_id": item.run_id, "title": item.title, "discarded": item.discarded}
        data |= {"disk": item.disk} if item.disk else {}
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

    def _at(self, folder: Path, *, make: bool = False) -> AbstractContextManager[int]:
        """A descriptor of a folder that an item names, no link followed. OSError when it leads outside by now."""
        real = self._bounds.real(folder)
        if real is None:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM), str(folder))
        return open_folder(*real, make=make)

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
            with self._at(item.place.parent) as source, self._at(item.origin.parent, make=True) as target:
                if not is_walked(self._workspace, item.origin):
                    note_elsewhere(self._workspace, item.run_id, item.origin)
                os.rename(item.name, item.origin.name, src_dir_fd=source, dst_dir_fd=target)
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
            try:
                with self._at(item.place.parent) as folder:
                    os.rename(item.name, GONE + item.name, src_dir_fd=folder, dst_dir_fd=folder)
                    deleted = delete(GONE + item.name, folder)
            except OSError as error:
                refused = unchanged_by(error, item.place)
                continue
            if deleted:
                self._forget(item)
                freed += size
            else:
                refused = Refused("trash_left", {"path": str(item.place.with_name(GONE + item.name))})
        return Emptied(freed, refused)

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
            make_folders(self._workspace, self._origins)
        for item in self._told():
            begun = os.path.lexists(item.place.with_name(GONE + item.name))
            stale = not begun and time.time() - item.discarded > STALE_S and self._where(item) == "gone"
            if (begun and self._delete_begun(item.place.parent, GONE + item.name)) or stale:
                self._forget(item)
        for path in listing(self.folder):
            if path.name.startswith(GONE):
                self._delete_begun(self.folder, path.name)

    def _delete_begun(self, folder: Path, name: str) -> bool:
        """Goes on with a folder that is being deleted; whether nothing is left."""
        real = self._bounds.real(folder)
        if real is None or real[1].name not in (OWN, BESIDE):
            return False
        with suppress(OSError), self._at(folder) as descriptor:
            return delete(name, descriptor)
        return False


def delete(name: str, folder: int) -> bool:
    """Deletes a folder by its name in an open one, as far as possible, no link followed; whether nothing is left."""
    shutil.rmtree(name, ignore_errors=True, dir_fd=folder)
    with suppress(OSError):
        os.unlink(name, dir_fd=folder)  # somebody put a link or a file in its place
    try:
        os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return True
    except OSError:
        pass
    return False


def make_folders(workspace: Path, folder: Path) -> None:
    """Makes a folder in the workspace, which itself is never made: it may have been moved. OSError when it is not
    there."""
    for part in (*reversed(folder.relative_to(workspace).parents[:-1]), folder.relative_to(workspace)):
        (workspace / part).mkdir(exist_ok=True)


def disk_of(folder: Path) -> str:
    """What a trash folder beside runs is known by; "" when it is not there, or was never marked."""
    text = read_text_file(folder / MARK, limit=100)
    return text.strip() if isinstance(text, str) else ""


def mark_disk(folder: Path) -> str:
    """The same, marked now where it was not; "" on a disk that is full."""
    if not disk_of(folder):
        with suppress(OSError):
            write_text_atomic(folder / MARK, secrets.token_hex(16))
    return disk_of(folder)


def told_by_record(workspace: Path, folder: Path) -> tuple[RunRecord, Path] | None:
    """A run's record and the place that it says the run was started in; None when there is no such record."""
    text = read_text_file(RunPaths(folder).record)
    if not isinstance(text, str):
        return None
    try:
        record = RunRecord.from_json(text)
    except RecordError:
        return None
    place = record.last.env.get("LLAMABOARD_WORKDIR")
    return None if not place else (record, Path(os.path.normpath(workspace / place)))


def written(workspace: Path, path: Path) -> str:
    """A path as it is written down: relative where it lies in the workspace, which may be moved; bytes that are no
    text are kept (JSON escapes them)."""
    return str(path.relative_to(workspace)) if path.is_relative_to(workspace) else str(path)


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
            if os.listdir(folder) == [MARK]:
                (folder / MARK).unlink()
            folder.rmdir()


def total(trash: Trash, items: Iterable[Item]) -> int:
    """Bytes of several items."""
    return sum(trash.size(item) for item in items)
