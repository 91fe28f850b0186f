"""Answers about many things, each found once, in the background: for what is asked again and again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping
from typing import Generic, TypeVar

PATIENCE_S = 0.1  # for a new answer, once; some runs take no longer

Answer = TypeVar("Answer")
Wanted = Callable[[], Mapping[Hashable, Callable[[], Answer | None]]]  # thing -> finds its answer


class EachOnce(Generic[Answer]):
    """For any thread. A thread of its own finds what is new, and ends with it."""

    def __init__(self) -> None:
        self._found: dict[Hashable, Answer | None] = {}
        self._of: object = None
        self._finding = threading.Lock()

    def answers(self) -> list[Answer]:
        """What was found so far."""
        return [answer for answer in list(self._found.values()) if answer is not None]

    def want(self, of: object, wanted: Wanted[Answer]) -> None:
        """Has what is new found, where something is; little is found before it returns. Arguments as `find`."""
        if of is not self._of and not self._finding.locked():
            finding = threading.Thread(target=self.find, args=(of, wanted), name="lfdash-each-once", daemon=True)
            finding.start()
            finding.join(PATIENCE_S)

    def find(self, of: object, wanted: Wanted[Answer]) -> None:
        """Finds what is new, and forgets what is not wanted any more. of: what `wanted` was made of: the same object,
        the same answers."""
        with self._finding:
            if of is self._of:
                return
            things = wanted()
            for gone in self._found.keys() - things.keys():
                del self._found[gone]
            for thing, find in things.items():
                if thing not in self._found:
                    self._found[thing] = find()
            self._of = of
