"""Finds the runs of a workspace and says how each stands, from its folder and its launcher's status."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from lfdash.errors import RecordError
from lfdash.files import FileMark, file_mark, read_plain
from lfdash.runs.paths import RunPaths, is_home, private, saves
from lfdash.runs.record import TERMINAL, RunRecord, Status
from lfdash.runs.view import RunView, known, plain_id, view_odd, view_plain, view_run

logger = logging.getLogger(__name__)

DEPTH = 5  # folders below saves/ in which runs are looked for


# -- finding --------------------------------------------------------------------------------------------


def elsewhere(workspace: Path) -> Path:
    """The folder with one file for each run whose output lies outside saves/; each holds a path."""
    return private(workspace) / "elsewhere"


def find_runs(workspace: Path) -> list[Path]:
    """Folders of all runs: below saves/, and those noted as lying elsewhere. Absolute, in no order."""
    found = list(walk(saves(workspace), DEPTH))
    try:
        notes = list(elsewhere(workspace).iterdir())
    except OSError:
        notes = []
    for note in notes:
        try:
            path = Path(note.read_text(encoding="utf-8").strip())
        except (OSError, ValueError):
            continue
        if path.is_absolute() and RunPaths(path).record.exists():
            found.append(path)
    return found


def walk(folder: Path, depth: int) -> Iterator[Path]:
    """Run folders below `folder`; does not look inside one, nor into hidden folders (half-made runs)."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    names = {entry.name for entry in entries}
    paths = RunPaths(folder)
    if paths.record.name in names or paths.trainer_log.name in names:
        yield folder
    elif depth:
        for entry in entries:
            if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                yield from walk(folder / entry.name, depth - 1)


# -- scanning -------------------------------------------------------------------------------------------

Poll = Callable[[RunPaths, RunRecord], Status]
Signature = tuple[FileMark | None, ...]


@dataclass
class Cached:
    """What the last look at a folder found, and what its files looked like then."""

    signature: Signature
    view: RunView


def signature(paths: RunPaths) -> Signature:
    """Changes whenever a run that is over could look different."""
    return tuple(file_mark(path) for path in (paths.root, paths.record, paths.exit, paths.trainer_log))


def look(workspace: Path, path: Path, poll: Poll) -> RunView | None:
    """How the run in a folder stands; None when there is none any more."""
    paths = RunPaths(path)
    if not os.path.lexists(paths.record):
        return view_plain(workspace, paths) if paths.trainer_log.exists() else None
    try:
        record = RunRecord.from_json(read_plain(paths.record))
    except RecordError as error:
        return view_plain(workspace, paths, str(error))
    except (OSError, ValueError) as error:
        return view_plain(workspace, paths, f"run.json cannot be read: {error}")
    record = made(paths, record)
    return view_run(workspace, paths, record, known(record) or poll(paths, record))


def made(paths: RunPaths, record: RunRecord) -> RunRecord:
    """The record without attempts that were taken back, since they could not be started."""
    attempts = record.attempts
    while len(attempts) > 1 and not paths.attempt(attempts[-1].number).root.exists():
        attempts = attempts[:-1]
    return replace(record, attempts=attempts)


def apart(workspace: Path, views: list[RunView]) -> list[RunView]:
    """The views, with an id of its own for each folder that is a copy of another run's."""
    by_id: dict[str, list[RunView]] = {}
    for view in views:
        by_id.setdefault(view.run_id, []).append(view)
    return [one for same in by_id.values() for one in (same if len(same) == 1 else renamed(workspace, same))]


def renamed(workspace: Path, same: list[RunView]) -> list[RunView]:
    """Views of one id: the one that lies where it was made keeps it, else the first by its path."""
    first, *copies = sorted(same, key=lambda view: (not is_home(view.paths, view.attempt), view.path))
    return [first, *(replace(view, run_id=plain_id(workspace, view.path)) for view in copies)]


def scan(workspace: Path, cache: dict[Path, Cached], poll: Poll, folders: list[Path] | None = None) -> list[RunView]:
    """The runs of a workspace, newest first. Runs that are over are read again only when a file changed.

    cache: kept by the caller between calls. poll: asks the launcher. folders: where to look (default: all).
    """
    if folders is None:
        folders = find_runs(workspace)
        for path in cache.keys() - set(folders):
            del cache[path]
    for path in folders:
        seen = signature(RunPaths(path))
        held = cache.get(path)
        if held is not None and held.signature == seen and held.view.state in TERMINAL:
            continue
        try:
            view = look(workspace, path, poll)
        except Exception:  # one odd folder must not hide the other runs
            logger.exception("looking at the run in %s failed", path)
            view = held.view if held else view_odd(workspace, path)
        if view is None:
            cache.pop(path, None)
        else:
            cache[path] = Cached(seen, view)
    views = apart(workspace, [held.view for held in cache.values()])
    return sorted(views, key=lambda view: view.started or view.ended or 0.0, reverse=True)
