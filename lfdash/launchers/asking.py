"""Asks a scheduler how the jobs are. A thread of its own does, for all runs at once, and only while somebody wants to
know; whoever looks never waits for a scheduler that does not answer."""

from __future__ import annotations

import atexit
import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar
from weakref import WeakSet

EVERY_S = 3.0  # between two questions at least
SOON_S = 1.0  # the same, once after something was started or stopped
SHARE = 10.0  # times as long as an answer took: a scheduler that is slow is asked less often
MOST_S = 60.0  # between two questions at most
FIRST_S = 2.0  # for the first answer is waited, once
ASK_S = 20.0  # after which a question is given up
FINISH_S = 10.0  # for what is still wanted when a process ends
FINISH_PAUSE_S = 0.3  # between two questions of that time
STALE_S = MOST_S + 2 * ASK_S  # from which age on an answer is none: the next one was due, and is not there


class CallError(OSError):
    """A scheduler that refused, was not there or did not answer. silent: it may have done what it was asked for."""

    def __init__(self, reason: str, *, silent: bool = False) -> None:
        super().__init__(reason)
        self.silent = silent


class Dated(Protocol):
    """What a scheduler said. began: when it was asked, by the monotonic clock."""

    @property
    def began(self) -> float:
        ...


logger = logging.getLogger(__name__)

S = TypeVar("S", bound=Dated)
ALL: WeakSet[Asking[Any]] = WeakSet()  # of this process


class Asking(ABC, Generic[S]):
    """Asks one cluster. name: of the thread. failure: why the last question had no answer; "" when it had one. asked:
    how often it was."""

    name = "asking"

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.failure = ""
        self.asked = 0
        self._clock = clock
        self._seen: S | None = None
        self._answered = threading.Event()  # or failed: nobody waits any more
        self._lock = threading.Lock()
        self._busy = False
        self._again = False  # somebody wanted an answer of a later moment than the one that is being given
        self._began = float("-inf")
        self._due = 0.0
        self._pause = EVERY_S
        ALL.add(self)

    @abstractmethod
    def _ask(self) -> S:
        """Does what is wanted of the jobs, and asks how they are, within ASK_S. CallError."""

    def look(self) -> S | None:
        """The last answer; None when there is none, or only an old one (`failure` says why). Waits for the very first
        one, at most FIRST_S and only once."""
        self._start()
        if not self._answered.is_set():
            self._answered.wait(FIRST_S)
            self._answered.set()
        seen = self._seen
        return seen if seen is not None and self._clock() - seen.began < STALE_S else None

    def hurry(self) -> None:
        """Has the next question asked soon; not while there are no answers."""
        with self._lock:
            if not self.failure:
                self._due, self._again = min(self._due, self._began + SOON_S), self._busy
        self._start()

    def wants(self) -> bool:
        """Whether something is still to be done of the jobs."""
        return False

    def finish(self) -> None:
        """Does what is still wanted, at once, for FINISH_S at most; not where the scheduler is silent. For a process
        that ends: its thread would end with it."""
        until = self._clock() + FINISH_S
        while self.wants() and not self.failure and self._clock() < until:
            with self._lock:
                busy, self._busy = self._busy, True
            if not busy:
                self._work()
            if self.wants():
                time.sleep(FINISH_PAUSE_S)  # a scheduler needs a moment, too

    def _start(self) -> None:
        """Has the thread ask, if it is time."""
        with self._lock:
            if self._busy or self._clock() < self._due:
                return
            self._busy = True
        threading.Thread(target=self._work, name=self.name, daemon=True).start()

    def _work(self) -> None:
        try:
            with self._lock:
                self._again = False
            began = self._clock()
            self._seen = self._ask()
            self.failure, self._pause = "", min(MOST_S, max(EVERY_S, SHARE * (self._clock() - began)))
        except Exception as error:  # whoever looks is to see why there is no answer
            if not isinstance(error, OSError):
                logger.exception("asking %s", self.name)
            self.failure = str(error) or type(error).__name__
            self._pause = min(MOST_S, 2 * self._pause)
        finally:
            with self._lock:
                again = self._again and not self.failure
                self._due = self._began + SOON_S if again else self._clock() + self._pause
                self._busy = False
            self._answered.set()

    def _begins(self) -> float:
        """Notes that a question is asked now; the moment."""
        self.asked += 1
        self._began = self._clock()
        return self._began


@atexit.register
def finish_all() -> None:
    """A command that has a job canceled ends at once."""
    for asking in list(ALL):
        asking.finish()
