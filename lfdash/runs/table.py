"""The table of all runs: one row a run, made anew only when something about it changed; filtered, sorted, as CSV."""

from __future__ import annotations

import csv
import io
import math
import re
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from operator import is_not
from typing import Any

from lfdash.runs.newest_first import places_changed
from lfdash.runs.record import RunState
from lfdash.runs.spreadsheet import harmless
from lfdash.runs.summary import Summary
from lfdash.runs.summary_cache import Known, SummaryCache
from lfdash.runs.view import RunView


@dataclass(frozen=True)
class TableRow:
    """A run in the table. percent: 0-100. duration: seconds of all attempts. when: epoch seconds of its newest start,
    or of its log's last change; None for a job that waits. badges: what is to be told beside the state: "stalled",
    "dead" (its loss is no number), "spoiled" (its run.json cannot be read). text: what a search looks through."""

    run_id: str
    name: str
    state: RunState
    kind: str
    model: str
    stage: str
    method: str
    step: int | None
    total: int | None
    percent: float | None
    last: float | None
    best: float | None
    best_step: int | None
    best_eval: float | None
    best_eval_step: int | None
    spark: tuple[float, ...]
    duration: float | None
    when: float | None
    tags: tuple[str, ...]
    note: str
    folder: str
    error: str
    text: str = field(repr=False)
    badges: tuple[str, ...] = ()


BADGES = ("stalled", "dead", "spoiled")


def badges_of(view: RunView, summary: Summary) -> tuple[str, ...]:
    """What is to be told of a run beside its state."""
    told = (view.stall is not None, summary.dead_step is not None, view.spoiled)
    return tuple(name for name, is_so in zip(BADGES, told, strict=True) if is_so)


def make_row(view: RunView, known: Known) -> TableRow:
    """The row of a run."""
    about, summary = known.about, known.summary
    progress = view.progress
    words = (view.name, about.model, about.stage, about.method, view.output_dir, view.notes.note, *view.notes.tags)
    return TableRow(
        run_id=view.run_id,
        name=view.name,
        state=view.state,
        kind=about.kind,
        model=about.model,
        stage=about.stage,
        method=about.method,
        step=progress.step,
        total=progress.total,
        percent=100.0 if view.state is RunState.SUCCEEDED else progress.percent,
        last=summary.last,
        best=summary.best,
        best_step=summary.best_step,
        best_eval=summary.best_eval,
        best_eval_step=summary.best_eval_step,
        spark=summary.spark,
        duration=duration(view),
        when=None if view.waiting else view.started or view.ended,
        tags=view.notes.tags,
        note=view.notes.note,
        folder=view.output_dir,
        error=view.error or "",
        text="\n".join((*words, view.error or "")).casefold(),
        badges=badges_of(view, summary),
    )


def duration(view: RunView) -> float | None:
    """Seconds that all attempts of a run took, as far as known."""
    parts = [view.progress.elapsed_s]
    if view.record is not None:
        parts += [a.exit.seconds for a in view.record.attempts if a.exit is not None and a.number < view.attempt]
    known = [part for part in parts if part is not None]
    return sum(known) if known else None


class Table:
    """The rows of a workspace, for all sessions. A look costs what has changed since the one before."""

    def __init__(self, summaries: SummaryCache) -> None:
        self._summaries = summaries
        self._views: Sequence[RunView] = ()  # of the last look
        self._number = -1  # of the last change of a summary that is in the rows
        self._made: dict[str, tuple[RunView, Known, TableRow]] = {}  # in the order of the rows
        self._places: dict[str, int] = {}  # of a folder among the views
        self._last: dict[str, int] = {}  # an id's last place: a next attempt that waits stands before its run
        self._rows: tuple[TableRow, ...] = ()
        self._lock = threading.Lock()

    def rows(self, views: Sequence[RunView]) -> tuple[TableRow, ...]:
        """A row for each view, in their order; the same objects, and the same tuple, where nothing changed."""
        with self._lock:
            number, folders = self._summaries.changed_since(self._number)
            places = [] if views is self._views else places_changed(self._views, views)
            if folders is None or places is None:
                self._made = {view.run_id: self._row(view) for view in views}
                self._places = {view.output_dir: place for place, view in enumerate(views)}
                self._last = {view.run_id: place for place, view in enumerate(views)}
            else:
                places = [*places, *(self._places[folder] for folder in folders if folder in self._places)]
                for view in (views[place] for place in {self._last[views[place].run_id] for place in places}):
                    self._made[view.run_id] = self._row(view)
            self._views, self._number = views, number
            if folders is None or places is None or places:
                self._take(tuple([row for _, _, row in self._made.values()]))
            return self._rows

    def _take(self, rows: tuple[TableRow, ...]) -> None:
        if len(rows) != len(self._rows) or any(map(is_not, rows, self._rows)):
            self._rows = rows

    @property
    def latest(self) -> tuple[TableRow, ...]:
        """The rows of the last look."""
        return self._rows

    def _row(self, view: RunView) -> tuple[RunView, Known, TableRow]:
        known = self._summaries.get(view)
        held = self._made.get(view.run_id)
        if held is None or held[0] is not view or held[1] != known:
            row = make_row(view, known)
            held = (view, known, held[2] if held is not None and held[2] == row else row)
        return held


# -- filtering ------------------------------------------------------------------------------------------

FILTERS: Mapping[str, Callable[[TableRow], Collection[str]]] = {
    "state": lambda row: (row.state.name, *row.badges),
    "kind": lambda row: (row.kind,),
    "model": lambda row: (row.model,),
    "stage": lambda row: (row.stage,),
    "method": lambda row: (row.method,),
    "tag": lambda row: row.tags,
}


@dataclass(frozen=True)
class Wanted:
    """What is looked for: every word of `text` anywhere, and for each filter that names values one of them."""

    text: str = ""
    values: Mapping[str, Collection[str]] = field(default_factory=dict)

    def select(self, rows: Sequence[TableRow]) -> list[TableRow]:
        """The wanted rows: one filter after the other, each looks through what the one before has left."""
        left = list(rows)
        for name, wanted in self.values.items():
            if wanted:
                read, values = FILTERS[name], frozenset(wanted)
                left = [row for row in left if not values.isdisjoint(read(row))]
        for word in self.text.casefold().split():
            left = [row for row in left if word in row.text]
        return left


def offered(rows: Sequence[TableRow], name: str) -> list[str]:
    """The values that a filter can be set to, as they occur."""
    return sorted({value for row in rows for value in FILTERS[name](row) if value}, key=str.casefold)


# -- sorting --------------------------------------------------------------------------------------------

@lru_cache(maxsize=1 << 15)  # a table is sorted again and again
def natural(text: str) -> tuple[tuple[bool, int, str], ...]:
    """A key by which run-2 comes before run-10."""
    parts = re.split(r"(\d+)", text.casefold())
    return tuple((not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts if part)


ORDER = tuple(RunState)
WAITING = (RunState.QUEUED, RunState.HELD)
SORTS: Mapping[str, Callable[[TableRow], Any]] = {
    "when": lambda row: row.when,
    "name": lambda row: natural(row.name),
    "state": lambda row: ORDER.index(row.state),
    "progress": lambda row: row.percent,
    "last": lambda row: row.last,
    "best": lambda row: row.best,
    "best_eval": lambda row: row.best_eval,
    "duration": lambda row: row.duration,
    "model": lambda row: natural(row.model) or None,
    "stage": lambda row: row.stage or None,
    "method": lambda row: row.method or None,
    "kind": lambda row: row.kind,
}
MOVING = ("state", "progress", "last", "best", "best_eval", "duration")  # values that change while a run goes on
LARGEST_FIRST = ("when", "progress", "duration")  # the others begin with the smallest
DEFAULT_SORT = "when"


def arrange(rows: Sequence[TableRow], by: str, down: bool) -> list[TableRow]:
    """The rows in order. Those without such a value, or with one that is no number, come last either way; but jobs
    that wait come first in the order by time, as in the queue."""
    values = list(map(SORTS[by], rows))
    places = [place for place, value in enumerate(values) if value is not None and value == value]
    without = [row for row, value in zip(rows, values, strict=True) if value is None or value != value]
    first = [row for row in without if by == DEFAULT_SORT and row.state in WAITING]
    last = [row for row in without if by != DEFAULT_SORT or row.state not in WAITING]
    places.sort(key=values.__getitem__, reverse=down)
    return [*first, *(rows[place] for place in places), *last]


# -- CSV ------------------------------------------------------------------------------------------------

CSV: Mapping[str, Callable[[TableRow], object]] = {
    "name": lambda row: row.name,
    "state": lambda row: row.state,
    "kind": lambda row: row.kind,
    "model": lambda row: row.model,
    "stage": lambda row: row.stage,
    "method": lambda row: row.method,
    "step": lambda row: row.step,
    "total_steps": lambda row: row.total,
    "last_loss": lambda row: row.last,
    "best_loss": lambda row: row.best,
    "best_loss_step": lambda row: row.best_step,
    "best_eval_loss": lambda row: row.best_eval,
    "best_eval_loss_step": lambda row: row.best_eval_step,
    "seconds": lambda row: None if row.duration is None else round(row.duration, 1),
    "when": lambda row: None if row.when is None else datetime.fromtimestamp(row.when, UTC).isoformat("T", "seconds"),
    "tags": lambda row: ", ".join(row.tags),
    "note": lambda row: row.note,
    "folder": lambda row: row.folder,
    "error": lambda row: row.error,
    "id": lambda row: row.run_id,
    "marks": lambda row: ", ".join(row.badges),
}


def to_csv(
    rows: Sequence[TableRow], redact: Callable[[str], str] = str, state_word: Callable[[RunState], str] = str
) -> str:
    """The rows as CSV with a head of stable names; no cell is one that a spreadsheet would run as a formula.

    redact: takes secrets out of a text. state_word: what a state is called.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(CSV)
    for row in rows:
        values = (read(row) for read in CSV.values())
        cells = (state_word(value) if isinstance(value, RunState) else value for value in values)
        writer.writerow([harmless(redact(cell)) if isinstance(cell, str) else number(cell) for cell in cells])
    return text.getvalue()


def number(value: object) -> object:
    """A number as it is, nothing for none, and a word for what is no number."""
    return "NaN" if isinstance(value, float) and not math.isfinite(value) else value
