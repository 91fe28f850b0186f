"""A target as people type it: a text for each of its fields. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, fields, replace
from typing import Any

from lfdash.outcomes import Problem
from lfdash.targets.fields import FIELDS, NAME
from lfdash.targets.reading import Lines, plain, wrong
from lfdash.targets.target import LOCAL, Kind, Target

DEFAULTS: Mapping[str, Any] = {
    one.name: {} if one.default is MISSING else one.default
    for one in fields(Target) if one.name not in ("name", "kind")
}
LINES = ("extra", "env")  # an entry in each line
NOWHERE = Lines("")
ANY_NAME = "target"


def names(kind: Kind) -> list[str]:
    """The fields that a kind of target has, but for its kind."""
    return [name for name, row in FIELDS.items() if kind in row.kinds and name != "kind"]


def is_whole(name: str) -> bool:
    """Whether a field is a number."""
    return DEFAULTS[name] is None or type(DEFAULTS[name]) is int


def text_of(name: str, value: Any) -> str:
    """A value as it is typed; "" for the one that a row without it has."""
    if value is None or value == DEFAULTS[name]:
        return ""
    if isinstance(value, Mapping):
        return "\n".join(f"{key}={text}" for key, text in value.items())
    if isinstance(value, tuple):
        return ("\n" if name in LINES else " ").join(value)
    return str(value)


def texts_of(target: Target) -> dict[str, str]:
    """What is typed for a target: a text for each field of its kind."""
    return {name: text_of(name, getattr(target, name)) for name in names(target.kind)}


def value_of(name: str, text: str) -> Any:
    """What a text means, as targets.toml holds it; a text that means nothing as it is, so that it can be named."""
    text = text.strip()
    default = DEFAULTS[name]
    if isinstance(default, Mapping):
        pairs = [line.partition("=") for line in text.splitlines() if line.strip()]
        good = all(sign for _, sign, _ in pairs)
        return {key.strip(): value.strip() for key, _, value in pairs} if good else text
    if isinstance(default, tuple):
        return [line.strip() for line in text.splitlines() if line.strip()] if name in LINES else text.split()
    if is_whole(name):
        return int(text) if re.fullmatch(r"-?\d{1,9}", text) else text
    return text


def read(
    name: str, kind: Kind, texts: Mapping[str, str], before: Target | None = None
) -> Target | tuple[Problem, ...]:
    """The target that was typed, or what is wrong with it: problems whose field is that of the target, "name" among
    them. before: the row whose texts were changed: where a text is as it was, its value stays, with what a text does
    not show (spaces, line breaks)."""
    table: dict[str, Any] = {"kind": kind}
    for key in names(kind):
        text = texts.get(key, "")
        if before is not None and text == text_of(key, old := getattr(before, key)):
            if old != DEFAULTS[key]:
                table[key] = list(old) if isinstance(old, tuple) else old
        elif text.strip():
            table[key] = value_of(key, text)
    good = NAME.fullmatch(name) is not None and name != LOCAL
    problems = [] if good else [Problem("name", "target_name", {"value": name, "target": name})]
    problems += [replace(found, field=field_of(found)) for found in wrong(ANY_NAME, table, "", NOWHERE)]
    if problems:
        return tuple(problems)
    return Target(name, **{key: plain(value) for key, value in table.items()})


def field_of(problem: Problem) -> str:
    """The field that a problem of a row belongs to: of two that belong together the one that is missing."""
    return str(problem.params.get("other") or problem.params.get("key") or "name")
