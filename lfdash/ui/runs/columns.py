"""The columns of the runs table, as Arrow: made once for all tabs, and of a run again only when its row changed."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from operator import is_not
from typing import Any
from weakref import WeakKeyDictionary

import pyarrow as pa

from lfdash.runs.table import Table, TableRow
from lfdash.ui.shared.run_words import duration

BLOCK = 100  # rows whose columns are made anew when one of them changed

SCHEMA = pa.schema(
    [
        ("state", pa.list_(pa.string())), ("name", pa.string()), ("progress", pa.float32()),
        ("spark", pa.list_(pa.float32())), ("last", pa.float32()), ("best", pa.float32()), ("best_eval", pa.float32()),
        ("duration", pa.string()), ("model", pa.string()), ("stage", pa.string()), ("method", pa.string()),
        ("kind", pa.string()), ("tags", pa.list_(pa.string())), ("note", pa.string()),
        ("when", pa.timestamp("s", tz="UTC")), ("folder", pa.string()),
    ]
)


class Columns:
    """The columns of all rows of a table; a filter or an order takes from them what it shows."""

    def __init__(self) -> None:
        self._rows: Sequence[TableRow] = ()
        self._blocks: list[pa.Table] = []
        self._places: dict[int, int] = {}  # of a row object in `_rows`, which keeps it alive
        self._whole = SCHEMA.empty_table()
        self._lock = threading.Lock()

    def of(self, rows: Sequence[TableRow], every: Sequence[TableRow]) -> pa.Table:
        """The columns of `rows` in their order. every: all rows of the table, among which they are."""
        with self._lock:
            if every is not self._rows:
                self._take(every)
            whole, places = self._whole, [self._places.get(id(row), -1) for row in rows]
        if -1 in places:  # those of a look before
            return table_of(rows)
        return whole if places == list(range(whole.num_rows)) else whole.take(pa.array(places, pa.int64()))

    def _take(self, every: Sequence[TableRow]) -> None:
        blocks = []
        for number, start in enumerate(range(0, len(every), BLOCK)):
            part, before = every[start : start + BLOCK], self._rows[start : start + BLOCK]
            same = len(part) == len(before) and not any(map(is_not, part, before))
            blocks.append(self._blocks[number] if same else table_of(part))
        self._rows, self._blocks = every, blocks
        self._places = {id(row): place for place, row in enumerate(every)}
        self._whole = pa.concat_tables(blocks).combine_chunks() if blocks else SCHEMA.empty_table()


shared: WeakKeyDictionary[Table, Columns] = WeakKeyDictionary()


def columns_of(table: Table) -> Columns:
    """Those of a workspace's table, for all tabs."""
    return shared.setdefault(table, Columns())


def table_of(rows: Sequence[TableRow]) -> pa.Table:
    """Rows as columns."""
    return pa.Table.from_pylist([cells(row) for row in rows], schema=SCHEMA)


def cells(row: TableRow) -> dict[str, Any]:
    """What the table shows of a row."""
    return {
        "state": [row.state.name, *row.badges], "name": row.name, "progress": row.percent, "spark": row.spark or None,
        "last": finite(row.last), "best": row.best, "best_eval": row.best_eval,
        "duration": duration_words(row.duration),
        "model": row.model, "stage": row.stage, "method": row.method, "kind": row.kind, "tags": row.tags,
        "note": row.note.split("\n")[0], "when": None if row.when is None else int(row.when), "folder": row.folder,
    }


def finite(value: float | None) -> float | None:
    """A number; nothing for what is none: a badge beside the state tells that."""
    return value if value is not None and math.isfinite(value) else None


def duration_words(seconds: float | None) -> str | None:
    """h:mm:ss, the hours as wide as those of weeks: so a browser, which sorts words, sorts them rightly."""
    return None if seconds is None else f"{duration(seconds):>9}".replace(" ", "\u2007")
