"""The log of one run, for all who look at it: pages of rows from any place, what is new since a place, and searches.
Never read whole; what is asked for takes no longer than it may.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lfdash.files import is_absent, open_descriptor
from lfdash.runs.log_reader import is_same
from lfdash.runs.output.heads import Heads
from lfdash.runs.output.index import Index
from lfdash.runs.output.levels import Levels
from lfdash.runs.output.lines import FAR, line_start, read_lines, segment_start
from lfdash.runs.output.rows import (
    Folded,
    Row,
    Shown,
    first_rows,
    folded,
    is_repetition,
    last_rows,
    rows_of,
)
from lfdash.runs.output.search import Search, whole_end
from lfdash.runs.output.shown import Redact

PAGE_S = 0.15  # seconds that one answer may take
NEWS = 1 << 20  # bytes; who is further behind begins anew at the end
EDGE = 256  # first and last bytes remembered
SEARCHES = 4  # remembered


@dataclass(frozen=True)
class Page:
    """Rows that follow each other: all lines that begin from byte `begin` to before `end`, but for those that were not
    wanted. rest: whether there may be more in the direction that was asked for."""

    rows: tuple[Shown, ...]
    begin: int
    end: int
    rest: bool = False


@dataclass(frozen=True)
class News:
    """What a log gained. place, levels: where to go on: a line without an end is given again."""

    rows: tuple[Shown, ...]
    place: int
    levels: Levels


class RunLog:
    """A console log. All methods may be called by any thread; OSError when the file cannot be read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.generation = 0  # grows when the file was cut or replaced: places in it are void then
        self.size = 0
        self.failure = ""  # why it could not be looked at the last time
        self.index = Index()
        self.asked = 0.0  # when somebody looked at it last (time.monotonic)
        self._lock = threading.Lock()
        self._mark: tuple[int, int, int] | None = None
        self._head = self._tail = b""
        self._heads = Heads()
        self._searches: OrderedDict[tuple[str, int], Search] = OrderedDict()

    @contextmanager
    def opened(self) -> Iterator[int]:
        """A descriptor of the file."""
        descriptor, _ = open_descriptor(self.path)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def poll(self) -> bool:
        """Looks whether the file changed; reads its first bytes and the last known ones at most. A missing file is an
        empty one; of one that cannot be looked at nothing new is known."""
        self.asked = time.monotonic()
        try:
            about = os.stat(self.path, follow_symlinks=False)
        except OSError as error:
            if not is_absent(error):
                self.failure = error.strerror or type(error).__name__
                return False
            about = None
        mark = (about.st_ino, about.st_size, about.st_mtime_ns) if about else None
        with self._lock:
            if mark == self._mark and not self.failure:
                return False
            return self._look(mark)

    def _look(self, mark: tuple[int, int, int] | None) -> bool:
        try:
            with self.opened() as descriptor:
                size = os.fstat(descriptor).st_size
                head, known = (os.pread(descriptor, EDGE, place) for place in (0, max(0, self.size - EDGE)))
                tail = os.pread(descriptor, EDGE, max(0, size - EDGE))
        except OSError as error:
            if not is_absent(error):
                self.failure = error.strerror or type(error).__name__
                return False
            mark, size, head, known, tail = None, 0, b"", b"", b""
        self.failure = ""
        moved = self._mark is not None and (mark is None or mark[0] != self._mark[0])
        begins_same = is_same(self._head, head[: len(self._head)]) and is_same(self._tail, known[: len(self._tail)])
        if moved or size < self.size or not begins_same:
            self.generation += 1
            self.index = Index(Index.grid_of(size))
            self._heads = Heads()
            self._searches.clear()
        elif not self.index.place and size > self.index.grid:
            self.index = Index(Index.grid_of(size))
        changed = mark != self._mark
        self._mark, self.size, self._head, self._tail = mark, size, head, tail
        return changed

    def work(self, budget_s: float) -> bool:
        """Reads on: for searches that somebody waits for, then for tracebacks, then for the index; whether there is
        more to do."""
        try:
            with self._lock, self.opened() as descriptor:
                waiting = [one for one in self._searches.values() if one.wanted and not one.done(self.size)]
                for search in waiting:
                    search.advance(descriptor, self.size, budget_s / len(waiting))
                if any(not one.done(self.size) for one in waiting) or self._heads.read(
                    descriptor, self.size, budget_s
                ):
                    return True
                return self.index.read(descriptor, self.size, budget_s)
        except OSError:
            return False

    @property
    def indexed(self) -> float:
        """The share of the file that the index knows, 0 to 1."""
        return 1.0 if self.index.seen == self.size else self.index.place / self.size

    def catch_up(self, budget_s: float) -> None:
        """Reads on for the index where little is missing."""
        if self.index.seen != self.size and self._lock.acquire(blocking=False):
            try:
                with self.opened() as descriptor:
                    self._heads.read(descriptor, self.size, budget_s)
                    self.index.read(descriptor, self.size, budget_s)
            except OSError:
                pass  # the next look says so
            finally:
                self._lock.release()

    # -- pages ------------------------------------------------------------------------------------------

    def _stretch(self, descriptor: int, number: int, least: int) -> list[Row]:
        """The lines that begin in a stretch of the index."""
        grid, size = self.index.grid, self.size
        begin = line_start(descriptor, number * grid, grid)
        if begin is None or begin >= (number + 1) * grid:
            return []
        return rows_of(read_lines(descriptor, begin, (number + 1) * grid, size), self.index.before(number), least)

    def _edge(self, descriptor: int, number: int) -> int:
        """Where the first line begins in a stretch or behind it, as far as that is looked for."""
        place = number * self.index.grid
        found = line_start(descriptor, place, FAR) if place < self.size else None
        return min(self.size, place + FAR) if found is None else found

    def _is_skipped(self, number: int, least: int) -> bool:
        """Whether nothing of a stretch is wanted, as the index knows."""
        if not least or not self.index.knows(number):
            return False
        about = self.index[number]
        return not (about.errors if least > 1 else about.errors + about.warnings)

    def _repetition(self, descriptor: int, number: int) -> Folded | None:
        """A stretch of which the index knows that it is progress and metrics only."""
        if not self.index.knows(number) or not self.index[number].repeats:
            return None
        about = self.index[number]
        begin, end = self._edge(descriptor, number), self._edge(descriptor, number + 1)
        return Folded(begin, end, about.progress, about.metrics)

    def before(self, place: int, most: int, least: int = 0, budget_s: float = PAGE_S) -> Page:
        """The last rows that begin before byte `place`, some `most` of them. least: level of those that are wanted."""
        end = time.monotonic() + budget_s
        rows: list[Shown] = []
        with self.opened() as descriptor:
            number = (min(place, self.size) - 1) // self.index.grid
            while number >= 0 and len(rows) < most:
                inside = (number + 1) * self.index.grid <= place and rows and not least and is_repetition(rows[0])
                whole = self._repetition(descriptor, number) if inside else None
                if whole:
                    rows = folded([whole, *rows])
                elif not self._is_skipped(number, least):
                    new = [row for row in self._stretch(descriptor, number, least) if row.start < place]
                    rows = [*new, *rows] if least else folded([*new, *rows])
                    if not new:  # the middle of a long line, it may be
                        home = segment_start(descriptor, min(place, number * self.index.grid))
                        number = min(number, home // self.index.grid + 1)
                number -= 1
                if time.monotonic() > end:
                    break
            begin = self._edge(descriptor, number + 1) if number >= 0 else 0
            begin = begin if begin < place else (number + 1) * self.index.grid
        if len(rows) > most:
            rows = last_rows(rows, most)
            begin = rows[0].start
        return Page(tuple(rows), begin, place, begin > 0)

    def after(self, place: int, most: int, least: int = 0, budget_s: float = PAGE_S) -> Page:
        """The first rows that begin at byte `place` or behind it."""
        end = time.monotonic() + budget_s
        rows: list[Shown] = []
        with self.opened() as descriptor:
            number = segment_start(descriptor, place) // self.index.grid
            while number * self.index.grid < self.size and len(rows) < most:
                inside = number * self.index.grid >= place and rows and not least and is_repetition(rows[-1])
                whole = self._repetition(descriptor, number) if inside else None
                if whole:
                    rows = folded([*rows, whole])
                elif not self._is_skipped(number, least):
                    new = [row for row in self._stretch(descriptor, number, least) if row.start >= place]
                    rows = [*rows, *new] if least else folded([*rows, *new])
                number += 1
                if time.monotonic() > end:
                    break
            reached = max(self._edge(descriptor, number), min(place + 1, self.size))
        if len(rows) > most:
            cut = first_rows(rows, most)
            reached = rows[len(cut)].start if len(cut) < len(rows) else reached
            rows = cut
        return Page(tuple(rows), place, reached, reached < self.size)

    def between(self, begin: int, end: int, most: int) -> Page:
        """The last lines, at most `most`, that begin from byte `begin` to before `end`; what is before them folded."""
        rows: list[Row] = []
        with self.opened() as descriptor:
            first = segment_start(descriptor, begin) // self.index.grid
            number = (end - 1) // self.index.grid
            while number >= first and len(rows) <= most:
                rows = [row for row in self._stretch(descriptor, number, 0) if begin <= row.start < end] + rows
                number -= 1
            reached = max(begin, min(end, self._edge(descriptor, number + 1)))
        first = rows[-most].start if len(rows) > most else begin if number < first else reached
        return Page(tuple(rows[-most:]), first, end, first > begin)

    def news(self, place: int, levels: Levels, least: int = 0) -> News | None:
        """What begins at byte `place` (where a line does) or behind it; None when that is too much."""
        size = self.size
        if size - place > NEWS:
            return None
        levels = levels.copied()
        with self.opened() as descriptor:
            lines = list(read_lines(descriptor, place, size, size))
            last = lines[-1] if lines else None
            open_from = size
            if last is not None and last.end >= size and os.pread(descriptor, 1, size - 1) != b"\n":
                open_from = segment_start(descriptor, last.start) if last.start > place else place
        whole = [line for line in lines if line.start < open_from]
        rows: list[Shown] = [*rows_of(whole, levels, least)]
        rows = [*(rows if least else folded(rows)), *rows_of(lines[len(whole) :], levels.copied(), least)]
        return News(tuple(rows), open_from, levels)

    def end(self) -> tuple[int, Levels]:
        """Where the last line begins that has no end yet (the file's end without one), and how it is to be judged."""
        if not self.size:
            return 0, Levels()
        with self.opened() as descriptor:
            place = whole_end(descriptor, self.size)
        return place, self.index.levels.copied() if self.index.place == place else Levels()

    # -- places -----------------------------------------------------------------------------------------

    def first_traceback(self, start: int = 0) -> int | None:
        """Where the first traceback at byte `start` or behind it begins, as far as that is known."""
        return self._heads.first(start)

    def search(self, query: str, redact: Redact, least: int = 0) -> Search:
        """The search for a text, the same one for all who ask for it."""
        key = (query.lower(), least)
        with self._lock:
            search = self._searches.get(key)
            if search is None:
                search = self._searches[key] = Search(self, key[0], redact, least)
                while len(self._searches) > SEARCHES:
                    self._searches.popitem(last=False)
            self._searches.move_to_end(key)
        search.wanted_at = time.monotonic()
        return search
