"""Which rows of the runs table are wanted: by values, by conditions, by words."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from lfdash.runs.conditions import Condition, split
from lfdash.runs.table import TableRow

FILTERS: Mapping[str, Callable[[TableRow], Collection[str]]] = {
    "state": lambda row: (row.state.name, *row.badges),
    "kind": lambda row: (row.kind,),
    "model": lambda row: (row.model,),
    "stage": lambda row: (row.stage,),
    "method": lambda row: (row.method,),
    "dataset": lambda row: row.datasets,
    "tag": lambda row: row.tags,
}


@dataclass(frozen=True)
class Wanted:
    """What is looked for. text: every word of it anywhere, and the conditions that stand in it; values: for each
    filter that names some, one of them; where: conditions that all hold."""

    text: str = ""
    values: Mapping[str, Collection[str]] = field(default_factory=dict)
    where: tuple[Condition, ...] = ()

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Those that were chosen, and those that were typed."""
        return (*self.where, *split(self.text).conditions)

    def select(self, rows: Sequence[TableRow]) -> list[TableRow]:
        """The wanted rows: one filter after the other, each looks through what the one before has left."""
        left = list(rows)
        for name, wanted in self.values.items():
            if wanted:
                read, values = FILTERS[name], frozenset(wanted)
                left = [row for row in left if not values.isdisjoint(read(row))]
        typed = split(self.text)
        for condition in (*self.where, *typed.conditions):
            left = [row for row in left if condition.holds(row)]
        for word in typed.words.casefold().split():
            left = [row for row in left if word in row.text]
        return left


def offered(rows: Sequence[TableRow], name: str) -> list[str]:
    """The values that a filter can be set to, as they occur."""
    return sorted({value for row in rows for value in FILTERS[name](row) if value}, key=str.casefold)
