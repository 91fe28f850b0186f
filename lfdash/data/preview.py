"""Data files seen through: their first rows, how many there are, which line is broken."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from lfdash.data.files import data_files
from lfdash.data.json_text import as_text, is_text
from lfdash.data.rows import SUFFIXES, Rows, arrow_batches, parquet
from lfdash.files import is_shallow, open_plain
from lfdash.outcomes import Problem

START = 4 << 20  # bytes of a file that are read for its first rows
TOLD_EVERY = 1000  # rows
BATCHED = (".parquet", ".arrow")  # files that say themselves how many rows they have


@dataclass(frozen=True)
class Preview:
    """The beginning of a data file. count: its rows, None where they were not all looked at. problem: what is wrong
    with the file. warning: what is odd in one of the rows here."""

    rows: Sequence[Mapping[str, Any]] = ()
    count: int | None = None
    problem: Problem | None = None
    warning: Problem | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of all columns of the rows that are here, in order of appearance."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row))


@dataclass(frozen=True)
class Counted:
    """What a look at all rows of a file found. rows: None where `problem` says why they cannot be read to the end."""

    rows: int | None = None
    problem: Problem | None = None


def preview(path: Path, limit: int = 50, content: bytes | None = None) -> Preview:
    """The first rows of a data file, out of its first START bytes.

    path: without links (whoever let it be read has followed them); a pipe or a device is no data file. Of a folder the
    first file is shown. content: what the file holds, of one that is not on the disk.
    """
    if content is None and path.is_dir():
        files = data_files(path)
        if isinstance(files, Problem):
            return Preview(problem=files)
        return replace(preview(files[0].path, limit), count=None)
    file = opened(path, content)
    if isinstance(file, Problem):
        return Preview(problem=file)
    with file:
        if path.suffix in BATCHED:
            return batched_preview(file, path, limit)
        try:
            rows = Rows(file, path, START)
        except OSError as error:
            return Preview(problem=trouble("data_unreadable", path, reason=str(error)))
        given = iter(rows)
        first = list(itertools.islice(given, limit))
        count = None if rows.cut else len(first) + sum(1 for _ in given)
    if limit and rows.cut and not first and rows.problem is None:
        return Preview(warning=trouble("data_first_long", path, mb=START >> 20))
    return looked_at(path, first, None if rows.problem else count, rows.problem)


def batched_preview(file: BinaryIO, path: Path, limit: int) -> Preview:
    """Column names and the count are told by the file; of its rows only the first are read."""
    rows = Rows(file, path)
    first = list(itertools.islice(rows, limit))
    count = None if rows.problem else batched_count(file, path)
    return looked_at(path, first, count.rows if count else None, rows.problem or (count.problem if count else None))


def looked_at(path: Path, rows: Sequence[Mapping[str, Any]], count: int | None, problem: Problem | None) -> Preview:
    """The preview of rows that were read; those behind one that nobody could show are left out."""
    for number, row in enumerate(rows, 1):
        if not is_shallow(row):
            return Preview(rows[: number - 1], count, problem, trouble("data_deep_row", path, row=number))
    halves = (number for number, row in enumerate(rows, 1) if not all(map(is_text, strings(row))))
    odd = next(halves, None)
    return Preview(rows, count, problem, None if odd is None else trouble("data_half", path, row=odd))


def count_rows(path: Path, told: Callable[[int, int], bool] = lambda _taken, _size: True) -> Counted | None:
    """Looks at every row of a file, in bounded memory. None when `told` said to stop.

    told: called now and then with the bytes that were read and those that there are; False = stop.
    """
    if path.is_dir():
        return count_folder(path, told)
    file = opened(path)
    if isinstance(file, Problem):
        return Counted(None, file)
    with file:
        if path.suffix in BATCHED:
            return batched_count(file, path)
        try:
            rows = Rows(file, path)
        except OSError as error:
            return Counted(None, trouble("data_unreadable", path, reason=str(error)))
        count = 0
        for count, _ in enumerate(rows, 1):
            if count % TOLD_EVERY == 0 and not told(rows.taken, rows.size):
                return None
    return Counted(None, rows.problem) if rows.problem else Counted(count)


def count_folder(path: Path, told: Callable[[int, int], bool]) -> Counted | None:
    """The rows of all files of a folder."""
    files = data_files(path)
    if isinstance(files, Problem):
        return Counted(None, files)
    rows = 0
    for file in files:
        found = count_rows(file.path, told)
        if found is None or found.rows is None:
            return found
        rows += found.rows
    return Counted(rows)


def batched_count(file: BinaryIO, path: Path) -> Counted:
    """What a Parquet or Arrow file says of itself."""
    import pyarrow as pa  # see rows.py

    file.seek(0)
    try:
        if path.suffix == ".parquet":
            return Counted(parquet(file).metadata.num_rows)
        return Counted(sum(batch.num_rows for batch in arrow_batches(file)))
    except (pa.ArrowException, OSError, ValueError, TypeError) as error:
        return Counted(None, trouble("data_unreadable", path, reason=str(error)))


def rows_at(path: Path, numbers: Collection[int]) -> list[tuple[int, Mapping[str, Any]]]:
    """Some rows of a dataset, by their numbers (1 is the first), as far as it can be read.

    path: of its file or folder, without links.
    """
    files = data_files(path)
    found: list[tuple[int, Mapping[str, Any]]] = []
    number = 0
    for file in () if isinstance(files, Problem) else files:
        source = opened(file.path)
        if isinstance(source, Problem):
            break
        with source:
            for row in Rows(source, file.path):
                number += 1
                if number in numbers:
                    found.append((number, row))
                if number >= max(numbers, default=0):
                    return found
    return found


def opened(path: Path, content: bytes | None = None) -> BinaryIO | Problem:
    """A data file, opened for reading; or why that cannot be. content: what it holds, where it is not on the disk."""
    if path.suffix not in SUFFIXES:
        return trouble("data_no_preview", path)
    if content is not None:
        return io.BytesIO(content)
    try:
        return open_plain(path)
    except FileNotFoundError:
        return trouble("data_missing", path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return trouble("data_unreadable", path, reason=reason)


def trouble(code: str, path: Path, **params: Any) -> Problem:
    """A problem of a data file."""
    return Problem(None, code, {"file": as_text(path.name), **params})


def strings(value: Any) -> list[str]:
    """All strings in JSON data, keys too."""
    if isinstance(value, Mapping):
        return [text for item in value.items() for part in item for text in strings(part)]
    if isinstance(value, list):
        return [text for part in value for text in strings(part)]
    return [value] if isinstance(value, str) else []
