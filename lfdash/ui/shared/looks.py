"""One thread of the server looks after what the tabs show, and wakes a tab that has news.

A tab that asked by itself every two seconds would cost a run of its page's script each time, mostly for nothing. The
tab still asks now and then: it may be that a wake-up is lost.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from lfdash.ui.shared import streamlit_private
from lfdash.ui.shared.streamlit_private import FragmentOf

PAUSE_S = 1.0  # between two looks, where no tab wants them sooner
SELDOM_S = 30.0  # between two times that a tab asks by itself, which is woken when there is news
log = logging.getLogger(__name__)


@dataclass
class Look:
    """A part of what one tab shows. news: whether it is another than was drawn; for any thread. every: seconds between
    two wake-ups, at least."""

    fragment: FragmentOf
    news: Callable[[], bool]
    every: float
    woken: float = field(default_factory=time.monotonic)


class Looks:
    """The looks of all tabs, one for each fragment."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._looks: dict[FragmentOf, Look] = {}
        self._thread: threading.Thread | None = None

    def keep(self, fragment: FragmentOf | None, news: Callable[[], bool], every: float) -> None:
        """From now on a fragment is drawn again when there is news; what else it was drawn for is forgotten. Nothing
        where there is no tab."""
        if fragment is None:
            return
        with self._lock:
            self._looks.pop(fragment, None)
            self._looks[fragment] = Look(fragment, news, every)
            if self._thread is None:
                self._thread = threading.Thread(target=self._go_on, name="lfdash-looks", daemon=True)
                self._thread.start()

    def drop(self, fragment: FragmentOf | None) -> None:
        """The fragment is not drawn again any more, but when its tab asks."""
        if fragment is not None:
            with self._lock:
                self._looks.pop(fragment, None)

    def look(self, now: float) -> None:
        """Wakes the tabs that have news, and forgets those that are closed or show another page."""
        with self._lock:
            due = [one for one in self._looks.values() if now - one.woken >= one.every]
        for one in due:
            if not streamlit_private.is_shown(one.fragment):
                self.drop(one.fragment)
            elif one.news():
                one.woken = now
                streamlit_private.wake(one.fragment)

    def pause(self) -> float:
        """Seconds until the next look."""
        with self._lock:
            return min([PAUSE_S, *(one.every / 2 for one in self._looks.values() if one.every > 0)])

    def _go_on(self) -> None:
        pause = threading.Event()
        while not self._is_over():
            pause.wait(self.pause())
            try:
                self.look(time.monotonic())
            except (OSError, RuntimeError, AttributeError, KeyError, ValueError):  # the tabs ask by themselves, too
                log.exception("a look at what the tabs show")

    def _is_over(self) -> bool:
        """Whether no tab is left to look for; the next one starts another thread."""
        with self._lock:
            if not self._looks:
                self._thread = None
            return self._thread is None


looks = Looks()
