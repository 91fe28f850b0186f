"""Reads targets.toml: typed rows, and what is wrong with it, where."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lfdash.files import Unreadable, read_text_file
from lfdash.outcomes import Problem
from lfdash.targets.fields import FIELDS, NAME, UNNAMED, setup_fault, setup_lines
from lfdash.targets.target import KINDS, LOCAL, Target

FILE = "targets.toml"  # in the workspace's private folder
TABLE = "target"
MOST_BYTES = 1 << 20
MOST_DOTS = 2000  # in a line, or as much in several: what tomllib does grows with the square of a key's parts
SHOWN = 80  # characters of a value that is named
LINE_OF_ERROR = re.compile(r"\(at line (\d+)")


@dataclass(frozen=True)
class Targets:
    """What targets.toml says. rows: the targets that can be used, in the file's order. broken: names of rows that
    cannot. problems: why. unread: whether the file as a whole could not be read, so that nothing is known of any."""

    rows: Mapping[str, Target] = field(default_factory=dict)
    broken: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    unread: bool = False


def read(path: Path) -> Targets:
    """The targets of a file; none when there is no such file. Never raises."""
    text = read_text_file(path, limit=MOST_BYTES)
    if isinstance(text, Unreadable):
        problem = Problem(None, "target_file", {"file": str(path), "reason": text.reason})
        return Targets(problems=(problem,), unread=True)
    return parse(text, str(path)) if isinstance(text, str) else Targets()


def parse(text: str, file: str) -> Targets:
    """The targets in a text. Pure. file: what its problems call it."""
    dots = [line.count(".") for line in text.splitlines()]
    if sum(number * number for number in dots) > MOST_DOTS * MOST_DOTS:
        line_of = str(dots.index(max(dots)) + 1)
        params = {"file": file, "line": line_of, "reason": f"too many dots: {max(dots)}"}
        return Targets(problems=(Problem(None, "target_toml", params),), unread=True)
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a ValueError, too: an integer of thousands of digits
        line = LINE_OF_ERROR.search(str(error))
        # without the place at its end, which is told before
        reason = LINE_OF_ERROR.sub("(at line", str(error)).partition(" (at ")[0]
        params = {"file": file, "line": line[1] if line else str(text.count("\n") + 1), "reason": reason}
        return Targets(problems=(Problem(None, "target_toml", params),), unread=True)
    lines = Lines(text)
    problems = [
        Problem(None, "target_table", {"file": file, "line": lines.of(name), "key": name})
        for name in data if name != TABLE
    ]
    rows, broken = {}, []
    tables = data.get(TABLE, {})
    if not isinstance(tables, dict):
        problems.append(Problem(None, "target_table", {"file": file, "line": lines.of(TABLE), "key": TABLE}))
        return Targets(problems=tuple(problems), unread=True)
    for name, table in tables.items():
        found = list(wrong(name, table, file, lines))
        problems += found
        if found:
            broken.append(name)
        else:
            rows[name] = Target(name=name, **{key: plain(key, value) for key, value in table.items()})
    return Targets(rows, tuple(broken), tuple(problems))


def wrong(name: str, table: Any, file: str, lines: Lines) -> Iterator[Problem]:
    """What is wrong with a row."""
    where = {"file": file, "target": name}
    if not NAME.fullmatch(name) or name == LOCAL:
        yield Problem(None, "target_name", {**where, "line": lines.of(f"{TABLE}.{name}")})
        return
    if not isinstance(table, dict):
        yield Problem(None, "target_table", {"file": file, "line": lines.of(TABLE, name), "key": f"{TABLE}.{name}"})
        return
    if "kind" not in table:
        params = {**where, "line": lines.of(f"{TABLE}.{name}"), "choices": ", ".join(KINDS)}
        yield Problem(None, "target_kind", params)
        return
    for key, value in table.items():
        params = {**where, "line": lines.of(f"{TABLE}.{name}", key), "key": key, "value": shown(key, value)}
        row = FIELDS.get(key)
        if row is None:
            yield Problem(None, "target_unknown", {**params, "choices": ", ".join(FIELDS)})
        elif (code := row.check(value)) is not None:
            yield Problem(None, code, {**params, **(row.params or {})})
        elif table["kind"] not in row.kinds:
            yield Problem(None, "target_kinds", {**params, "is": kind_of(table), "for": ", ".join(row.kinds)})
    yield from together(table, {**where, "line": lines.of(f"{TABLE}.{name}")})


def kind_of(table: Mapping[str, Any]) -> str:
    """The kind of a row, as it is named."""
    kind = table["kind"]
    return kind if isinstance(kind, str) else shown("kind", kind)


def together(table: Mapping[str, Any], where: Mapping[str, str]) -> Iterator[Problem]:
    """What the fields of a row say together."""
    for one, other in (("container", "runner"), ("runner", "container"), ("gpu_type", "gpus")):
        if one in table and other not in table:
            yield Problem(None, "target_both", {**where, "key": one, "other": other})
    if table.get("kind") == "ray" and "address" not in table:
        yield Problem(None, "target_both", {**where, "key": "kind", "other": "address"})


def plain(key: str, value: Any) -> Any:
    """A value of a field as a frozen row holds it."""
    if key == "setup":
        return setup_lines(value)
    return tuple(value) if isinstance(value, list) else value


def shown(key: str, value: Any) -> str:
    """A value as it is named, in one line; of variables the names alone, since one may hold a secret, and of lines the
    one that is wrong."""
    try:
        text = shown_lines(value) if key == "setup" else repr(
            list(value) if key == "env" and isinstance(value, dict) else value)
    except (ValueError, RecursionError):  # 0x… of more digits than are written in tens
        text = "…"
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def shown_lines(value: Any) -> str:
    """What of lines of a shell is named."""
    code, named = setup_fault(value)
    return named if code == "target_setup_secret" or named == UNNAMED else repr(named or value)


HEADER = re.compile(r"\[([^\[\]]+)\]\s*(#.*)?")  # of a line without the spaces around it
KEY = re.compile(r"\s*([A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')\s*=")


class Lines:
    """Where the keys of a TOML text stand: tomllib does not tell. A key that is written in another way (dotted, in an
    inline table) is found at the line of what it stands in."""

    def __init__(self, text: str) -> None:
        self._found: dict[tuple[str, str], int] = {}
        table = ""
        for number, line in enumerate(text.splitlines(), 1):
            header, key = HEADER.fullmatch(line.strip()), KEY.match(line)
            if header:
                table = ".".join(part.strip() for part in header[1].split(".")).replace('"', "").replace("'", "")
                self._found.setdefault((table, ""), number)
            elif key:
                self._found.setdefault((table, key[1].strip("\"'")), number)

    def of(self, table: str, key: str = "") -> str:
        """The line of a key in a table, or of the table; 1 where it was not found."""
        places = ((table, key), ("", key or table), (table, ""), ("", table))
        return str(next((self._found[place] for place in places if place in self._found), 1))
