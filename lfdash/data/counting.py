"""Counts the rows of large files while the page goes on: each file once, until it changes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lfdash.data.preview import Counted, count_rows

KEPT = 256  # files whose counts are remembered

Mark = tuple[int, int, int]  # time of change (ns), size, inode


@dataclass
class Counting:
    """One file's count, as far as it is. mark: of the file that is counted. found: None while it is not done.
    share: how much of it was read, 0 to 1. wanted: false when nobody needs it any more."""

    mark: Mark
    found: Counted | None = None
    share: float = 0.0
    wanted: bool = True

    def told(self, taken: int, size: int) -> bool:
        """Takes how far the count is; whether it shall go on."""
        self.share = taken / size if size else 1.0
        return self.wanted


class Counter:
    """Counts in a thread of its own, which ends when nothing is left to count. The file that was asked for last is
    next. count: what looks through a file."""

    def __init__(self, count: Callable[[Path, Callable[[int, int], bool]], Counted | None] = count_rows) -> None:
        self._count = count
        self._lock = threading.Lock()
        self._known: OrderedDict[Path, Counting] = OrderedDict()
        self._waiting: list[tuple[Path, Counting]] = []
        self._thread: threading.Thread | None = None

    def ask(self, path: Path, mark: Mark) -> Counting:
        """What is known of a file's rows; begins to count them when they are not, or when the file is another one."""
        with self._lock:
            known = self._known.get(path)
            if known is not None and known.mark == mark:
                return known
            if known is not None:
                known.wanted = False
            asked = Counting(mark)
            self._known[path] = asked
            self._known.move_to_end(path)
            self._waiting.append((path, asked))
            if len(self._known) > KEPT:
                self._known.popitem(last=False)[1].wanted = False
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="lfdash-rows", daemon=True)
                self._thread.start()
            return asked

    def _work(self) -> None:
        while (item := self._next()) is not None:
            path, asked = item
            found: Counted | None = None
            try:
                found = self._count(path, asked.told)
            finally:  # whatever happens, nobody waits for ever: not known is an answer
                asked.found = found or Counted()

    def _next(self) -> tuple[Path, Counting] | None:
        with self._lock:
            self._waiting = [item for item in self._waiting if item[1].wanted]
            if self._waiting:
                return self._waiting.pop()
            self._thread = None
            return None

    def settle(self, timeout: float) -> bool:
        """Waits until nothing is left to count, at most so many seconds; whether that is so. For tests and programs
        that do not draw."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout)
        return thread is None or not thread.is_alive()
