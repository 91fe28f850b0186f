"""Conditions on runs as they are typed: `lora_rank>8 optim=adamw_torch template~qwen`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from lfdash.files import real_number
from lfdash.runs.arguments import words
from lfdash.runs.table import TableRow
from lfdash.runs.values import named_value

NAME = r"[A-Za-z_][\w./-]*"
OPERATORS = (">=", "<=", "!=", "=", ">", "<", "~")
OPERATOR = "|".join(OPERATORS)
QUOTED = r'"(?:[^"\\]|\\.)*"'
TYPED = re.compile(rf"(?<!\S)({NAME})\s*({OPERATOR})\s*({QUOTED}(?!\S)|[^\s\"<>=~!]\S*)")
BEGUN = re.compile(rf"(?<!\S){NAME}\s*(?:{OPERATOR})\s*(?:\"[^\"]*)?$")  # one that is being typed

ORDERED: Mapping[str, Callable[[float, float], bool]] = {
    ">": lambda one, other: one > other,
    "<": lambda one, other: one < other,
    ">=": lambda one, other: one >= other,
    "<=": lambda one, other: one <= other,
}


@dataclass(frozen=True)
class Condition:
    """name: of an argument, a number of the results or a column, see `values.named_value`; sign: one of OPERATORS
    (`~`: contains); value: as it was typed."""

    name: str
    sign: str
    value: str

    def __str__(self) -> str:
        """As `split` reads it."""
        plain = re.fullmatch(r"[^\s\"<>=~!]\S*", self.value) is not None
        return f"{self.name}{self.sign}{self.value if plain else json.dumps(self.value, ensure_ascii=False)}"

    @property
    def spoken(self) -> str:
        """For people: with spaces around its sign."""
        return f"{self.name} {self.sign} {self.value}"

    def holds(self, row: TableRow) -> bool:
        """Whether it is so of a run; only `!=` is of one that has no such value."""
        value = named_value(row, self.name)
        if value is None or value == "":
            return self.sign == "!="
        if self.sign == "~":
            return self.value.casefold() in words(value).casefold()
        if self.sign in ORDERED:
            one, other = number(value), number(self.value)
            return one is not None and other is not None and ORDERED[self.sign](one, other)
        return is_equal(value, self.value) == (self.sign == "=")


def is_equal(value: Any, typed: str) -> bool:
    """Whether a value is what was typed: the same number, or the same word, or one of a list with commas."""
    one, other = number(value), number(typed)
    if one is not None and other is not None:
        return one == other
    said, wanted = words(value).casefold(), typed.casefold()
    return said == wanted or wanted in [part.strip() for part in said.split(",")]


@lru_cache(maxsize=4096)
def typed_number(text: str) -> float | None:
    """The number that a text is; None for any other text."""
    try:
        return float(text) if "_" not in text else None
    except ValueError:
        return None


def number(value: Any) -> float | None:
    """A value as a number; None for what is none, true and false among it."""
    return typed_number(value) if isinstance(value, str) else real_number(value)


@dataclass(frozen=True)
class Typed:
    """What a text says: the conditions in it, and its other words."""

    conditions: tuple[Condition, ...]
    words: str


@lru_cache(maxsize=64)
def split(text: str) -> Typed:
    """Takes the conditions out of a text; one that is not typed to its end is no word either."""
    conditions = tuple(Condition(name, sign, unquoted(value)) for name, sign, value in TYPED.findall(text))
    return Typed(conditions, BEGUN.sub(" ", TYPED.sub(" ", text)).strip())


def without(text: str, gone: Condition) -> str:
    """The text without a condition."""

    def kept(match: re.Match[str]) -> str:
        return "" if Condition(match[1], match[2], unquoted(match[3])) == gone else match[0]

    return TYPED.sub(kept, text).strip()


def unquoted(text: str) -> str:
    """A value without its quotes."""
    if len(text) > 1 and text.startswith('"') and text.endswith('"'):
        try:
            return str(json.loads(text))
        except ValueError:
            return text[1:-1]
    return text


def parse(text: str) -> Condition | None:
    """The one condition that a text is; None for any other text."""
    found = split(text.strip())
    return found.conditions[0] if len(found.conditions) == 1 and not found.words else None
