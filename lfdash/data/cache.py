"""What is known of the datasets of a workspace, read again only when their files change."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path

from lfdash.data.counting import Counter, Counting, Mark
from lfdash.data.dataset_info import FILE, DatasetInfo, broken, read_dataset_info
from lfdash.data.preview import Counted, Preview, preview

KEPT = 16  # files whose first rows are remembered


class DataCache:
    """Lists, first rows and row counts of data folders. root: the workspace; folders are named relative to it.
    readable: where a path leads, None when it may not be read."""

    def __init__(self, root: Path, readable: Callable[[Path], Path | None] = Path.resolve) -> None:
        self.root = root
        self.counter = Counter()
        self._readable = readable
        self._infos: dict[Path, tuple[object, DatasetInfo]] = {}
        self._previews: OrderedDict[Path, tuple[Mark, Preview]] = OrderedDict()

    def info(self, directory: str) -> DatasetInfo:
        """What dataset_info.json of a folder lists."""
        folder = self.root / directory
        file = self._readable(folder / FILE)
        if file is None:
            return broken("name_outside", folder / FILE, value=directory)
        seen = (file, stamp(file))
        cached = self._infos.get(folder)
        if cached is None or cached[0] != seen:
            cached = (seen, read_dataset_info(folder, file))
            self._infos[folder] = cached
        return cached[1]

    def preview(self, path: Path) -> Preview:
        """The first rows of a file. path: without links."""
        mark = stamp(path)
        if mark is None:
            return preview(path)  # which says what is wrong
        cached = self._previews.get(path)
        if cached is None or cached[0] != mark:
            cached = (mark, preview(path))
            self._previews[path] = cached
            while len(self._previews) > KEPT:
                self._previews.popitem(last=False)
        return cached[1]

    def count(self, path: Path) -> Counting:
        """How many rows a file has, as far as it is known: those of a large one are counted while the page goes on.

        path: without links.
        """
        first, mark = self.preview(path), stamp(path)
        if mark is None or first.count is not None or first.problem is not None:
            return Counting(mark or (0, 0, 0), Counted(first.count, first.problem), 1.0)
        return self.counter.ask(path, mark)

    def rows(self, directory: str, names: Iterable[str]) -> dict[str, int]:
        """How many rows the named datasets have; those whose file is missing, broken or not counted yet are left out.
        """
        files = self.info(directory).files
        counts = {name: self._rows(self.root / directory / files[name]) for name in names if name in files}
        return {name: count for name, count in counts.items() if count is not None}

    def _rows(self, path: Path) -> int | None:
        file = self._readable(path)
        found = self.count(file).found if file is not None else None
        return found.rows if found is not None else None


def stamp(path: Path) -> Mark | None:
    """Time of change (ns), size and inode of a file; None when it is not there."""
    try:
        stat = path.stat()
    except (OSError, ValueError):
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
