"""A setting against a metric for many runs: which kind of axis fits their values, and where each run stands. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lfdash.runs.compare.settings import plain_text
from lfdash.runs.order import natural

WIDE = 8.0  # the largest value is so many times the smallest: a logarithmic axis helps
MOST_WORDS = 40  # values of an axis of words; what is rarer than these stands under REST
REST = "…"
FEW_NUMBERS = 6
APART = 0.06  # of the length of an axis, between two numbers beside it
Kind = Literal["linear", "log", "words"]


@dataclass(frozen=True)
class Axis:
    """How the values of some runs are shown. name: of the setting or metric. kind: "linear", "log", or "words" (one
    place a value). ticks: of words, in order. low, high: of numbers. numbers: those that there are, ascending, where
    they are few."""

    name: str
    kind: Kind
    ticks: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    numbers: tuple[float, ...] = ()

    def place(self, value: Any) -> float | None:
        """Where a value stands, 0..1 from the axis' lower end; None for one that is not there."""
        if value is None:
            return None
        if self.kind == "words":
            word = self.word(value)
            return 0.5 if len(self.ticks) == 1 else self.ticks.index(word) / (len(self.ticks) - 1)
        number = number_of(value)
        if number is None:
            return None
        if self.low == self.high:
            return 0.5
        if self.kind == "log":
            return (math.log(number) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return (number - self.low) / (self.high - self.low)

    def word(self, value: Any) -> str:
        """A value as it is written on the axis."""
        word = plain_text(value)
        return word if self.kind != "words" or word in self.ticks else REST


    def marks(self) -> list[tuple[float, str]]:
        """The places of an axis of numbers that are written beside it: of few numbers each, else ends and middle."""
        shares = (0.0, 0.5, 1.0)
        if self.low == self.high:
            return [(0.5, f"{self.low:.3g}")]
        if self.kind == "log":
            rule = [self.low * (self.high / self.low) ** share for share in shares]
        else:
            rule = [self.low + share * (self.high - self.low) for share in shares]
        found: list[tuple[float, str]] = []
        for number in self.numbers or rule:
            place = self.place(number)
            if place is not None and (not found or place - found[-1][0] >= APART):
                found.append((place, f"{number:.4g}"))
        return found


def number_of(value: Any) -> float | None:
    """A finite number, also one that is written as a text; None for anything else (true is no number)."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def axis_of(name: str, values: Sequence[Any]) -> Axis:
    """The axis that fits the values of some runs; None among them is a run without one."""
    known = [value for value in values if value is not None]
    numbers = [number_of(value) for value in known]
    whole = [number for number in numbers if number is not None]
    if not known or len(whole) < len(known):
        return Axis(name, "words", words_of(known))
    low, high = min(whole), max(whole)
    few = tuple(sorted(set(whole)))
    kind: Kind = "log" if low > 0 and high / low >= WIDE else "linear"
    return Axis(name, kind, (), low, high, few if len(few) <= FEW_NUMBERS else ())


def words_of(values: Sequence[Any]) -> tuple[str, ...]:
    """The values of an axis of words in their natural order; of very many the most frequent, and REST."""
    counts: dict[str, int] = {}
    for value in values:
        word = plain_text(value)
        counts[word] = counts.get(word, 0) + 1
    frequent = sorted(counts, key=lambda word: -counts[word])[:MOST_WORDS]
    ordered = sorted(frequent, key=natural)
    return (*ordered, REST) if len(frequent) < len(counts) and REST not in frequent else tuple(ordered)
