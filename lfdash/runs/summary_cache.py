"""The summaries of all runs of a workspace: made a little at a time, and kept on disk.

A log is read once, at most MEGABYTE at a time and for a part of each look only, so that the first look at a
workspace with a thousand runs delays nothing. What was made is in .lfdash/summaries.json, by the log's size and
time of change: after a restart nothing is read again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import msgspec

from lfdash.files import look_mark, read_json_file, real_number, write_text_atomic
from lfdash.runs import metadata as about
from lfdash.runs.arguments import Value
from lfdash.runs.details import NO_DETAILS, Packed, RunDetails, read_details, unpack, unpacked, with_flags
from lfdash.runs.kept import no_collection
from lfdash.runs.metadata import NOT_KNOWN, RunMetadata
from lfdash.runs.metrics.whole import Whole
from lfdash.runs.newest_first import places_changed, when
from lfdash.runs.paths import LOG
from lfdash.runs.record import TERMINAL, RunState
from lfdash.runs.summary import NOTHING, LogDigest, Summary
from lfdash.runs.view import RunView

VERSION = 7
LARGEST_FILE = 64 << 20  # bytes; 10,000 runs take some 7 MB
MEGABYTE = 1 << 20  # bytes of a log read at once
BUDGET_S = 0.05  # of each look, spent on logs that were not read yet
SAVE_EVERY_S = 15.0

ALIVE = frozenset(RunState) - TERMINAL - {RunState.QUEUED, RunState.HELD}

SummaryMark = tuple[int, int, int]  # a log's size and time of change (ns), its folder's time of change; 0 = missing


@dataclass(frozen=True)
class Known:
    """What is known of a run besides its view."""

    about: RunMetadata = NOT_KNOWN
    summary: Summary = NOTHING
    details: RunDetails = NO_DETAILS

    @property
    def eval_at_end(self) -> float | None:
        """The evaluation loss among its results: of a run that is evaluated after its training only, its log has
        none."""
        return real_number(self.details.scores.get("eval_loss"))


UNKNOWN = Known()


@dataclass
class CachedSummary:
    """What was made of a log, and what the log looked like then. view: the last one that was looked at."""

    mark: SummaryMark
    known: Known
    view: RunView | None = None


class SummaryCache:
    """Summaries by output folder. One thread calls `step` and `save`; any may call `get`.

    is_here: whether the workspace is still where it was; else nothing is kept.
    """

    def __init__(self, file: Path, is_here: Callable[[], bool] = lambda: True) -> None:
        self._file = file
        self._is_here = is_here
        self._entries: dict[str, CachedSummary] = {}
        self._open: dict[str, LogDigest] = {}  # logs that grow, or were not read to their end yet
        self._views: Sequence[RunView] = ()  # of the last step
        self._waiting: dict[str, RunView] = {}  # whose log is to be looked at
        self._changes: dict[str, int] = {}  # folder -> the number of its last change, the newest last
        self._number = 0
        self._lock = threading.Lock()  # of the changes
        self._dirty = False
        self._saved = time.monotonic()

    def get(self, view: RunView) -> Known:
        """What is known of a run; little as long as its log was not read."""
        entry = self._entries.get(view.output_dir)
        if entry is not None:
            return entry.known
        return UNKNOWN if view.record is None else Known(about.of_record(view.record))

    def step(self, views: Sequence[RunView], budget: float = BUDGET_S) -> bool:
        """Goes on reading for about `budget` seconds (one piece at least), newest runs first; whether all is read."""
        end = time.monotonic() + budget
        self._take(views)
        finished = True
        for place, view in enumerate(sorted(self._waiting.values(), key=when, reverse=True)):
            if place and time.monotonic() > end:
                finished = False
                break
            try:
                finished &= self._look(view, end)
            except OSError:  # nothing is known of it then, and it waits for the next look
                continue
            if view.output_dir not in self._open and not self._is_unsure(view.output_dir):
                del self._waiting[view.output_dir]
        if self._dirty and time.monotonic() - self._saved > SAVE_EVERY_S:
            self.save()
        return finished

    def _take(self, views: Sequence[RunView]) -> None:
        """Notes whose log is to be looked at, by what changed since the last time."""
        if views is self._views:
            return
        places = places_changed(self._views, views)
        if places is None:
            before = self._waiting
            self._waiting = {
                view.output_dir: view for view in views if view.output_dir in before or not self._is_current(view)
            }
            self._forget(views)
        else:
            self._waiting.update((views[place].output_dir, views[place]) for place in places)
        self._views = views

    def look_again(self, folder: Path) -> None:
        """A file of this run has changed that its view does not tell of; for the thread that calls `step`."""
        self._waiting.update((view.output_dir, view) for view in self._views if view.path == folder)

    def changed_since(self, number: int) -> tuple[int, list[str] | None]:
        """The number of the last change, and the folders of whose runs more is known since change `number`; None: of
        any."""
        with self._lock:
            if number < 0:
                return self._number, None
            newest_first = reversed(self._changes.items())
            return self._number, [key for key, _ in takewhile(lambda change: change[1] > number, newest_first)]

    def _is_current(self, view: RunView) -> bool:
        entry = self._entries.get(view.output_dir)
        return entry is not None and entry.view is view and view.output_dir not in self._open

    def _is_unsure(self, key: str) -> bool:
        """Whether a file of the run could not be read, which the next look tries again."""
        return key in self._entries and self._entries[key].known.details.unsure

    def _look(self, view: RunView, end: float) -> bool:
        """Brings one entry up to date; whether its log was read to the end. OSError when a file could not be read."""
        key, seen = view.output_dir, mark_of(view)
        held = self._entries.get(key)
        kind = self._about(view, held, seen)
        if held is not None and held.mark[:2] == seen[:2] and key not in self._open and view.state not in ALIVE:
            details = held.known.details if held.mark == seen and view.waiting is None else read_details(view)
            if held.view is not None:  # what was noticed as it ended may have been written since
                details = with_flags(details, view)
            self._put(key, CachedSummary(seen, Known(kind, held.known.summary, details), view))
            return True
        digest = self._open.setdefault(key, LogDigest(view.paths))
        done = digest.read(MEGABYTE)
        while not done and time.monotonic() < end:
            done = digest.read(MEGABYTE)
        if not done:
            return False
        self._put(key, CachedSummary(seen, Known(kind, digest.summary, self._details(view, held, seen)), view))
        if view.state not in ALIVE:
            del self._open[key]
        return True

    def _about(self, view: RunView, held: CachedSummary | None, seen: SummaryMark) -> RunMetadata:
        """A plain run's folder is asked again when it changed and is over: then it tells more."""
        if view.record is not None:
            return about.of_record(view.record)
        if held is not None and (held.mark[2] == seen[2] or (view.state in ALIVE and held.view is not None)):
            return held.known.about
        return about.of_plain(view.paths)

    def _details(self, view: RunView, held: CachedSummary | None, seen: SummaryMark) -> RunDetails:
        """Read again when its folder changed, or the run ended; what was noticed about it grows in a file."""
        over = view.state not in ALIVE
        if held is None or held.view is None or held.mark[2] != seen[2] or over == (held.view.state in ALIVE):
            return read_details(view)
        return with_flags(held.known.details, view)

    def _put(self, key: str, entry: CachedSummary) -> None:
        held = self._entries.get(key)
        if held is not None and held.known == entry.known:
            entry.known = held.known  # the same object: whoever compares by identity sees that nothing changed
        if held is None or held.known is not entry.known or held.mark != entry.mark:
            self._dirty |= entry.view is not None and entry.view.state not in ALIVE  # a live log is read anew anyway
        self._entries[key] = entry
        if held is None or held.known is not entry.known:
            with self._lock:
                self._number += 1
                self._changes.pop(key, None)
                self._changes[key] = self._number

    def _forget(self, views: Sequence[RunView]) -> None:
        """Drops what belongs to no run any more."""
        there = {view.output_dir for view in views}
        for key in self._entries.keys() - there:
            del self._entries[key]
        for key in self._open.keys() - there:
            del self._open[key]
        with self._lock:
            self._changes = {key: number for key, number in self._changes.items() if key in there}

    def load(self) -> None:
        """Takes what an earlier process kept; whatever of it cannot be read is made again."""
        try:
            with no_collection():
                data = read_json_file(self._file, limit=LARGEST_FILE)
                kept = data if isinstance(data, dict) and data["version"] == VERSION else {"runs": {}, "arguments": []}
                self._entries = dict(entries(kept["runs"].items(), unpacked(kept["arguments"])))
        except (KeyError, AttributeError, TypeError, ValueError):
            self._entries = {}
        with self._lock:
            self._number += 1
            self._changes = dict.fromkeys(self._entries, self._number)

    def save(self) -> None:
        """Keeps what was made. A disk that does not let it costs the next start some reading, nothing else."""
        packed = Packed()
        rows = {key: to_row(entry, packed) for key, entry in self._entries.items()
                if key not in self._open and not self._is_unsure(key)}
        content = {"version": VERSION, "arguments": packed.pairs, "runs": rows}
        with suppress(OSError):
            if self._is_here():
                self._file.parent.mkdir(exist_ok=True)
                write_text_atomic(self._file, msgspec.json.encode(content).decode())
        self._dirty, self._saved = False, time.monotonic()

    def close(self) -> None:
        """Keeps what was made since the last time."""
        if self._dirty:
            self.save()


def mark_of(view: RunView) -> SummaryMark:
    """What a run's log and folder look like now. OSError when that cannot be seen."""
    log, folder = look_mark(view.paths.named(LOG)), look_mark(view.path)
    return (log[1] if log else 0, log[0] if log else 0, folder[0] if folder else 0)


def to_row(entry: CachedSummary, packed: Packed) -> dict[str, Any]:
    """An entry as JSON, which has no word for what is no number: such a one is kept as text. packed: takes its
    arguments."""
    about, found = entry.known.about, entry.known.summary
    losses = [str(loss) if loss is not None and loss - loss != 0 else loss for loss in (found.last, found.last_eval)]
    return {
        "mark": entry.mark,
        "about": (about.kind, about.model, about.stage, about.method),
        "summary": (found.best, found.best_step, found.best_eval, found.best_eval_step, losses[0], found.spark,
                    losses[1], found.dead_step, astuple(found.whole)),
        "details": packed.pack(entry.known.details),
    }


def entries(
    rows: Iterable[tuple[str, Mapping[str, Any]]], pairs: Sequence[tuple[str, Value]] = ()
) -> Iterable[tuple[str, CachedSummary]]:
    """The entries that JSON rows tell; odd ones are left out. pairs: the arguments that they name."""
    for key, row in rows:
        try:
            size, changed, folder = map(int, row["mark"])
            best, best_step, best_eval, best_eval_step, last, spark, last_eval, dead, whole = row["summary"]
            steps = [None if step is None else int(step) for step in (best_step, best_eval_step, dead)]
            losses = (real(best), steps[0], real(best_eval), steps[1], real(last))
            ends = (tuple(map(float, spark)), real(last_eval), steps[2], Whole(*map(real, whole)))
            summary = Summary(*losses, *ends)
            kind = RunMetadata(*map(str, row["about"]))
            details = unpack(row["details"], pairs)
            yield key, CachedSummary((size, changed, folder), Known(kind, summary, details))
        except (ValueError, KeyError, TypeError, OverflowError, IndexError, AttributeError):
            continue


def real(value: Any) -> float | None:
    """A number, or None; anything else raises TypeError or ValueError."""
    return None if value is None else float(value)
