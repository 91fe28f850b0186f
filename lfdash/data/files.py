"""The files of a dataset: one, or all of a folder, as LLaMA-Factory takes them.

Source: `_load_single_dataset` in llamafactory/data/loader.py: what lies in a folder must be files of one type.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lfdash.data.json_text import as_text
from lfdash.data.rows import SUFFIXES
from lfdash.outcomes import Problem

SAME = {".jsonl": ".json"}  # suffixes that one loader reads
Mark = tuple[int, int, int]  # time of change (ns), size, inode


@dataclass(frozen=True)
class DataFile:
    """A file of data. content: what it holds, of one that is not on the disk (yet). size: bytes."""

    path: Path
    size: int = 0
    content: bytes | None = None


def data_files(path: Path) -> Sequence[DataFile] | Problem:
    """The files of the dataset at a path (without links), or why it has none."""
    try:
        if not path.is_dir():
            return (DataFile(path, path.stat().st_size if path.exists() else 0),)
        inside = sorted(path.iterdir())
        found = tuple(DataFile(file, file.stat().st_size) for file in inside if file.is_file())
    except (OSError, ValueError) as error:
        return folder_problem("data_unreadable", path, reason=str(error))
    if not inside:
        return folder_problem("data_folder_empty", path)
    kinds = {SAME.get(file.suffix, file.suffix) if file.is_file() else "/" for file in inside}
    if len(kinds) > 1 or not kinds <= set(SUFFIXES):
        odd = next((file.name for file in inside if not file.is_file() or file.suffix not in SUFFIXES), inside[-1].name)
        return folder_problem("data_folder_mixed", path, odd=as_text(odd))
    return found


def folder_problem(code: str, path: Path, **params: str) -> Problem:
    """What is wrong with a folder of data."""
    return Problem(None, code, {"file": as_text(path.name), **params})


def stamp(path: Path) -> Mark | None:
    """Time of change (ns), size and inode of a file, or what all files of a folder have together; None when nothing is
    there."""
    try:
        stat = path.stat()
        stats = [stat, *(file.stat() for file in path.iterdir())] if path.is_dir() else [stat]
    except (OSError, ValueError):
        return None
    return max(one.st_mtime_ns for one in stats), sum(one.st_size for one in stats), sum(one.st_ino for one in stats)
