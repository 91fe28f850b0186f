"""Work that takes a while and that somebody may call off: one piece at a time, the answers kept by what was asked."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

KEPT = 32
LOOK_S = 0.25  # between two looks at whether it is still wanted, while it waits for its turn

Answer = TypeVar("Answer")


@dataclass
class Work(Generic[Answer]):
    """A piece of work. begun: monotonic seconds; found: the answer, None while there is none; seconds: it took."""

    begun: float
    stop: threading.Event = field(default_factory=threading.Event)
    found: Answer | None = None
    seconds: float = 0.0

    @property
    def age(self) -> float:
        """Seconds since it was asked for."""
        return time.monotonic() - self.begun


class Background(Generic[Answer]):
    """For any thread. A thread of its own does each piece, and ends with it."""

    def __init__(self) -> None:
        self._held: OrderedDict[Hashable, Work[Answer]] = OrderedDict()
        self._lock, self._turn = threading.Lock(), threading.Lock()

    def of(self, key: Hashable) -> Work[Answer] | None:
        """What was asked for, going on or done; None where nobody has, or it was called off."""
        with self._lock:
            return self._held.get(key)

    def start(self, key: Hashable, do: Callable[[threading.Event], Answer]) -> Work[Answer]:
        """Begins, where it does not go on already. do: is handed what is set once it is called off, and then ends."""
        with self._lock:
            held = self._held.get(key)
            if held is not None and held.found is None:
                return held
            work = self._held[key] = Work[Answer](time.monotonic())
            done = [name for name, one in self._held.items() if one.found is not None]
            for name in done[: max(0, len(self._held) - KEPT)]:
                del self._held[name]
        threading.Thread(target=self._work, args=(work, do), name="lfdash-background", daemon=True).start()
        return work

    def cancel(self, key: Hashable) -> None:
        """Calls it off, and forgets it."""
        with self._lock:
            work = self._held.pop(key, None)
        if work is not None:
            work.stop.set()

    def close(self) -> None:
        """Calls everything off."""
        with self._lock:
            held = list(self._held)
        for key in held:
            self.cancel(key)

    def _work(self, work: Work[Answer], do: Callable[[threading.Event], Answer]) -> None:
        while not self._turn.acquire(timeout=LOOK_S):
            if work.stop.is_set():
                return
        try:
            if not work.stop.is_set():
                work.found = do(work.stop)
                work.seconds = work.age
        finally:
            self._turn.release()
