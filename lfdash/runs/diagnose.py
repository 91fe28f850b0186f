"""Why a run failed: from the lines of its log to a known cause, with the line that proves it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

SIGNATURES = Path(__file__).with_name("signatures.toml")
TRACEBACK = re.compile(r"(?:\[rank\d+\]: ?)?Traceback \(most recent call last\)")
# what launchers say last, after the rank that failed has said why
LAST_WORDS = re.compile(r"ChildFailedError|CalledProcessError|elastic\.multiprocessing")


@dataclass(frozen=True)
class Signature:
    """A known cause: its id (the text's key), what its line looks like, and form fields that cure it."""

    id: str
    pattern: re.Pattern[str]
    fix: Mapping[str, Any]


@dataclass(frozen=True)
class Diagnosis:
    """The cause found. `line` proves it; `params` fill the text of `diagnosis.<id>`; `fix`: field id -> value."""

    id: str
    line: str
    params: Mapping[str, str] = field(default_factory=dict)
    fix: Mapping[str, Any] = field(default_factory=dict)


@cache
def signatures(path: Path = SIGNATURES) -> tuple[Signature, ...]:
    """All known causes, the more telling first (the file's order)."""
    rows = tomllib.loads(path.read_text(encoding="utf-8"))
    return tuple(Signature(name, re.compile(row["pattern"]), row.get("set", {})) for name, row in rows.items())


def diagnose(lines: Iterable[str]) -> Diagnosis | None:
    """The first known cause that a line of a failed run's log shows; None when none does.

    The lines of tracebacks are looked at first: a warning above may look like a cause and not be it.
    """
    every = list(lines)
    return match(raised(every)) or match(every)


def match(lines: Iterable[str]) -> Diagnosis | None:
    """The most telling signature that any of the lines has, at its first line."""
    every = [line for line in lines if not LAST_WORDS.search(line)]
    for signature in signatures():
        for line in every:
            found = signature.pattern.search(line)
            if found:
                return Diagnosis(signature.id, line.strip(), parameters(found), signature.fix)
    return None


def parameters(found: re.Match[str]) -> dict[str, str]:
    """What a signature's groups caught: `what` (under whichever number) and `why`; "" where nothing."""
    caught = {"what": "", "why": ""}
    for name, value in found.groupdict().items():
        if value:
            caught[name.rstrip("0123456789")] = value.strip()
    return caught


def raised(lines: list[str]) -> list[str]:
    """The exception lines of all tracebacks, in order: the first unindented line after each head."""
    found = []
    inside = False
    for line in lines:
        if TRACEBACK.search(line):
            inside = True
            continue
        text = re.sub(r"^\[rank\d+\]: ?", "", line)
        if inside and text.strip() and not text[0].isspace():
            found.append(text)
            inside = False
    return found
