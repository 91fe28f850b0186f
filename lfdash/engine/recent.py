"""The last answers to what is asked again and again, each for a while."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

FRESH_S = 30.0
KEPT = 64

Answer = TypeVar("Answer")


class Recent(Generic[Answer]):
    """Answers by what was asked, at most FRESH_S old. For any thread: what two ask at once is answered twice."""

    def __init__(self) -> None:
        self._held: OrderedDict[Hashable, tuple[float, Answer]] = OrderedDict()

    def get(self, key: Hashable) -> Answer | None:
        """A fresh answer, if there is one."""
        held = self._held.get(key)
        return held[1] if held is not None and time.monotonic() - held[0] <= FRESH_S else None

    def put(self, key: Hashable, answer: Answer) -> None:
        """Keeps an answer; the oldest goes where there are too many."""
        self._held[key] = (time.monotonic(), answer)
        while len(self._held) > KEPT:
            self._held.popitem(last=False)

    def clear(self) -> None:
        """Forgets all: something else decides the answers now."""
        self._held.clear()
