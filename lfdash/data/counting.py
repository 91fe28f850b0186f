"""Looks through large files while the page goes on: each once for each question, until it changes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from lfdash.data.files import Mark

KEPT = 256  # answers that are remembered

Key = TypeVar("Key", bound=Hashable)
Answer = TypeVar("Answer")


@dataclass
class Counting(Generic[Answer]):
    """One answer, as far as it is. mark: of the file that is looked through. found: None while it is not done.
    share: how much of it was read, 0 to 1. wanted: false when nobody needs it any more."""

    mark: Mark
    found: Answer | None = None
    share: float = 0.0
    wanted: bool = True

    def told(self, taken: int, size: int) -> bool:
        """Takes how far the count is; whether it shall go on."""
        self.share = taken / size if size else 1.0
        return self.wanted


class Counter(Generic[Key, Answer]):
    """Looks in a thread of its own, which ends when nothing is left to do. What was asked for last is next. count: what
    looks through a file, None when it was told to stop; unknown: the answer when that fails."""

    def __init__(
        self, count: Callable[[Key, Callable[[int, int], bool]], Answer | None], unknown: Callable[[], Answer]
    ) -> None:
        self._count = count
        self._unknown = unknown
        self._lock = threading.Lock()
        self._known: OrderedDict[Key, Counting[Answer]] = OrderedDict()
        self._waiting: list[tuple[Key, Counting[Answer]]] = []
        self._thread: threading.Thread | None = None

    def ask(self, key: Key, mark: Mark, at_once: bool = False) -> Counting[Answer]:
        """What is known of a file; begins to look when nothing is, or when the file is another one.

        at_once: the look is quick, and the answer comes with it.
        """
        asked = self._known_of(key, mark)
        if asked is not None:
            return asked
        asked = Counting(mark)
        if at_once:
            self._answer(key, asked)
        with self._lock:
            self._known[key] = asked
            self._known.move_to_end(key)
            if len(self._known) > KEPT:
                self._known.popitem(last=False)[1].wanted = False
            if asked.found is None:
                self._waiting.append((key, asked))
                self._start()
        return asked

    def _known_of(self, key: Key, mark: Mark) -> Counting[Answer] | None:
        """The answer for a file that did not change; a look at what it was is given up."""
        with self._lock:
            known = self._known.get(key)
            if known is not None and known.mark != mark:
                known.wanted = False
                return None
            return known

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._work, name="lfdash-rows", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while (item := self._next()) is not None:
            self._answer(*item)

    def _answer(self, key: Key, asked: Counting[Answer]) -> None:
        found: Answer | None = None
        try:
            found = self._count(key, asked.told)
        finally:  # whatever happens, nobody waits for ever: not known is an answer
            asked.found = self._unknown() if found is None else found

    def _next(self) -> tuple[Key, Counting[Answer]] | None:
        with self._lock:
            self._waiting = [item for item in self._waiting if item[1].wanted]
            if self._waiting:
                return self._waiting.pop()
            self._thread = None
            return None

    def settle(self, timeout: float) -> bool:
        """Waits until nothing is left to do, at most so many seconds; whether that is so. For tests and programs
        that do not draw."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout)
        return thread is None or not thread.is_alive()
