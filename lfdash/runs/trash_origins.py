"""Where deleted runs lie and where they came from, as files say it, and whether that may be believed.

The files may come from somebody else. What they name is moved and deleted only where deleted runs of ours lie, and
moved back only to where runs may be: both below the allowed folders, links followed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from lfdash.errors import RecordError
from lfdash.files import as_record, readable
from lfdash.runs.record import RUN_ID, Finite

BESIDE = ".lfdash-trash"  # folder beside a run on another disk than the workspace's
OWN = "trash"  # folder in the workspace's private one


@dataclass(frozen=True)
class Item:
    """A deleted run. name: its key in the trash. place: where its folder lies, origin: where it came from (both
    absolute). title: the run's name. discarded: epoch seconds. disk: what the trash folder beside it is known by; ""
    where it lies in the workspace, or nobody noted it."""

    name: str
    place: Path
    origin: Path
    run_id: str
    title: str
    discarded: float
    disk: str = ""


@dataclass(frozen=True)
class UnreadableItem:
    """A note about a deleted run that cannot be used. file: its name as it can be shown. reason: why, in English."""

    file: str
    reason: str


@dataclass(frozen=True)
class Note:
    """What a file says of a deleted run; paths are relative to the workspace, or absolute."""

    run_id: Annotated[str, Meta(pattern=RUN_ID)]
    title: str
    origin: str
    place: str
    discarded: Finite
    disk: str = ""


def item_of(workspace: Path, name: str, data: Any) -> Item:
    """The item of a file's data. RecordError when it tells none; `Bounds` says whether it may be believed."""
    note = as_record(Note, data, f"{name}.json")
    if b"\0" in encoded(note.origin + note.place):
        raise RecordError(f"{name}.json names no path")
    place, origin = (Path(os.path.normpath(workspace / text)) for text in (note.place, note.origin))
    return Item(name, place, origin, note.run_id, readable(note.title), note.discarded, note.disk)


def encoded(path: str) -> bytes:
    """A path as the system takes it; a null byte for one that it does not take."""
    try:
        return os.fsencode(path)
    except ValueError:
        return b"\0"


@dataclass(frozen=True)
class Bounds:
    """What deleted runs may lie in, and go back to. own: the trash of the workspace. folders: the allowed ones,
    absolute, without links."""

    own: Path
    folders: tuple[Path, ...]

    def real(self, folder: Path) -> tuple[Path, Path] | None:
        """(allowed folder, where `folder` really lies in it); None when that is outside of all."""
        real = Path(os.path.realpath(folder))
        roots = [root for root in self.folders if real.is_relative_to(root) and root.is_dir()]
        return (max(roots, key=lambda root: len(root.parts)), real) if roots else None

    def why_not(self, item: Item) -> str:
        """Why an item must not be touched, in English; "" when it may be."""
        return self.why_not_place(item) or self.why_not_origin(item)

    def why_not_place(self, item: Item) -> str:
        """The same for where it lies, or would lie."""
        beside = item.place.parent.name == BESIDE
        if item.place.name != item.name or not (beside or item.place.parent == self.own):
            return "its folder is not in the trash"
        place = self.real(item.place.parent)
        if place is None or place[1].name != (BESIDE if beside else OWN):
            return "its folder is outside the workspace and the allowed folders"
        return ""

    def why_not_origin(self, item: Item) -> str:
        """The same for where it came from."""
        origin = self.real(item.origin.parent)
        if origin is None:
            return "it came from outside the workspace and the allowed folders"
        root, parent = origin
        parts = (parent / item.origin.name).relative_to(root).parts
        hidden = not parts or any(part.startswith(".") for part in parts)
        return "it did not come from a folder of runs" if hidden else ""
