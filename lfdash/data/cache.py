"""What is known of the datasets of a workspace, read again only when their files change."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from lfdash.data.dataset_info import FILE, DatasetInfo, broken, read_dataset_info
from lfdash.data.preview import preview

COUNTED = 16 * 1024 * 1024  # bytes; rows of larger files are not counted while somebody types


class DataCache:
    """Lists and row counts of data folders. root: the workspace; folders are named relative to it. readable: where a
    path leads, None when it may not be read."""

    def __init__(self, root: Path, readable: Callable[[Path], Path | None] = lambda path: path) -> None:
        self.root = root
        self._readable = readable
        self._infos: dict[Path, tuple[object, DatasetInfo]] = {}
        self._counts: dict[Path, tuple[object, int | None]] = {}

    def info(self, directory: str) -> DatasetInfo:
        """What dataset_info.json of a folder lists."""
        folder = self.root / directory
        if self._readable(folder / FILE) is None:
            return broken("name_outside", folder / FILE, value=directory)
        seen = stamp(folder / FILE)
        cached = self._infos.get(folder)
        if cached is None or cached[0] != seen:
            cached = (seen, read_dataset_info(folder))
            self._infos[folder] = cached
        return cached[1]

    def rows(self, directory: str, names: Iterable[str]) -> dict[str, int]:
        """How many rows the named datasets have; those whose file is missing, broken or large are left out."""
        files = self.info(directory).files
        counts = {name: self._count(self.root / directory / files[name]) for name in names if name in files}
        return {name: count for name, count in counts.items() if count is not None}

    def _count(self, path: Path) -> int | None:
        seen = stamp(path) if self._readable(path) else None
        if seen is None or seen[1] > COUNTED:
            return None
        cached = self._counts.get(path)
        if cached is None or cached[0] != seen:
            found = preview(path, limit=0)
            cached = (seen, None if found.problem else found.count)
            self._counts[path] = cached
        return cached[1]


def stamp(path: Path) -> tuple[int, int, int] | None:
    """Time of change (ns), size and inode of a file; None when it is not there."""
    try:
        stat = path.stat()
    except (OSError, ValueError):
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
