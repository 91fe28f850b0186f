"""The arguments of a run as single values, to be shown, compared and looked for: from its training_args.yaml."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from sys import intern
from typing import Any

from lfdash.errors import ConfigError
from lfdash.files import is_absent, open_plain
from lfdash.jobs import yaml_format
from lfdash.jobs.secret_arguments import is_secret, looks_secret

Value = str | float | int | bool
MAX_BYTES = 1 << 17  # of a file; the largest form writes some three thousand
LONGEST = 200  # characters of a value
MOST = 400  # arguments of a run

# `name: value` alone on a line, and only what means itself: whatever else YAML can say is left to its parser
LINE = re.compile(r"([A-Za-z_]\w*):(?: +([\w./][\w./+\-,]*))?[ \t]*")
SKIPPED = re.compile(r"[ \t]*(?:#.*)?")
WORDS: Mapping[str, Value | None] = {
    **dict.fromkeys(("true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"), False),
    **dict.fromkeys(("null", "Null", "NULL"), None),
}
INTEGER = re.compile(r"0|[1-9][0-9]{0,17}")
DECIMAL = re.compile(r"[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+")
TEXT = re.compile(r"[A-Za-z_/.][A-Za-z_/.\-,\w]*")  # begins with a letter: no number or date in any notation


def read_arguments(path: Path | str) -> dict[str, Value]:
    """The arguments in a file, see `parse`; empty when there is none, or it is none. OSError when reading failed."""
    try:
        with open_plain(path, follow=True) as file:
            content = file.read(MAX_BYTES + 1)
        return parse(yaml_format.text_of(content)) if len(content) <= MAX_BYTES else {}
    except ConfigError:
        return {}
    except OSError as error:
        if is_absent(error):
            return {}
        raise


def parse(text: str) -> dict[str, Value]:
    """The arguments in a YAML text. A list is its values with commas, a mapping is JSON; what is not given, and what
    holds a secret, is left out. ConfigError for what cannot be read."""
    args = plain(text)
    if args is None:
        args = yaml_format.load(text).args
    return singles(args)


def singles(args: Mapping[str, Any]) -> dict[str, Value]:
    """Arguments as single values, see `parse`."""
    named = list(args.items())[:MOST]
    return {intern(name): value for name, raw in named if not is_secret(name) and (value := single(raw)) is not None}


def plain(text: str) -> dict[str, Any] | None:
    """The mapping in a text of single values, one a line, as programs write it; None where the text has anything else.
    Some thirty times as quick as a parser of YAML."""
    args: dict[str, Any] = {}
    for line in text.split("\n"):
        match = LINE.fullmatch(line)
        if match is None:
            if SKIPPED.fullmatch(line):
                continue
            return None
        name, word = match.groups()
        if name in args or name in WORDS or word is None:  # `name:` alone may begin a list
            return None
        if word in WORDS:
            args[name] = WORDS[word]
        elif INTEGER.fullmatch(word):
            args[name] = int(word)
        elif DECIMAL.fullmatch(word):
            args[name] = float(word)
        elif TEXT.fullmatch(word) and not word.startswith("."):
            args[name] = word
        else:
            return None
    return args


def single(raw: Any) -> Value | None:
    """An argument's value as one that can be compared; None where it is not given."""
    if raw is None or raw == "":
        return None
    if isinstance(raw, bool | int):
        return raw if abs(raw) < 2**53 else str(raw)
    if isinstance(raw, float):
        return raw if raw - raw == 0 else str(raw)
    if isinstance(raw, list) and not any(isinstance(part, list | dict) for part in raw):
        raw = ", ".join(words(part) for part in raw if part is not None)
    elif not isinstance(raw, str):
        raw = json.dumps(raw, ensure_ascii=False, default=str)
    return None if looks_secret(raw) else intern(str(raw)[:LONGEST])


def words(value: Value) -> str:
    """A value as it is written in a configuration."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return str(value)


def same(value: Value) -> tuple[bool, Value]:
    """What two values have in common that mean the same: 1 and 1.0, but not 1 and true."""
    return isinstance(value, bool), value
