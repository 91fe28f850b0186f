"""What goes on in a thread of its own, and is waited for by whoever needs it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Later(Generic[T]):
    """Does something in a thread, at once. settle: makes the outcome of what came of it, once, in the thread of whoever
    asks for it first."""

    def __init__(self, act: Callable[[], T], settle: Callable[[T], T]) -> None:
        self._act = act
        self._settle: Callable[[T], T] | None = settle
        self._found: T | None = None
        self._failure: BaseException | None = None
        self._over = threading.Event()
        self._lock = threading.Lock()
        threading.Thread(target=self._run, name="lfdash-later", daemon=True).start()

    def _run(self) -> None:
        try:
            self._found = self._act()
        except BaseException as error:  # noqa: BLE001 it is raised where the outcome is asked for
            self._failure = error
        self._over.set()

    def wait(self, seconds: float | None = None) -> bool:
        """Whether it is over, after so many seconds at most."""
        return self._over.wait(seconds)

    def outcome(self) -> T:
        """What came of it, once it is over; raises what it raised."""
        self._over.wait()
        if self._failure is not None:
            raise self._failure
        with self._lock:
            if self._settle is not None:
                self._found, self._settle = self._settle(self._found), None  # type: ignore[arg-type]
        return self._found  # type: ignore[return-value]
