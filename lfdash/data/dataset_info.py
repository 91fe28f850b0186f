"""The datasets of a folder: what dataset_info.json lists, which line of it is broken, and a new entry in it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lfdash.files import write_text_atomic
from lfdash.outcomes import Problem

DIRECTORY = "train.dataset_dir"
FILE = "dataset_info.json"
SUFFIXES = (".json", ".jsonl", ".csv", ".parquet")
NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,80}")


@dataclass(frozen=True)
class DatasetInfo:
    """Names in the file's order, which of them are ranked pairs, and why the file cannot be used (if so).

    files: name -> its file, relative to the folder; those of a hub have none.
    """

    names: tuple[str, ...] = ()
    ranking: Mapping[str, bool] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    problem: Problem | None = None


def read_dataset_info(folder: Path) -> DatasetInfo:
    """Reads `dataset_info.json` of a data folder; what is wrong with it comes back as a problem."""
    path = folder / FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return broken("datasets_missing", path)
    except (OSError, ValueError) as error:  # not text, or a folder's name that no system call takes
        return broken("datasets_unreadable", path, reason=str(error))
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        return broken("datasets_syntax", path, line=error.lineno, column=error.colno, reason=error.msg)
    except (ValueError, RecursionError) as error:  # thousands of brackets, a number of thousands of digits
        return broken("datasets_unreadable", path, reason=str(error))
    return listed(content, path)


def listed(content: Any, path: Path) -> DatasetInfo:
    """The entries of a parsed file."""
    if not isinstance(content, dict):
        return broken("datasets_shape", path, reason=type(content).__name__)
    wrong = [name for name, entry in content.items() if not isinstance(entry, dict)]
    if wrong:
        return broken("datasets_entry", path, name=wrong[0])
    ranking = {name: bool(entry.get("ranking", False)) for name, entry in content.items()}
    files = {name: entry["file_name"] for name, entry in content.items() if isinstance(entry.get("file_name"), str)}
    return DatasetInfo(tuple(content), ranking, files)


def broken(code: str, path: Path, **params: Any) -> DatasetInfo:
    """No datasets, and why."""
    return DatasetInfo(problem=Problem(DIRECTORY, code, {"file": str(path), **params}))


def add_entry(folder: Path, name: str, file_name: str, entry: Mapping[str, Any]) -> Problem | None:
    """Writes an entry into dataset_info.json; the file as it was is kept beside it.

    A name that is taken, or one that is no name, is refused; so is a dataset_info.json that cannot be read.
    """
    if not NAME.fullmatch(name):
        return Problem(None, "data_name", {"value": name})
    path = folder / FILE
    known = read_dataset_info(folder)
    if known.problem is not None and known.problem.code != "datasets_missing":
        return known.problem
    if name in known.names:
        return Problem(None, "data_taken", {"value": name})
    try:
        content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        if path.exists():
            keep(path)
        text = json.dumps({**content, name: {"file_name": file_name, **entry}}, ensure_ascii=False, indent=2)
        write_text_atomic(path, text + "\n")
    except OSError as error:
        return Problem(None, "data_unreadable", {"file": FILE, "reason": str(error)})
    return None


def keep(path: Path) -> None:
    """Copies a file beside itself, under the first free number."""
    number = 1
    while (copy := path.with_name(f"{path.name}.{number}.old")).exists():
        number += 1
    copy.write_bytes(path.read_bytes())


def unlisted(folder: Path, known: Iterable[str], allowed: Callable[[Path], object] = lambda _path: True) -> list[str]:
    """Data files of a folder that no entry names yet, relative to it; two folders deep, hidden ones left out, and those
    that are not `allowed`."""
    taken = {*known, FILE}
    found = []
    for pattern in ("*", "*/*"):
        for path in folder.glob(pattern):
            name = path.relative_to(folder).as_posix()
            wanted = path.suffix in SUFFIXES and name not in taken and not name.startswith(".")
            if wanted and path.is_file() and allowed(path):
                found.append(name)
    return sorted(found)
