"""What is known of the datasets of a workspace, read again only when their files change."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from lfdash.data.counting import Counter, Counting
from lfdash.data.dataset_info import FILE, DatasetInfo, broken, read_dataset_info, without_source
from lfdash.data.files import Mark, data_files, stamp
from lfdash.data.preview import Counted, Preview, count_rows, preview
from lfdash.data.survey import Survey, survey
from lfdash.data.usable import Usable, check
from lfdash.outcomes import Problem

KEPT = 16  # files whose first rows are remembered
SMALL = 256 << 10  # bytes of a file that is looked through at once
Told = Callable[[int, int], bool]


class DataCache:
    """Lists, first rows and row counts of data folders. root: the workspace; folders are named relative to it.
    readable: where a path leads, None when it may not be read."""

    def __init__(self, root: Path, readable: Callable[[Path], Path | None] = Path.resolve) -> None:
        self.root = root
        self.counter: Counter[Path, Counted] = Counter(count_rows, Counted)
        self.checks: Counter[Question, Usable] = Counter(asked, Usable)
        self.surveys: Counter[Path, Survey] = Counter(surveyed, Survey)
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

    def count(self, path: Path) -> Counting[Counted]:
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

    def usable(self, directory: str, name: str, stage: str, limit: int | None = None) -> Counting[Usable] | None:
        """How many rows of a dataset a stage is trained on, as far as that is known; of a small file it is known at
        once. None for a name that is not listed, and for data that are no file here.

        limit: rows that are taken of it at most.
        """
        known = self.info(directory)
        if name not in known.files:
            problem = without_source(name, known.entries[name]) if name in known.entries else None
            return answered(Usable(problems=(problem,))) if problem else None
        path = self._readable(self.root / directory / known.files[name])
        if path is None:
            return answered(Usable(problems=(Problem(None, "name_outside", {"value": known.files[name]}),)))
        return self.check(path, name, known.entries[name], stage, limit)

    def check(
        self, path: Path, name: str, entry: Mapping[str, Any], stage: str, limit: int | None = None
    ) -> Counting[Usable]:
        """The same for an entry at hand. path: of its file, without links."""
        mark = stamp(path)
        question = Question(path, name, json.dumps(entry, sort_keys=True, default=str), stage, limit)
        if mark is None:
            return answered(asked(question) or Usable())
        return self.checks.ask(question, mark, at_once=mark[1] <= SMALL)

    def survey(self, path: Path) -> Counting[Survey]:
        """What the columns of a file hold, as far as that is known. path: without links."""
        mark = stamp(path)
        if mark is None:
            return answered(surveyed(path) or Survey())
        return self.surveys.ask(path, mark, at_once=mark[1] <= SMALL)


Result = TypeVar("Result")


def answered(found: Result) -> Counting[Result]:
    """An answer that took no look."""
    return Counting((0, 0, 0), found, 1.0)


class Question(NamedTuple):
    """What is asked of a file: as usable.check; entry: as JSON."""

    path: Path
    name: str
    entry: str
    stage: str
    limit: int | None


def asked(question: Question, told: Told = lambda _taken, _size: True) -> Usable | None:
    """The answer to a question."""
    entry = json.loads(question.entry)
    return check(data_files(question.path), question.name, entry, question.stage, question.limit, told)


def surveyed(path: Path, told: Told = lambda _taken, _size: True) -> Survey | None:
    """The survey of the dataset at a path."""
    return survey(data_files(path), told)
