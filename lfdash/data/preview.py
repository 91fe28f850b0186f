"""Data files seen through: first rows, how many there are, which line is broken; and new entries for them."""

from __future__ import annotations

import csv
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lfdash.outcomes import Problem

WHOLE = 64 * 1024 * 1024  # bytes; a JSON array above this is looked at from its beginning only
START = 2 * 1024 * 1024


@dataclass(frozen=True)
class Preview:
    """The beginning of a data file. count: rows, None when the file is too large to count. problem: what is wrong."""

    rows: Sequence[Mapping[str, Any]] = ()
    count: int | None = None
    problem: Problem | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of all columns of the rows that are here, in order of appearance."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row))


def preview(path: Path, limit: int = 50) -> Preview:
    """Reads the first rows of a JSON, JSONL, CSV or Parquet file."""
    try:
        size = path.stat().st_size
        if path.suffix == ".csv":
            return read_csv(path, limit)
        if path.suffix == ".jsonl":
            return read_lines(path, limit)
        if path.suffix == ".parquet":
            return read_parquet(path, limit)
        if path.suffix == ".json":
            return read_json(path, limit) if size <= WHOLE else read_start(path, limit)
    except FileNotFoundError:
        return Preview(problem=trouble("data_missing", path))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        return Preview(problem=trouble("data_unreadable", path, reason=str(error)))
    return Preview(problem=trouble("data_no_preview", path))


def trouble(code: str, path: Path, **params: Any) -> Problem:
    return Problem(None, code, {"file": path.name, **params})


def read_csv(path: Path, limit: int) -> Preview:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        rows = [{str(k): v for k, v in row.items()} for row in itertools.islice(reader, limit)]
        return Preview(rows, len(rows) + sum(1 for _ in reader))


def read_parquet(path: Path, limit: int) -> Preview:
    """Column names and the count are in the file's last bytes; of its rows only the first batch is read."""
    import pyarrow as pa  # 40 MB, which a workspace without such a file never pays
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            batch = next(file.iter_batches(batch_size=limit), None) if limit else None
            return Preview(batch.to_pylist() if batch is not None else (), file.metadata.num_rows)
    except pa.ArrowInvalid as error:
        return Preview(problem=trouble("data_unreadable", path, reason=str(error)))


def read_lines(path: Path, limit: int) -> Preview:
    rows: list[Mapping[str, Any]] = []
    count = 0
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            count += 1
            if len(rows) < limit:
                try:
                    rows.append(as_row(json.loads(line)))
                except ValueError as error:
                    return Preview(rows, None, trouble("data_syntax", path, line=number, reason=reason(error)))
    return Preview(rows, count)


def read_json(path: Path, limit: int) -> Preview:
    text = path.read_text(encoding="utf-8-sig")
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg.startswith("Extra data") and "\n" in text:
            return read_lines(path, limit)  # JSON lines under another name, which LLaMA-Factory takes
        return Preview(problem=trouble("data_syntax", path, line=error.lineno, reason=error.msg))
    if not isinstance(content, list):
        return Preview(problem=trouble("data_shape", path, reason=type(content).__name__))
    return Preview([as_row(row) for row in content[:limit]], len(content))


def read_start(path: Path, limit: int) -> Preview:
    """The first rows of a large JSON array, without reading the rest."""
    with path.open(encoding="utf-8-sig") as file:
        text = file.read(START)
    return Preview(list(itertools.islice(rows_of(text), limit)), None)


def rows_of(text: str) -> Iterator[Mapping[str, Any]]:
    """The whole rows at the beginning of a JSON array's text."""
    decoder, place = json.JSONDecoder(), text.find("[") + 1
    while place:
        found = re.compile(r"[\s,]*").match(text, place)
        place = found.end() if found else place
        try:
            row, place = decoder.raw_decode(text, place)
        except ValueError:
            return
        yield as_row(row)


def as_row(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {"": value}


def reason(error: ValueError) -> str:
    return error.msg if isinstance(error, json.JSONDecodeError) else str(error)


