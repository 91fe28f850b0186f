"""The columns of the runs table, as Arrow: made once for all tabs, and of a run again only when its row changed."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import chain
from operator import is_not
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pyarrow as pa

from lfdash.runs.arguments import words
from lfdash.runs.differing import ArgumentMatrix, Places
from lfdash.runs.kept import no_collection
from lfdash.runs.table import PENDING, Table, TableRow
from lfdash.runs.values import ARG, SCORE
from lfdash.runs.view import RunView
from lfdash.ui.shared.run_words import BEST, duration, shown_state

DIGITS = 6  # of a number that is not whole
FEW, FINE = 15, 30  # points of a curve whose corners would be seen; lines that it is drawn with, about
BLOCK = 100  # rows whose columns are made anew when one of them changed
TEXTS = pa.list_(pa.string())


def texts(rows: Sequence[TableRow], name: str) -> pa.Array:
    """A column of texts that rows have under this name."""
    return pa.array([getattr(row, name) for row in rows], pa.string())


def states(row: TableRow) -> list[str]:
    """The state of a run and what is told beside it; of one that waits on a cluster that it does."""
    return [*([] if PENDING in row.badges else [shown_state(row.kind, row.state)]), *row.badges]


def numbers(values: Sequence[float | None]) -> pa.Array:
    """A column of numbers; nothing where there is none."""
    return pa.array(values, pa.float32())


def sparks(rows: Sequence[TableRow]) -> pa.Array:
    """The small curves: one flat array and where each begins."""
    curves = [straight(row.spark) for row in rows]
    lengths = [len(curve) for curve in curves]
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
    values = np.fromiter(chain.from_iterable(curves), np.float32, int(offsets[-1]))
    empty = pa.array([not length for length in lengths], pa.bool_())
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(values), mask=empty)


def straight(curve: Sequence[float]) -> Sequence[float]:
    """A small curve with points on the lines between its few points: the table rounds every corner from the middle of
    one line to that of the next (Streamlit's LineChartColumn), which shows waves that nobody logged."""
    count = len(curve)
    if not 2 < count <= FEW:
        return curve
    parts = -(-FINE // (count - 1))
    at = np.linspace(0, count - 1, (count - 1) * parts + 1)
    found: list[float] = np.interp(at, range(count), curve).tolist()
    return found


MAKERS: Mapping[str, Callable[[Sequence[TableRow]], pa.Array]] = {
    "state": lambda rows: pa.array(list(map(states, rows)), TEXTS),
    "name": lambda rows: texts(rows, "name"),
    "progress": lambda rows: numbers([row.percent for row in rows]),
    "spark": sparks,
    "last": lambda rows: numbers([finite(row.last) for row in rows]),
    "best": lambda rows: numbers([row.best for row in rows]),
    "best_eval": lambda rows: numbers([row.best_eval for row in rows]),
    "duration": lambda rows: pa.array([duration_words(row.duration) for row in rows], pa.string()),
    "speed": lambda rows: numbers([finite(row.speed) for row in rows]),
    "model": lambda rows: texts(rows, "model"),
    "dataset": lambda rows: pa.array([", ".join(row.datasets) for row in rows], pa.string()),
    "stage": lambda rows: texts(rows, "stage"),
    "method": lambda rows: texts(rows, "method"),
    "kind": lambda rows: texts(rows, "kind"),
    "tags": lambda rows: pa.array([row.tags for row in rows], TEXTS),
    "note": lambda rows: pa.array([row.note.split("\n")[0] for row in rows], pa.string()),
    "when": lambda rows: pa.array(
        [None if row.when is None else int(row.when) for row in rows], pa.timestamp("s", tz="UTC")
    ),
    "folder": lambda rows: texts(rows, "folder"),
    "target": lambda rows: pa.array([row.target or None for row in rows], pa.string()),
}


def table_of(rows: Sequence[TableRow]) -> pa.Table:
    """Rows as columns."""
    return pa.table({name: make(rows) for name, make in MAKERS.items()})


SCHEMA = table_of(()).schema


class Columns:
    """The columns of all rows of a table; a filter or an order takes from them what it shows."""

    def __init__(self) -> None:
        self._rows: Sequence[TableRow] = ()
        self._blocks: list[pa.Table] = []
        self._places: dict[int, int] = {}  # of a row object in `_rows`, which keeps it alive
        self._whole = SCHEMA.empty_table()
        self._arguments = ArgumentMatrix()
        self._lock = threading.Lock()

    def of(
        self, rows: Sequence[TableRow], every: Sequence[TableRow], more: Sequence[str] = (),
        best: Collection[str] = (), redact: Callable[[str], str] = str,
    ) -> pa.Table:
        """The columns of `rows` in their order. every: all rows of the table, among which they are. more: the columns
        of arguments and results that are wanted too (`runs/values.py`). best: ids of rows that are marked. redact:
        takes secrets out of a text."""
        with self._lock:
            places = self._seen(rows, every)
            if places is None:  # those of a look before
                return Columns().of(rows, tuple(rows), more, best, redact)
            whole, count = self._whole, len(self._rows)
            added = {name: self._argument(name, places, redact) for name in more if name.startswith(ARG)}
        as_it_is = len(places) == count and np.array_equal(places, np.arange(count))
        data = whole if as_it_is else whole.take(pa.array(places, pa.int64()))
        for name in more:
            data = data.append_column(name, added[name] if name in added else result(rows, name))
        return marked(data, [place for place, row in enumerate(rows) if row.run_id in best]) if best else data

    def differing(self, rows: Sequence[TableRow], every: Sequence[TableRow]) -> list[str]:
        """The columns of the arguments in which these rows differ; see `ArgumentMatrix.differing`."""
        with self._lock:
            places = self._seen(rows, every)
            if places is not None:
                return [ARG + name for name in self._arguments.differing(places)]
        return Columns().differing(rows, tuple(rows))

    def given(self, every: Sequence[TableRow]) -> list[str]:
        """The columns of the arguments that any row has."""
        with self._lock:
            places = self._seen(every, every)
            return [] if places is None else [ARG + name for name in self._arguments.given(places)]

    def _seen(self, rows: Sequence[TableRow], every: Sequence[TableRow]) -> Places | None:
        """Where rows are among those that are kept; None where one of them is not."""
        if every is not self._rows:
            self._take(every)
        known = self._places
        places = np.fromiter((known.get(id(row), -1) for row in rows), np.intp, len(rows))
        return None if len(places) and places.min() < 0 else places

    def _take(self, every: Sequence[TableRow]) -> None:
        blocks = []
        for number, start in enumerate(range(0, len(every), BLOCK)):
            part, before = every[start : start + BLOCK], self._rows[start : start + BLOCK]
            same = len(part) == len(before) and not any(map(is_not, part, before))
            with no_collection():
                blocks.append(self._blocks[number] if same else table_of(part))
        self._rows, self._blocks = every, blocks
        self._places = {id(row): place for place, row in enumerate(every)}
        self._whole = pa.concat_tables(blocks).combine_chunks() if blocks else SCHEMA.empty_table()
        self._arguments.take(every)

    def _argument(self, name: str, places: Places, redact: Callable[[str], str]) -> pa.Array:
        """The column of an argument: of numbers where all its values are some, else of texts."""
        values, codes = self._arguments.of(name.removeprefix(ARG), places)
        numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        known: Any = (
            pa.array([short(float(value)) for value in values], pa.float64()) if numeric
            else pa.array([redact(words(value)) for value in values], pa.string())
        )
        return known.take(pa.array(codes - 1, mask=codes == 0))


def short(value: float) -> float:
    """A number as people write it: of one that is not whole some digits are enough."""
    return value if value.is_integer() else float(f"{value:.{DIGITS}g}")


def result(rows: Sequence[TableRow], name: str) -> pa.Array:
    """The column of a number of the results."""
    values = (row.details.scores.get(name.removeprefix(SCORE)) for row in rows)
    return pa.array([None if value is None else short(value) for value in values], pa.float64())


def marked(data: pa.Table, places: Sequence[int]) -> pa.Table:
    """The same with a mark beside the states of the rows at these places."""
    states = data["state"].combine_chunks()
    parts, done = [], 0
    for place in places:
        parts += [states[done:place], pa.array([[*states[place].as_py(), BEST]], TEXTS)]
        done = place + 1
    column = pa.chunked_array([*parts, states[done:]], TEXTS)
    return data.set_column(data.schema.get_field_index("state"), "state", column)


def warm(table: Table, views: Sequence[RunView]) -> None:
    """Makes rows and columns before somebody asks for them."""
    rows = table.rows(views)
    columns_of(table).of(rows, rows)


shared: WeakKeyDictionary[Table, Columns] = WeakKeyDictionary()


def columns_of(table: Table) -> Columns:
    """Those of a workspace's table, for all tabs."""
    return shared.setdefault(table, Columns())


def finite(value: float | None) -> float | None:
    """A number; nothing for what is none: a badge beside the state tells that."""
    return value if value is not None and math.isfinite(value) else None


def duration_words(seconds: float | None) -> str | None:
    """h:mm:ss, the hours as wide as those of weeks: so a browser, which sorts words, sorts them rightly."""
    return None if seconds is None else f"{duration(seconds):>9}".replace(" ", "\u2007")
