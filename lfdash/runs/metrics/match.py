"""What was printed without its step -> the places of the columns that it belongs to."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from lfdash.runs.metrics.columns import Columns
from lfdash.runs.metrics.frame import EVALUATED, OVERFLOWN, TOLD, TRAINED, Column, Places
from lfdash.runs.metrics.printed import is_evaluation, is_wanted, wanted

Entry = Mapping[str, float]
AHEAD = 500  # rows of one epoch that are looked through for one that was printed
WAITING = 10_000  # printed lines, at most, that are kept while the log lacks their rows
FEWEST, MOST = 16, 4096  # lines that are compared at once
# what a printed line and its row have both: name on the console -> column
COMPARED = {"loss": "loss", "eval_loss": "eval_loss", "learning_rate": "learning_rate"}
TOKENS = "num_input_tokens_seen"


def all_close(printed: Column | float, logged: Column) -> npt.NDArray[np.bool_]:
    """Where a number was printed of another: with four digits (transformers 5), or four after the point. What one of
    both lacks, or is no number in either, does not tell."""
    near: npt.NDArray[np.bool_] = np.abs(printed - logged) <= 6e-5 + 6e-4 * np.abs(logged)
    near |= (printed == logged) | np.isnan(printed) | np.isnan(logged)
    return near


def slack(epoch: float) -> float:
    """How far a printed epoch may be from its own: transformers 4 prints two digits after the point."""
    return 5.1e-3 + 6e-4 * abs(epoch)


class Follower:
    """Walks along the rows that have a mark, as entries come that were printed for them, in the same order.

    Where they do not agree it finds the next row of that epoch that does; where the epochs go back (a launch begins) so
    does it. An entry costs the same, however long the run is. place: of the row that is expected next. together:
    whether entries of other names may have the same row.
    """

    def __init__(self, columns: Columns, mark: int, *, together: bool = False) -> None:
        self._columns, self._mark, self._together = columns, mark, together
        self.waiting: deque[Entry] = deque(maxlen=WAITING)
        self.place = 0
        self._epoch = -math.inf  # of the entry that had its place last
        self._taken, self._turn = 0, 0  # how many entries there were, and before the newest of them that went back
        self._newest = -math.inf  # epoch of the newest entry
        self._names: set[str] = set()  # of the entries of the row before

    def take(self, entry: Entry) -> None:
        """The entry that was printed next."""
        if entry["epoch"] < self._newest:
            self._turn = self._taken
        self._taken, self._newest = self._taken + 1, entry["epoch"]
        self.waiting.append(entry)

    def find(self) -> Iterator[tuple[int, Entry]]:
        """The entries that wait and whose rows are there, each with its place; those that have none are dropped."""
        if "epoch" not in self._columns or not self.waiting:
            return
        self.place = min(self.place, len(self._columns))
        many = 0 if self._together else FEWEST
        while self.waiting:
            run = self._run(many) if many else []
            if many:
                many = min(2 * many, MOST) if len(run) == many else FEWEST
            for place in run:
                yield place, self.waiting.popleft()
            if len(run) < FEWEST and self.waiting:
                sought = self._seek(self.waiting[0])
                if sought is None:
                    return
                entry = self.waiting.popleft()
                self._epoch = entry["epoch"]
                if not self._together:
                    many = FEWEST if sought >= 0 else 0  # one after the other, as long as nothing fits
                if sought >= 0:
                    self._names = {*wanted(entry), *(self._names if sought == self.place - 1 else ())}
                    self.place = sought + 1
                    yield sought, entry

    def _run(self, many: int) -> list[int]:
        """The places of the first of `many` entries that are, one by one, those of the next rows."""
        entries = list(islice(self.waiting, many))
        places = self._next(len(entries))
        entries = entries[: len(places)]
        if not len(places):
            return []
        epochs = np.array([entry["epoch"] for entry in entries])
        apart = np.abs(epochs - self._columns.view("epoch")[places])
        back = np.diff(epochs, prepend=self._epoch) < 0
        told = {name: np.array([entry.get(name, math.nan) for entry in entries]) for name in (*COMPARED, TOKENS)}
        good = ~(apart > 5.1e-3 + 6e-4 * np.abs(epochs)) & ~back & self._agree(told, places)
        count = len(entries) if good.all() else int(good.argmin())
        if count:
            self._epoch, self.place = float(epochs[count - 1]), int(places[count - 1]) + 1
        return [int(place) for place in places[:count].tolist()]

    def _seek(self, entry: Entry) -> int | None:
        """The place of an entry; -1 where it has none, None where its row may come yet."""
        epoch, epochs = entry["epoch"], self._columns.view("epoch")
        if epoch < self._epoch:  # rounded epochs ascend as well
            self.place = int(np.searchsorted(epochs, epoch - slack(epoch)))
        beside = self._together and self.place and self._names.isdisjoint(wanted(entry))
        if beside and not abs(epoch - epochs[self.place - 1]) > slack(epoch):
            return self.place - 1  # of another dataset
        following = self._next(1)
        if not len(following):
            over = self._taken - len(self.waiting) < self._turn or (len(epochs) and epoch < epochs[-1] - slack(epoch))
            return -1 if over else None
        if epochs[following[0]] > epoch + slack(epoch):
            return -1  # its row is not in the log
        begin = max(self.place, int(np.searchsorted(epochs, epoch - slack(epoch))))
        end = min(int(np.searchsorted(epochs, epoch + slack(epoch), side="right")), begin + AHEAD)
        places = np.flatnonzero(self._columns.marks[begin:end] & self._mark) + begin
        agreed = np.flatnonzero(self._agree(entry, places))
        return int(places[agreed[0]]) if len(agreed) else -1

    def _next(self, count: int) -> Places:
        """The places of the next rows, `count` at most."""
        marks, place, width = self._columns.marks, self.place, 2 * count + 8
        while True:
            found = np.flatnonzero(marks[place : place + width] & self._mark)
            if len(found) >= count or place + width >= len(marks):
                return found[:count] + place
            width *= 4

    def _agree(self, told: Mapping[str, Any], places: Places) -> npt.NDArray[np.bool_]:
        """Which rows say what was printed: for each one, or for all the same. Tokens are exact and settle it where both
        have them."""
        good = np.ones(len(places), bool)
        for name, column in COMPARED.items():
            if column in self._columns and name in told:
                good &= all_close(told[name], self._columns.view(column)[places])
        if "tokens" in self._columns and TOKENS in told:
            tokens = self._columns.view("tokens")[places]
            good = (good & (np.isnan(told[TOKENS]) | np.isnan(tokens))) | (told[TOKENS] == tokens)
        return good


class Printed:
    """Puts what was printed into the columns."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._trained = Follower(columns, TRAINED)
        self._evaluated = Follower(columns, EVALUATED, together=True)

    @property
    def waits(self) -> bool:
        """Whether there are entries that wait for their rows."""
        return bool(self._trained.waiting or self._evaluated.waiting)

    def take(self, entries: Iterable[Entry]) -> bool:
        """Entries in the order in which they were printed. They get their places, as far as these can be told; others
        wait for their rows. Whether any had its place now."""
        for entry in entries:
            if "epoch" not in entry:
                continue
            if is_evaluation(entry):
                self._evaluated.take(entry)
            elif "loss" in entry:
                self._trained.take(entry)
        found = [*self._trained.find(), *self._evaluated.find()]
        write(self._columns, np.array([place for place, _ in found], np.int64), [entry for _, entry in found])
        return bool(found)


def write(columns: Columns, places: Places, entries: Sequence[Entry], *, exact: bool = False) -> None:
    """Puts entries into the columns, the later ones over the earlier. places: of the entries. exact: whether they have
    all digits; those that have four leave what is exact."""
    alike: dict[tuple[str, ...], list[int]] = {}
    for number, entry in enumerate(entries):
        alike.setdefault(tuple(entry), []).append(number)
    for names, numbers in alike.items():
        at = places[numbers]
        order = np.argsort(at, kind="stable")
        at = at[order]
        for name in filter(is_wanted, names):
            values = np.array([entries[number][name] for number in numbers], dtype=np.float64)[order]
            put(columns, name, at, values, exact=exact)
        if exact:
            columns.marks[at] |= TOLD


def put(columns: Columns, name: str, places: Places, values: Column, *, exact: bool) -> None:
    """Puts values of one column. The log's own losses of evaluations are exact, too."""
    if name in columns and (not exact or name == "eval_loss"):
        known = name == "eval_loss" or columns.marks[places] & TOLD > 0
        lacking = np.isnan(columns.view(name)[places]) | ~np.broadcast_to(known, len(places))
        places, values = places[lacking], values[lacking]
    if len(places):
        columns.put(name, places, values)
    if name == "grad_norm":
        marks = columns.marks
        marks[places] &= 255 - OVERFLOWN
        marks[places[~np.isfinite(values)]] |= OVERFLOWN
