"""What was printed without its step -> the places of the columns that it belongs to."""

from __future__ import annotations

import math
import sys
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lfdash.runs.metrics.columns import Columns
from lfdash.runs.metrics.frame import AGAIN, EVALUATED, KNOWN, OVERFLOWN, TOLD, TRAINED, Column, Places
from lfdash.runs.metrics.printed import is_evaluation, is_wanted, wanted

Entry = Mapping[str, float]
State = tuple[int, float, bool, frozenset[str]]  # of a Follower: place, epoch, turned, names
AHEAD = 500  # rows of one epoch that are looked through for one that was printed
WAITING = 10_000  # printed lines, at most, that are kept while the log lacks their rows
REMEMBERED = 500  # printed lines that may have come before their rows, those of a launch before being there still
BEHIND = 4  # lines that came after one, by whose rows it is seen that its own will not come
NEAR = 16  # places between two that have their lines, which are noted as one stretch
NOWHERE = sys.maxsize  # no place
PRINTED_TOO = ("grad_norm",)  # of the columns that a log may have, those of which it has nothing
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


class Past(NamedTuple):
    """An entry that was taken. at: its place; where it has none, that up to which it was sought. state: see
    `Follower._state`."""

    entry: Entry
    at: int
    state: State


class Follower:
    """Walks along the rows that have a mark, as entries come that were printed for them, in the same order.

    Where they do not agree it finds the next row of that epoch that does; where the epochs go back (a launch begins) so
    does it, and what was printed before for the rows from there on is void, as they were trained again. Where rows are
    replaced it walks once more along those that have come: a line may be printed before its row, and the rows of the
    launch before are there still. An entry costs the same, however long the run is. place: of the row that is expected
    next. together: whether entries of other names may have the same row. void: places from which on, and up to which,
    what was printed no longer holds; whoever reads them empties the list.
    """

    def __init__(self, columns: Columns, mark: int, *, together: bool = False) -> None:
        self._columns, self._mark, self._together = columns, mark, together
        self.waiting: deque[Entry] = deque(maxlen=WAITING)
        self.place = 0
        self.void: list[tuple[int, int]] = []
        self._epoch = -math.inf  # of the entry that had its place last
        self._taken, self._turn = 0, 0  # how many entries there were, and before the newest of them that went back
        self._newest = -math.inf  # epoch of the newest entry
        self._names: set[str] = set()  # of the entries of the row before
        self._turned = False  # whether a launch has begun none of whose entries has its place yet
        self._looked = 0  # up to which place rows were looked at for the last entry without one
        self._past: deque[Past] = deque(maxlen=REMEMBERED)
        self._furthest = -1  # place that one of them had, or was sought at
        self._written: list[tuple[int, int]] = []  # stretches of places that have their entries, ascending
        self._replaced = NOWHERE  # place from which on the rows are others than those that were walked along
        columns.follow(self)

    def replaced(self, place: int) -> None:
        """See `columns.Walker`."""
        self._replaced = min(self._replaced, place)

    def inserted(self) -> None:
        """See `columns.Walker`."""
        self.place, self._looked, self._furthest = self.place + 1, self._looked + 1, self._furthest + 1
        self._replaced += self._replaced < NOWHERE
        moved = (past._replace(at=past.at + 1, state=(past.state[0] + 1, *past.state[1:])) for past in self._past)
        self._past = deque(moved, REMEMBERED)
        self._written = [(first + 1, end + 1) for first, end in self._written]

    @property
    def goes_back(self) -> bool:
        """Whether rows of entries that were taken were replaced since."""
        return self._replaced <= self._furthest

    def take(self, entry: Entry) -> None:
        """The entry that was printed next."""
        if entry["epoch"] < self._newest:
            self._turn = self._taken
        self._taken, self._newest = self._taken + 1, entry["epoch"]
        self.waiting.append(entry)

    def find(self) -> list[tuple[int, Entry]]:
        """The entries that wait and whose rows are there, each with its place, ascending; those that have none are
        dropped."""
        found: list[tuple[int, Entry]] = []
        if self.goes_back:
            self._go_back()
        self._replaced = NOWHERE
        if "epoch" not in self._columns or not self.waiting:
            return found
        self.place = min(self.place, len(self._columns))
        many = 0 if self._together else FEWEST
        while self.waiting:
            run = self._run(many) if many else []
            if many:
                many = min(2 * many, MOST) if len(run) == many else FEWEST
            self._note_run(run, found)
            if len(run) < FEWEST and self.waiting:
                before = self._state()
                sought = self._seek(self.waiting[0])
                if sought is None:
                    break
                if not self._together:
                    many = FEWEST if sought >= 0 else 0  # one after the other, as long as nothing fits
                self._note(sought, before, found)
        return found

    def _state(self) -> State:
        """What decides of the next entry's place."""
        return self.place, self._epoch, self._turned, frozenset(self._names)

    def _note_run(self, places: Sequence[int], found: list[tuple[int, Entry]]) -> None:
        """Gives the entries that wait these places, which are those of the next rows."""
        if not places:
            return
        self._begin_at(places[0], found)
        entries = [self.waiting.popleft() for _ in places]
        found += zip(places, entries, strict=True)
        self._written_to(places[0], places[-1] + 1)
        for at, entry in zip(places[-REMEMBERED:], entries[-REMEMBERED:], strict=True):
            self._past.append(Past(entry, at, self._state()))
            self.place, self._epoch = at + 1, entry["epoch"]
        self._furthest = max(self._furthest, places[-1])

    def _note(self, place: int, before: State, found: list[tuple[int, Entry]]) -> None:
        """Gives the entry that waits longest its place; -1: it has none. before: the state in which it was sought."""
        entry = self.waiting.popleft()
        at = self._looked if place < 0 else place
        self._past.append(Past(entry, at, before))
        self._furthest, self._epoch = max(self._furthest, at), entry["epoch"]
        if place >= 0:
            self._begin_at(place, found)
            self._names = {*wanted(entry), *(self._names if place == self.place - 1 else ())}
            self.place = place + 1
            found.append((place, entry))
            self._written_to(place, place + 1)

    def _written_to(self, first: int, end: int) -> None:
        """Notes which places have their entries."""
        if self._written and first - self._written[-1][1] <= NEAR:
            self._written[-1] = (self._written[-1][0], end)
        else:
            self._written.append((first, end))

    def _begin_at(self, place: int, found: list[tuple[int, Entry]]) -> None:
        """Where a launch begins at a place, what was printed before for the rows from there on is void."""
        if self._turned:
            self._turned = False
            while found and found[-1][0] >= place:
                found.pop()
            self._void_from(place)

    def _void_from(self, place: int) -> None:
        while self._written and self._written[-1][1] > place:
            first, end = self._written.pop()
            self.void.append((max(first, place), end))
            if first < place:
                self._written.append((first, place))

    def _go_back(self) -> None:
        """Takes the entries again whose rows are others now."""
        first = next((number for number, past in enumerate(self._past) if past.at >= self._replaced), len(self._past))
        self._void_from(self._replaced)
        for _ in range(min(len(self._past) - first, WAITING - len(self.waiting))):
            past = self._past.pop()
            self.waiting.appendleft(past.entry)
            self.place, self._epoch, self._turned, names = past.state
            self._names = set(names)
        self._furthest = max((past.at for past in self._past), default=-1)

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
        return [int(place) for place in places[:count].tolist()]

    def _seek(self, entry: Entry) -> int | None:
        """The place of an entry; -1 where it has none, None where its row may come yet."""
        epoch, epochs = entry["epoch"], self._columns.view("epoch")
        if epoch < self._epoch:  # rounded epochs ascend as well
            self.place, self._turned = int(np.searchsorted(epochs, epoch - slack(epoch))), True
        elif self._is_again(entry):
            self._turned = True
            return self.place - 1
        beside = self._together and self.place and self._names.isdisjoint(wanted(entry))
        if beside and not abs(epoch - epochs[self.place - 1]) > slack(epoch):
            return self.place - 1  # of another dataset
        following = self._next(1)
        self._looked = int(following[0]) if len(following) else len(epochs)
        if len(following) and epochs[following[0]] > epoch + slack(epoch):
            return -1  # its row is not in the log
        agreed = self._fitting(entry)
        if len(agreed):
            return int(agreed[0])
        over = self._taken - len(self.waiting) < self._turn or (len(epochs) and epochs[-1] > epoch + slack(epoch))
        behind = islice(self.waiting, 1, 1 + BEHIND)
        return -1 if over or any(len(self._fitting(other)) for other in behind) else None

    def _fitting(self, entry: Entry) -> Places:
        """The places, from the expected one on, of the rows that say what an entry does."""
        epoch, epochs = entry["epoch"], self._columns.view("epoch")
        begin = max(self.place, int(np.searchsorted(epochs, epoch - slack(epoch))))
        end = min(int(np.searchsorted(epochs, epoch + slack(epoch), side="right")), begin + AHEAD)
        self._looked = max(self._looked, end)
        places = np.flatnonzero(self._columns.marks[begin:end] & self._mark) + begin
        return places[self._agree(entry, places)]

    def _is_again(self, entry: Entry) -> bool:
        """Whether an entry is another one of the row before: a launch began with that very step."""
        place = self.place - 1
        if self._together or place < 0 or entry["epoch"] != self._epoch or not self._columns.marks[place] & AGAIN:
            return False
        near = abs(entry["epoch"] - self._columns.view("epoch")[place]) <= slack(entry["epoch"])
        return bool(near and self._agree(entry, np.array([place]))[0])

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
        self._names: dict[Follower, set[str]] = {self._trained: set(), self._evaluated: set()}  # that were printed

    @property
    def waits(self) -> bool:
        """Whether there are entries whose rows may be there now: they waited, or their rows were replaced."""
        return any(follower.waiting or follower.goes_back for follower in self._names)

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
        changed = False
        for follower in self._names:
            changed = self._put(follower) or changed
        return changed

    def _put(self, follower: Follower) -> bool:
        """Writes what has its place now; whether anything changed."""
        found, void = follower.find(), follower.void
        for first, end in void:
            clear(self._columns, self._names[follower], first, end)
        void.clear()
        self._names[follower] |= write(self._columns, [place for place, _ in found], [entry for _, entry in found])
        return bool(found or void)


def write(
    columns: Columns, places: Places | Sequence[int], entries: Sequence[Entry], *, exact: bool = False
) -> set[str]:
    """Puts entries into the columns, the later ones over the earlier, and returns the names of these columns. places:
    of the entries. exact: whether they have all digits; those that have four leave what is exact."""
    places = np.array(places, np.int64)
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
    return {name for names in alike for name in names if is_wanted(name)}


def clear(columns: Columns, names: Iterable[str], first: int, end: int) -> None:
    """Takes what was printed out of the columns, from a place to before another; not what the log or the state has
    told."""
    marks = columns.marks
    places = np.flatnonzero(marks[first:end] & TOLD == 0) + first
    for name in names:
        if len(places) and name in columns and (name in PRINTED_TOO or name not in KNOWN):
            columns.put(name, places, np.full(len(places), math.nan))
    if "grad_norm" in names:
        marks[places] &= 255 - OVERFLOWN


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
