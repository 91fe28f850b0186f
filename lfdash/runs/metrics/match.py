"""What was printed without its step -> the places of the columns that it belongs to."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from lfdash.runs.metrics.columns import Columns
from lfdash.runs.metrics.frame import EVALUATED, OVERFLOWN, TRAINED, Column, Marks
from lfdash.runs.metrics.printed import is_evaluation, is_wanted, wanted

Entry = dict[str, float]
AHEAD = 1000  # rows of one epoch that are looked through for one that was printed
WAITING = 100_000  # printed lines, at most, that are kept while the log lacks their rows


def close(printed: float, logged: float) -> bool:
    """Whether a number was printed of another: with four digits (transformers 5), or four after the point. What one
    of both lacks, or is no number in either, does not tell."""
    if math.isnan(printed) or math.isnan(logged):
        return True
    return printed == logged or abs(printed - logged) <= 6e-5 + 6e-4 * abs(logged)


def close_epoch(printed: float, logged: float) -> bool:
    """As `close`; transformers 4 prints two digits after the point."""
    return not abs(printed - logged) > slack(logged)


def slack(epoch: float) -> float:
    """How far a printed epoch may be from its own."""
    return 5.1e-3 + 6e-4 * abs(epoch)


class Follower:
    """Walks along the rows that have a mark, as entries come that were printed for them, in the same order.

    Where they do not agree it finds the next row of that epoch that does; where the epochs go back (a launch begins) so
    does it. Each entry costs the same, however long the run is. place: of the row that is expected next. together:
    whether entries of other names may have the same row.
    """

    def __init__(
        self, columns: Columns, mark: int, agree: Callable[[Entry, int], bool], *, together: bool = False
    ) -> None:
        self._columns, self._mark, self._agree, self.together = columns, mark, agree, together
        self._names: set[str] = set()
        self.waiting: deque[Entry] = deque(maxlen=WAITING)
        self.place = 0
        self._epoch = -math.inf

    def find(self) -> Iterable[tuple[int, Entry]]:
        """The entries that wait and whose rows are there, each with its place; those that have none are dropped."""
        columns = self._columns
        if "epoch" not in columns:
            return
        epochs, marks = columns.view("epoch"), columns.marks
        self.place = min(self.place, len(columns))
        while self.waiting:
            entry = self.waiting[0]
            epoch = entry["epoch"]
            if epoch < self._epoch - 2 * slack(self._epoch):
                self.place = int(np.searchsorted(epochs, epoch - slack(epoch)))
            place = self._seek(entry, epoch, epochs, marks)
            if place is None:
                return
            self.waiting.popleft()
            self._epoch = epoch
            if place >= 0:
                self._names = {*wanted(entry), *(self._names if place == self.place - 1 else ())}
                self.place = place + 1
                yield place, entry

    def _seek(self, entry: Entry, epoch: float, epochs: Column, marks: Marks) -> int | None:
        """The place of an entry; -1 where it has none, None where its row may come yet."""
        beside = self.together and self.place and self._names.isdisjoint(wanted(entry))
        if beside and close_epoch(epoch, epochs[self.place - 1]):
            return self.place - 1  # of another dataset
        place = self._next(self.place, marks)
        if place is None:
            return None if not len(epochs) or not epoch < epochs[-1] - slack(epoch) else -1
        if close_epoch(epoch, epochs[place]) and self._agree(entry, place):
            return place
        if epochs[place] > epoch + slack(epoch):
            return -1  # its row is not in the log
        return self._search(entry, epoch, epochs, marks)

    def _search(self, entry: Entry, epoch: float, epochs: Column, marks: Marks) -> int:
        begin = max(self.place, int(np.searchsorted(epochs, epoch - slack(epoch))))
        end = min(int(np.searchsorted(epochs, epoch + slack(epoch), side="right")), begin + AHEAD)
        places = (np.flatnonzero(marks[begin:end] & self._mark) + begin).tolist()
        return next((place for place in places if self._agree(entry, place)), -1)

    def _next(self, place: int, marks: Marks) -> int | None:
        width = 64
        while place < len(marks):
            found = np.flatnonzero(marks[place : place + width] & self._mark)
            if len(found):
                return place + int(found[0])
            place, width = place + width, 2 * width
        return None


class Printed:
    """Puts what was printed into the columns."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._trained = Follower(columns, TRAINED, self._agrees)
        self._evaluated = Follower(columns, EVALUATED, self._agrees_evaluated, together=True)

    def take(self, entries: Iterable[Entry]) -> None:
        """Entries in the order in which they were printed; they wait for their rows."""
        for entry in entries:
            if "epoch" not in entry:
                continue
            if is_evaluation(entry):
                self._evaluated.waiting.append(entry)
            elif "loss" in entry:
                self._trained.waiting.append(entry)

    def settle(self) -> bool:
        """Gives what waits its place, as far as it can be told; whether anything has one now."""
        found = [*self._trained.find(), *self._evaluated.find()]
        write(self._columns, [place for place, _ in found], [entry for _, entry in found])
        return bool(found)

    def _agrees(self, entry: Entry, place: int) -> bool:
        tokens, told = self._value("tokens", place), entry.get("num_input_tokens_seen", math.nan)
        if tokens == told:
            return True
        alike = math.isnan(tokens) or math.isnan(told)
        return alike and all(
            close(entry.get(name, math.nan), self._value(name, place)) for name in ("loss", "learning_rate")
        )

    def _agrees_evaluated(self, entry: Entry, place: int) -> bool:
        return close(entry.get("eval_loss", math.nan), self._value("eval_loss", place))

    def _value(self, name: str, place: int) -> float:
        return float(self._columns.view(name)[place]) if name in self._columns else math.nan


def write(columns: Columns, places: Sequence[int], entries: Sequence[Mapping[str, float]]) -> None:
    """Puts entries into the columns, the later ones over the earlier. places: of the entries."""
    if not places:
        return
    order = np.argsort(places, kind="stable")
    by_name: dict[str, tuple[list[int], list[float]]] = {}
    for number in order.tolist():
        for name, value in entries[number].items():
            if is_wanted(name):
                told = by_name.setdefault(name, ([], []))
                told[0].append(places[number])
                told[1].append(value)
    for name, (rows, values) in by_name.items():
        at, given = np.array(rows), np.array(values, dtype=np.float64)
        if name == "eval_loss" and name in columns:  # the log's own is exact
            lacking = np.isnan(columns.view(name)[at])
            at, given = at[lacking], given[lacking]
        if len(at):
            columns.put(name, at, given)
        if name == "grad_norm":
            marks = columns.marks
            marks[at] &= 255 - OVERFLOWN
            marks[at[~np.isfinite(given)]] |= OVERFLOWN
