"""A target as people type it: a text for each of its fields. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, replace
from typing import Any

from lfdash.outcomes import Problem
from lfdash.supervisor import mask
from lfdash.targets.fields import FIELD_OF_OPTION, FIELDS, NAME, VARIABLE, WORD, extra_line, setup_line, setup_lines
from lfdash.targets.reading import Lines, plain, wrong
from lfdash.targets.target import LOCAL, Kind, Target

DEFAULTS: Mapping[str, Any] = {
    one.name: {} if one.default is MISSING else one.default
    for one in fields(Target) if one.name not in ("name", "kind")
}
LINES = ("setup", "extra", "env")  # an entry in each line
NOWHERE = Lines("")
ANY_NAME = "target"
SBATCH = re.compile(r"#SBATCH(\s+|$)")  # of a line that was copied from a batch script


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
    if name == "setup":
        return list(setup_lines(text) or ())
    if isinstance(default, tuple):
        lines = [SBATCH.sub("", line.strip()) for line in text.splitlines()]
        return [line for line in lines if line] if name in LINES else text.split()
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
    for found in wrong(ANY_NAME, table, "", NOWHERE):
        of = field_of(found)
        own = replace(found, field=of)
        problems += in_lines(own, texts.get(of, "")) if of in IN_LINES and not found.code.endswith("kinds") else [own]
    if problems:
        return tuple(problems)
    return Target(name, **{key: plain(key, value) for key, value in table.items()})


IN_LINES = ("setup", "extra", "env", "modules")  # fields of which each entry is told of alone


def in_lines(problem: Problem, text: str) -> list[Problem]:
    """A problem of a field of several entries, once for each that has one, with what is wrong there. text: as typed."""
    name = str(problem.field)
    found = {"setup": bad_lines, "extra": extra_lines, "env": env_lines, "modules": bad_words}[name](text)
    return [replace(problem, code=code, params={**problem.params, **params}) for code, params in found] or [problem]


def extra_lines(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """What is wrong with options of sbatch: the code, and what fills its text."""
    for line in value_of("extra", text):
        code, option = extra_line(line)
        if code == "target_extra_own" and option in FIELD_OF_OPTION:
            yield "target_extra_field", {"value": line, "other": FIELD_OF_OPTION[option]}
        elif code is not None:
            yield code, {"value": line}


def bad_lines(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """What is wrong with lines of a shell."""
    faults = [(code, named) for code, named in map(setup_line, value_of("setup", text)) if code is not None]
    yield from ((code, {"value": named}) for code, named in faults)


def env_lines(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """What is wrong with variables; one that has no good name does not hide another that holds a secret. Names alone:
    a value may be a secret."""
    pairs = [line.partition("=") for line in text.splitlines() if line.strip()]
    bad = [name.strip() for name, sign, value in pairs if not sign or not VARIABLE.fullmatch(name.strip())]
    if bad:
        yield "target_env", {"value": ", ".join(bad)}
    secret = mask.names({name.strip(): value.strip() for name, sign, value in pairs if sign})
    if secret:
        yield "target_env_secret", {"value": ", ".join(secret)}


def bad_words(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Which of several names is none."""
    bad = [one for one in text.split() if not WORD.fullmatch(one)]
    if bad:
        yield "target_words", {"value": " ".join(bad)}


def field_of(problem: Problem) -> str:
    """The field that a problem of a row belongs to: of two that belong together the one that is missing."""
    return str(problem.params.get("other") or problem.params.get("key") or "name")
