"""What the files of a run tell beside its log: its arguments, the scores of its results, the alerts it has raised."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from sys import intern
from typing import Any

from lfdash.errors import ConfigError
from lfdash.runs.alerts.file import badges
from lfdash.runs.arguments import Value, parse, read_arguments, singles
from lfdash.runs.given import left_arguments
from lfdash.runs.paths import RunPaths
from lfdash.runs.record import TERMINAL
from lfdash.runs.results import look_scores
from lfdash.runs.view import RunView

MOST_SCORES = 100
flags_of: Callable[[RunPaths], tuple[str, ...]] = badges  # the rules that were true of a run, as its alerts tell


@dataclass(frozen=True)
class RunDetails:
    """args: its arguments as single values; scores: the numbers of its result file; flags: the rules whose alerts are
    told in a list (`runs/alerts`). unsure: its alerts could not be read, so that there may be other flags. partial:
    others than `args` may have been given, for its training_args.yaml is not there."""

    args: Mapping[str, Value] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    unsure: bool = False
    partial: bool = False

    @property
    def complete(self) -> bool:
        """Whether an argument that is not in `args` was not given, so that LLaMA-Factory's default was taken."""
        return bool(self.args) and not self.partial


NO_DETAILS = RunDetails()


def read_details(view: RunView) -> RunDetails:
    """What its files tell now; of a job that waits, what it will be started with. A run that goes on has no results.
    OSError when a file could not be read."""
    if view.waiting is not None and view.attempt == 1:
        return of_job(view.waiting.settings)
    args = read_arguments(view.paths.training_args)
    partial = not args
    if partial:
        args = singles(left_arguments(view.paths))
    numbers = look_scores(view.path) if view.state in TERMINAL else {}
    scores = {intern(name): value for name, value in list(numbers.items())[:MOST_SCORES] if math.isfinite(value)}
    return with_flags(RunDetails(args, scores, partial=partial), view)


@lru_cache(maxsize=1024)
def of_job(settings: str) -> RunDetails:
    """What a job will be started with. settings: the text of its training_args.yaml."""
    try:
        return RunDetails(parse(settings))
    except ConfigError:
        return NO_DETAILS


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
        return [[self._place(pair) for pair in found.args.items()], found.scores, found.flags, found.partial]

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
    places, scores, flags, partial = row
    numbers = {intern(name): float(value) for name, value in scores.items()}
    return RunDetails(dict([pairs[place] for place in places]), numbers, tuple(map(str, flags)), partial=bool(partial))
