"""What the files of a run tell beside its log: its arguments, the scores of its results, the alerts it has raised."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from sys import intern
from typing import Any

from lfdash.runs.alerts.file import badges
from lfdash.runs.arguments import Value, read_arguments
from lfdash.runs.paths import RunPaths
from lfdash.runs.record import TERMINAL
from lfdash.runs.results import look_scores
from lfdash.runs.view import RunView

MOST_SCORES = 100
flags_of: Callable[[RunPaths], tuple[str, ...]] = badges  # the rules that were true of a run, as its alerts tell


@dataclass(frozen=True)
class RunDetails:
    """args: its arguments as single values; scores: the numbers of its result file; flags: the rules whose alerts are
    told in a list (`runs/alerts`). unsure: its alerts could not be read, so that there may be other flags."""

    args: Mapping[str, Value] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    unsure: bool = False


NO_DETAILS = RunDetails()


def read_details(view: RunView) -> RunDetails:
    """What its files tell now. A job that waits has none yet; a run that goes on has no results. OSError when
    a file could not be read."""
    if view.waiting is not None:
        return NO_DETAILS
    args = read_arguments(view.paths.training_args)
    numbers = look_scores(view.path) if view.state in TERMINAL else {}
    scores = {intern(name): value for name, value in list(numbers.items())[:MOST_SCORES] if math.isfinite(value)}
    return with_flags(RunDetails(args, scores), view)


def with_flags(found: RunDetails, view: RunView) -> RunDetails:
    """The same with what is noticed by now; the same object where that is no more than before."""
    try:
        flags = flags_of(view.paths)
    except OSError:
        return found if found.unsure else replace(found, unsure=True)
    return found if flags == found.flags and not found.unsure else replace(found, flags=flags, unsure=False)


class Packed:
    """Details of many runs as JSON: whatever many of them have in common is written once."""

    def __init__(self) -> None:
        self.pairs: list[tuple[str, Value]] = []
        self._places: dict[tuple[str, type, Value], int] = {}

    def pack(self, found: RunDetails) -> list[Any]:
        """One run's as JSON; the pairs that it names are in `pairs`."""
        return [[self._place(pair) for pair in found.args.items()], found.scores, found.flags]

    def _place(self, pair: tuple[str, Value]) -> int:
        key = (pair[0], type(pair[1]), pair[1])
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = len(self.pairs)
            self.pairs.append(pair)
        return place


def unpacked(pairs: Iterable[Any]) -> list[tuple[str, Value]]:
    """The pairs that `Packed` wrote. TypeError, ValueError for what it does not write."""
    found = []
    for name, value in pairs:
        if not isinstance(name, str) or not isinstance(value, str | float | int | bool):
            raise TypeError(f"no argument: {name!r}")
        found.append((intern(name), intern(value) if isinstance(value, str) else value))
    return found


def unpack(row: Sequence[Any], pairs: Sequence[tuple[str, Value]]) -> RunDetails:
    """One run's details. TypeError, ValueError, IndexError for what `Packed` does not write."""
    places, scores, flags = row
    numbers = {intern(name): float(value) for name, value in scores.items()}
    return RunDetails(dict([pairs[place] for place in places]), numbers, tuple(map(str, flags)))
