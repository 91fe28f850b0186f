"""Columns that grow: rows are added at the end, cut off at the end, and filled in later."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from lfdash.runs.metrics.frame import Column, Marks, MetricFrame, Places, Segment
from lfdash.runs.metrics.line import NAN

FIRST = 256  # rows there is room for at first
MOST_COLUMNS = 300  # a spoiled console may name thousands


class Watcher(Protocol):
    """What is made of a column, and kept beside it."""

    def spoil(self, place: int) -> None:
        """The column has changed from a place on."""


class Walker(Protocol):
    """Who goes along the rows, and remembers places."""

    def replaced(self, place: int) -> None:
        """The rows from a place on went, or are others now."""

    def inserted(self) -> None:
        """A row has come before all others."""


class Columns:
    """Growing columns of one length, ascending by step.

    Whoever holds a frame of before keeps seeing its rows: what is cut off goes on in new memory. Memory: 8 bytes a
    column and step, as much again is reserved without being used.
    """

    def __init__(self) -> None:
        self._size = 0
        self._room = FIRST
        self._buffers: dict[str, Column] = {"step": np.empty(FIRST)}
        self._marks: Marks = np.zeros(FIRST, np.uint8)
        self._valued: dict[str, int] = {}  # where a column has a value
        self._watchers: dict[str, list[Watcher]] = {}
        self._walkers: list[Walker] = []
        self._shared = False  # whether a frame has been given of these buffers
        self._origin = object()  # another one when rows went, or came between others

    def __len__(self) -> int:
        return self._size

    def __contains__(self, name: object) -> bool:
        return name in self._buffers

    @property
    def nbytes(self) -> int:
        """Bytes in use."""
        return self._size * (8 * len(self._buffers) + 1)

    @property
    def marks(self) -> Marks:
        """The marks of the rows; they can be written."""
        return self._marks[: self._size]

    def view(self, name: str) -> Column:
        """A column; only for reading. KeyError where there is none."""
        return self._buffers[name][: self._size]

    def frame(self, segments: tuple[Segment, ...]) -> MetricFrame:
        """All of it, as it is, but what has no value any more: those it had were cut off, or taken out again."""
        self._shared = True
        columns = {
            name: locked(buffer[: self._size]) for name, buffer in self._buffers.items()
            if name == "step" or self._has_value(name)
        }
        marks = self.marks
        marks.flags.writeable = False
        return MetricFrame(columns, segments, marks, self._origin)

    def _has_value(self, name: str) -> bool:
        """Whether a column has a value; looks where its first one was, before it looks through it."""
        column = self.view(name)
        place = self._valued.get(name, 0)
        if place < len(column) and not np.isnan(column[place]):
            return True
        begin, width = 0, FIRST
        while begin < len(column):
            known = np.flatnonzero(~np.isnan(column[begin : begin + width]))
            if len(known):
                self._valued[name] = begin + int(known[0])
                return True
            begin, width = begin + width, width * 4
        return False

    def watch(self, name: str, watcher: Watcher) -> None:
        """Tells `watcher` of every change of a column."""
        self._watchers.setdefault(name, []).append(watcher)

    def follow(self, walker: Walker) -> None:
        """Tells `walker` of rows that are replaced."""
        self._walkers.append(walker)

    def replace(self, place: int) -> None:
        """Tells that the row at a place is that of another line of the log now."""
        for walker in self._walkers:
            walker.replaced(place)

    def place(self, step: float) -> int | None:
        """Where a step is, if it is."""
        steps = self.view("step")
        place = int(np.searchsorted(steps, step))
        return place if place < self._size and steps[place] == step else None

    def grow(self, steps: Column) -> None:
        """Adds rows of these steps, beyond the last one and ascending."""
        size = self._size + len(steps)
        if size > self._room:
            self._move(self._size, max(size, 2 * self._room))
        for name, buffer in self._buffers.items():
            buffer[self._size : size] = steps if name == "step" else NAN
        self._marks[self._size : size] = 0
        self._size = size

    def cut(self, size: int) -> None:
        """Forgets all rows but the first `size`."""
        if size >= self._size:
            return
        if self._shared:
            self._move(size, self._room)
        self._size = size
        self._spoil(size)
        self.replace(size)

    def insert_first(self, step: float) -> None:
        """Adds a row before all others."""
        old = self._size
        after = {name: buffer[:old].copy() for name, buffer in self._buffers.items()}
        marks = self._marks[:old].copy()
        self._move(0, self._room)
        self._size = 0
        self.grow(np.concatenate(([step], after["step"])))
        for name, values in after.items():
            self._buffers[name][1 : old + 1] = values
        self._marks[1 : old + 1] = marks
        self._spoil(0)
        for walker in self._walkers:
            walker.inserted()

    def put(self, name: str, places: Places | slice | int, values: Column | float) -> None:
        """Writes values of a column; of those for one place the last counts. places: ascending."""
        buffer = self._buffers.get(name)
        if buffer is None:
            if len(self._buffers) >= MOST_COLUMNS:
                return
            buffer = self._buffers[name] = np.empty(self._room)
            buffer[: self._size] = NAN
        buffer[places] = values
        if name in self._watchers:
            first = places if isinstance(places, int) else places.start if isinstance(places, slice) else places[0]
            for watcher in self._watchers[name]:
                watcher.spoil(int(first))

    def _move(self, size: int, room: int) -> None:
        """Goes on in new memory, with the first `size` rows."""
        self._room = room
        for name, buffer in self._buffers.items():
            self._buffers[name] = np.empty(room)
            self._buffers[name][:size] = buffer[:size]
        marks, self._marks = self._marks, np.empty(room, np.uint8)
        self._marks[:size] = marks[:size]
        self._shared = False

    def _spoil(self, place: int) -> None:
        self._origin = object()
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.spoil(place)


def locked(column: Column) -> Column:
    """A view that cannot be written."""
    column.flags.writeable = False
    return column
