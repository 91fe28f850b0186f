"""One type for each place of a file's rows: LLaMA-Factory's loader makes one table of them, and cannot read a file
whose values at one place are now text, now a number, now a list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from lfdash.data.converting import kind

PART = "[]"  # how a list's parts are called in a place
MOST = 50_000  # places that are remembered: keys may be made up without end
DEEPEST = 50  # what lies deeper is not looked at


class Clash(NamedTuple):
    """Two types at one place. place: the column and what lies in it, with dots. first: "" where nothing was there
    before, in the part of the file whose types count for all. row: of the second, 1 is the first."""

    place: str
    first: str
    second: str
    row: int


class Node:
    """What was seen at a place: its type, and the places below it."""

    __slots__ = ("below", "type")

    def __init__(self) -> None:
        self.type = ""
        self.below: dict[str, Node] = {}

    def clash(self, value: Any, place: str, late: bool, depth: int = 0) -> tuple[str, str, str] | None:
        """Takes a value; where it, or one within it, has another type than those before. late: what was not there
        before may not come now."""
        if value is None:
            return None
        own = kind(value)
        if not self.type and late:
            return place, "", own
        if not self.type:
            self.type = own
        elif own != self.type:
            return place, self.type, own
        if own == "list":
            return self.within(((PART, part) for part in value), place, late, depth)
        return self.within(value.items(), place, late, depth) if own == "object" else None

    def within(
        self, values: Iterable[tuple[str, Any]], place: str, late: bool, depth: int = 0
    ) -> tuple[str, str, str] | None:
        """Takes what lies in a value."""
        for key, value in values:
            node = self.below.get(key)
            path = f"{place}.{key}" if place else key
            if node is None and late:
                return path, "", kind(value)
            if node is None and (len(self.below) >= MOST or depth >= DEEPEST):
                continue
            if node is None:
                node = self.below[key] = Node()
            found = node.clash(value, path, late, depth + 1)
            if found is not None:
                return found
        return None


class Types:
    """Takes the rows of a file; `clash` is the first that no table can hold."""

    def __init__(self) -> None:
        self._root = Node()
        self.clash: Clash | None = None

    def take(self, row: Mapping[str, Any], number: int, late: bool = False) -> None:
        """Looks at the next row. late: it is not in the part of the data whose types count for all."""
        if self.clash is None:
            found = self._root.within(row.items(), "", late)
            self.clash = None if found is None else Clash(*found, number)

    def columns(self) -> frozenset[str]:
        """The columns that any row has."""
        return frozenset(self._root.below)

    def type(self, column: str) -> str:
        """What a column's values are; "" where there are none."""
        node = self._root.below.get(column)
        return node.type if node else ""

    def keys(self, column: str) -> frozenset[str]:
        """The keys that the objects in a column's lists have."""
        node = self._root.below.get(column)
        parts = node.below.get(PART) if node else None
        return frozenset(parts.below) if parts else frozenset()
