"""Data files seen through: first rows, how many there are, which line is broken; and new entries for them."""

from __future__ import annotations

import csv
import itertools
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lfdash.datasets import FILE, read_dataset_info
from lfdash.field import Problem

WHOLE = 64 * 1024 * 1024  # bytes; a JSON array above this is looked at from its beginning only
START = 2 * 1024 * 1024
SUFFIXES = (".json", ".jsonl", ".csv")
NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,80}")


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


@dataclass(frozen=True)
class Mapped:
    """What a file seems to be: its entry for dataset_info.json without the file's name; why not, if it is nothing."""

    entry: Mapping[str, Any] = field(default_factory=dict)
    kind: str = ""  # alpaca, sharegpt, openai, pairs, kto, text


def preview(path: Path, limit: int = 50) -> Preview:
    """Reads the first rows of a JSON, JSONL or CSV file."""
    try:
        size = path.stat().st_size
        if path.suffix == ".csv":
            return read_csv(path, limit)
        if path.suffix == ".jsonl":
            return read_lines(path, limit)
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


def recognise(columns: Sequence[str], row: Mapping[str, Any]) -> Mapped:
    """What the columns of a file mean to LLaMA-Factory (data/README.md of LLaMA-Factory names the formats)."""
    has = set(columns)
    chat = next((name for name in ("conversations", "messages") if name in has), None)
    if chat and {"chosen", "rejected"} <= has:
        columns_of = {"messages": chat, "chosen": "chosen", "rejected": "rejected"}
        return Mapped({"formatting": "sharegpt", "ranking": True, "columns": columns_of, **tags(row, chat)}, "pairs")
    if chat:
        entry: dict[str, Any] = {"formatting": "sharegpt", "columns": {"messages": chat}, **tags(row, chat)}
        if "label" in has:
            entry["columns"]["kto_tag"] = "label"
        kind = "kto" if "label" in has else "openai" if "tags" in entry else "sharegpt"
        return Mapped(entry, kind)
    if {"instruction", "chosen", "rejected"} <= has:
        names = {"prompt": "instruction", "query": "input", "chosen": "chosen", "rejected": "rejected"}
        return Mapped({"ranking": True, "columns": {k: v for k, v in names.items() if v in has}}, "pairs")
    if {"instruction", "output"} <= has:
        names = {
            "prompt": "instruction",
            "query": "input",
            "response": "output",
            "system": "system",
            "history": "history",
        }
        return Mapped({"columns": {k: v for k, v in names.items() if v in has}}, "alpaca")
    if "text" in has:
        return Mapped({"columns": {"prompt": "text"}}, "text")
    return Mapped()


def tags(row: Mapping[str, Any], chat: str) -> dict[str, Any]:
    """The tags of OpenAI's way to write turns; nothing for sharegpt's own."""
    turns = row.get(chat)
    first = turns[0] if isinstance(turns, list) and turns and isinstance(turns[0], dict) else {}
    if "role" not in first:
        return {}
    names = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    return {"tags": {**names, "system_tag": "system"}}


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
        temporary = path.with_name(f".{FILE}.{os.getpid()}.tmp")
        text = json.dumps({**content, name: {"file_name": file_name, **entry}}, ensure_ascii=False, indent=2)
        temporary.write_text(text + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        return Problem(None, "data_unreadable", {"file": FILE, "reason": str(error)})
    return None


def keep(path: Path) -> None:
    """Copies a file beside itself, under the first free number."""
    number = 1
    while (copy := path.with_name(f"{path.name}.{number}.old")).exists():
        number += 1
    copy.write_bytes(path.read_bytes())
