"""The datasets of a folder: what dataset_info.json lists, which line of it is broken, and a new entry in it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

from lfdash.data.files import data_files
from lfdash.data.json_text import Broken, as_text, entries, is_text, parse
from lfdash.data.rows import KINDS as KIND_OF
from lfdash.data.rows import SUFFIXES
from lfdash.files import Absent, Unreadable, is_shallow, read_text_file, write_text_atomic
from lfdash.outcomes import Problem

DIRECTORY = "train.dataset_dir"
FILE = "dataset_info.json"
MOST = 16 << 20  # bytes of it that are read
NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,80}")


@dataclass(frozen=True)
class DatasetInfo:
    """What dataset_info.json lists.

    names: the datasets that can be used, in the file's order; entries: what it says of each. ranking: which of them
    are ranked pairs. files: name -> its file, relative to the folder; those of a hub have none. unfit: name (as it can
    be shown) -> what is wrong with its entry. problem: why the file as a whole cannot be used, if so; then `names`
    are those that could be read nevertheless.
    """

    names: tuple[str, ...] = ()
    ranking: Mapping[str, bool] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    problem: Problem | None = None
    entries: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    unfit: Mapping[str, Problem] = field(default_factory=dict)


def read_dataset_info(folder: Path, file: Path | None = None) -> DatasetInfo:
    """Reads `dataset_info.json` of a data folder; what is wrong with it comes back as a problem.

    file: where its path leads, where links were followed already; then no other link is.
    """
    path = folder / FILE
    return understood(read_text_file(file or path, limit=MOST, follow=file is None), path)


def understood(text: str | Absent | Unreadable, path: Path) -> DatasetInfo:
    """What a dataset_info.json says. path: its own, for messages."""
    if isinstance(text, Absent):
        return broken("datasets_missing", path)
    if isinstance(text, Unreadable):
        return broken("datasets_unreadable", path, reason=text.reason)
    content = parse(text)
    if not isinstance(content, Broken):
        return listed(content, path)
    if content.code == "syntax":
        line, column = content.line_in(text), content.column_in(text)
        return broken("datasets_syntax", path, line=line, column=column, reason=content.reason)
    pairs, name = entries(text)
    problem = broken(f"datasets_{content.code}", path, name=as_text(name or "–")).problem
    return replace(listed(dict(pairs), path), problem=problem)


def listed(content: Any, path: Path) -> DatasetInfo:
    """The entries of a parsed file."""
    if not isinstance(content, dict):
        return broken("datasets_shape", path, kind=KIND_OF[type(content)])
    problems = {name: unfit(name, entry, path) for name, entry in content.items()}
    good = {name: entry for name, entry in content.items() if problems[name] is None}
    ranking = {name: bool(entry.get("ranking", False)) for name, entry in good.items()}
    files = {name: entry["file_name"] for name, entry in good.items() if isinstance(entry.get("file_name"), str)}
    wrong = {as_text(name): problem for name, problem in problems.items() if problem is not None}
    return DatasetInfo(tuple(good), ranking, files, entries=good, unfit=wrong)


# what LLaMA-Factory takes (data/parser.py) where an entry has the key at all, and its word in the locales
KINDS: Mapping[str, tuple[type, str]] = {
    "file_name": (str, "text"), "formatting": (str, "text"), "columns": (dict, "object"), "tags": (dict, "object"),
}


ELSEWHERE = frozenset({"hf_hub_url", "ms_hub_url", "om_hub_url", "script_url", "cloud_file_name"})  # before a file


def unfit(name: str, entry: Any, path: Path) -> Problem | None:
    """Why LLaMA-Factory, or this page, cannot use an entry; None when it can."""
    told = {"file": as_text(str(path)), "name": as_text(name)}
    if not is_text(name):
        return Problem(DIRECTORY, "datasets_half", told)
    if not isinstance(entry, dict):
        return Problem(DIRECTORY, "datasets_entry", told)
    from_elsewhere = not ELSEWHERE.isdisjoint(entry)
    for key, (kind, word) in KINDS.items():
        if key in entry and not isinstance(entry[key], kind) and not (key == "file_name" and from_elsewhere):
            return Problem(DIRECTORY, "datasets_value", {**told, "key": key, "kind": word})
    file = entry.get("file_name")
    if isinstance(file, str) and not is_text(file):
        return Problem(DIRECTORY, "datasets_half", {**told, "name": f"{name}: {as_text(file)}"})
    return None if is_shallow(entry) else Problem(DIRECTORY, "datasets_deep", told)


def without_source(name: str, entry: Mapping[str, Any]) -> Problem | None:
    """That an entry says neither a file nor where else its rows are, if so; LLaMA-Factory then ends with a KeyError."""
    if "file_name" in entry or not ELSEWHERE.isdisjoint(entry):
        return None
    return Problem(None, "data_no_source", {"value": as_text(name)})


def broken(code: str, path: Path, **params: Any) -> DatasetInfo:
    """No datasets, and why."""
    return DatasetInfo(problem=Problem(DIRECTORY, code, {"file": as_text(str(path)), **params}))


def add_entry(folder: Path, name: str, file_name: str, entry: Mapping[str, Any]) -> Problem | None:
    """Writes an entry into dataset_info.json; the file as it was is kept beside it.

    A name that is taken, or one that is no name, is refused; so is a dataset_info.json that cannot be read.
    """
    if not is_name(name):
        return Problem(None, "data_name", {"value": name})
    return change(folder, name, {"file_name": file_name, **entry}, listed_before=False)


def is_name(text: str) -> bool:
    """Whether a new dataset may be called so."""
    return NAME.fullmatch(text) is not None


def replace_entry(folder: Path, name: str, entry: Mapping[str, Any]) -> Problem | None:
    """Writes another entry for a dataset that dataset_info.json lists; the file as it was is kept beside it."""
    return change(folder, name, entry, listed_before=True)


def change(folder: Path, name: str, entry: Mapping[str, Any], listed_before: bool) -> Problem | None:
    """Writes one entry. listed_before: whether the name must be there already, or must not."""
    path = folder / FILE
    text = read_text_file(path, limit=MOST, follow=True)
    known = understood(text, path)
    if known.problem is not None and known.problem.code != "datasets_missing":
        return known.problem
    is_listed = name in known.names or name in known.unfit
    if is_listed != listed_before:
        return Problem(None, "data_gone" if listed_before else "data_taken", {"value": name})
    content: Any = parse(text) if isinstance(text, str) else {}
    try:
        if isinstance(text, str):
            keep(path, text)
        write_text_atomic(path, as_json({**content, name: dict(entry)}))
    except OSError as error:
        reason = error.strerror or str(error)
        return Problem(None, "data_unwritable", {"file": FILE, "reason": reason})
    return None


def as_json(content: Mapping[str, Any]) -> str:
    """The text of a dataset_info.json; in ASCII where it names halves of characters, which no file can hold."""
    text = json.dumps(content, ensure_ascii=False, indent=2)
    return (text if is_text(text) else json.dumps(content, indent=2)) + "\n"


def keep(path: Path, text: str) -> None:
    """Writes what a file held beside it, under the first free number."""
    for number in count(1):
        try:
            with path.with_name(f"{path.name}.{number}.old").open("x", encoding="utf-8", newline="") as copy:
                copy.write(text)
            return
        except FileExistsError:
            continue


def is_folder_of_data(path: Path) -> bool:
    """Whether all that lies in a folder are files of one type, several of them."""
    files = data_files(path)
    return not isinstance(files, Problem) and len(files) > 1


@dataclass(frozen=True)
class Unlisted:
    """Data files of a folder that no entry names yet. names: relative to the folder. unnamed: those whose names are no
    text, as they can be shown; no entry can name them."""

    names: tuple[str, ...] = ()
    unnamed: tuple[str, ...] = ()


def unlisted(folder: Path, known: Iterable[str], allowed: Callable[[Path], object] = lambda _path: True) -> Unlisted:
    """Data files of a folder that no entry names yet, and folders of nothing but such files; two folders deep, hidden
    ones left out, and those that are not `allowed`."""
    taken = {*(name.rstrip("/") for name in known), FILE}
    found = []
    for pattern in ("*", "*/*"):
        for path in folder.glob(pattern):
            name = path.relative_to(folder).as_posix()
            if name in taken or name.startswith(".") or not allowed(path):
                continue
            if is_folder_of_data(path) if path.is_dir() else path.suffix in SUFFIXES and path.is_file():
                found.append(name)
    names = sorted(name for name in found if is_text(name))
    return Unlisted(tuple(names), tuple(sorted(as_text(name) for name in found if not is_text(name))))
