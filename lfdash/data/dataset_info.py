"""The datasets of a folder: what dataset_info.json lists, or which line of it is broken. Reads one file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lfdash.outcomes import Problem

DIRECTORY = "train.dataset_dir"
FILE = "dataset_info.json"


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
