"""Asks what may never answer: a driver that hangs, a disk that is away."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from lfdash.machine.sample import CannotRead

REST_S = 60.0  # after an error that nobody foresaw
HANGS = "does not answer"

T = TypeVar("T")
logger = logging.getLogger(__name__)


class Patience(Generic[T]):
    """Asks in a thread of its own, and waits for `seconds`. While an answer is still awaited, nothing more is asked:
    however long it hangs, there is one thread.

    name: of what is asked. ask: gives the answer; CannotRead or OSError when there is none.
    """

    def __init__(self, name: str, ask: Callable[[], T], seconds: float) -> None:
        self.name, self._ask, self._seconds = name, ask, seconds
        self._thread: threading.Thread | None = None
        self._answers: list[T | CannotRead] = []
        self._rest_until = 0.0
        self._lock = threading.Lock()

    def answer(self) -> T:
        """What was answered. CannotRead: it does not answer, or why there is no answer."""
        with self._lock:
            if time.monotonic() < self._rest_until:
                raise CannotRead("failed")
            if self._thread is not None and self._thread.is_alive():
                raise CannotRead(HANGS)
            self._answers = []  # a late answer goes to the list of before
            self._thread = threading.Thread(
                target=self._run, args=(self._answers,), name=f"lfdash-{self.name}", daemon=True
            )
            self._thread.start()
            self._thread.join(self._seconds)
            if self._thread.is_alive():
                logger.warning("%s does not answer for %s seconds", self.name, self._seconds)
                raise CannotRead(HANGS)
            answer = self._answers[0] if self._answers else CannotRead("failed")
            if isinstance(answer, CannotRead):
                raise answer
            return answer

    def _run(self, answers: list[T | CannotRead]) -> None:
        try:
            answers.append(self._ask())
        except CannotRead as error:
            answers.append(error)
        except OSError as error:
            answers.append(CannotRead(error.strerror or str(error)))
        except Exception:  # of a vendor's library; it must not end who asks
            logger.exception("%s cannot be read", self.name)
            self._rest_until = time.monotonic() + REST_S
