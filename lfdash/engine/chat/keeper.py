"""Ends chats that nobody has asked for a while, and takes away the keys of those that are over."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from lfdash.engine.chat.connection import is_asked
from lfdash.engine.registry import ProcessRegistry
from lfdash.files import FileMark, file_mark
from lfdash.jobs.kinds import named
from lfdash.runs.record import TERMINAL, RunState
from lfdash.runs.view import RunView

EVERY_S = 5.0
USUAL_IDLE_MIN = 30  # minutes until a chat ends that nobody asks

logger = logging.getLogger(__name__)


class Keeper:
    """Looks after the chats of a workspace in a thread of its own.

    busy: the run ids of those that this process asks now. idle_minutes: after how many a chat ends; 0 = never. now: a
    clock that nobody sets, in seconds.
    """

    def __init__(
        self, registry: ProcessRegistry, busy: Callable[[], set[str]], idle_minutes: Callable[[], float],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._busy = busy
        self._idle_minutes = idle_minutes
        self._now = now
        self._seen: dict[str, tuple[FileMark | None, float]] = {}  # console as it was, and since when
        self._alive: frozenset[tuple[str, int]] | None = None
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Starts the thread."""
        self._thread = threading.Thread(target=self._run, name="lfdash-chats", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread. Chats go on."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._closing.wait(EVERY_S):
            try:
                self.look()
            except Exception:
                logger.exception("looking after the chats of %s failed", self._registry.workspace)

    def serving(self) -> list[RunView]:
        """The runs that serve and are not over, or may not be."""
        views = self._registry.snapshot()
        return [view for view in views if view.state not in TERMINAL and view.record and named(view.kind).serves]

    def look(self) -> None:
        """One look at all chats."""
        serving = self.serving()
        alive = attempts_of(serving)
        if alive != self._alive:
            # one that starts just now has its key before it is seen
            self._registry.dispatcher.handing.keys.keep_only(self._alive_now, older_s=60.0)
            self._alive = alive
        self._seen = {run_id: seen for run_id, seen in self._seen.items() if any(v.run_id == run_id for v in serving)}
        for view in serving:
            if self._is_idle(view):
                logger.info("nobody asked the chat %s: it ends", view.run_id)
                self._registry.stop(view.run_id, "term")

    def _alive_now(self) -> frozenset[tuple[str, int]] | None:
        """The attempts that serve, looked for anew; None where some run cannot be seen."""
        self._registry.refresh()
        if any(view.state is RunState.UNKNOWN for view in self._registry.snapshot()):
            return None
        return attempts_of(self.serving())

    def idle_s(self, view: RunView) -> float:
        """Seconds for which nobody has asked a chat. Each request writes a line into its log, also one from outside."""
        mark, now = file_mark(view.paths.console), self._now()
        before = self._seen.get(view.run_id)
        if before is None or before[0] != mark or view.run_id in self._busy() or is_asked(view):
            before = self._seen[view.run_id] = (mark, now)
        return now - before[1]

    def _is_idle(self, view: RunView) -> bool:
        most = self._idle_minutes() * 60
        return view.state is RunState.RUNNING and self.idle_s(view) >= most > 0


def attempts_of(serving: list[RunView]) -> frozenset[tuple[str, int]]:
    """(run id, attempt) of all that may go on."""
    return frozenset((view.run_id, number) for view in serving for number in (view.attempt, *view.others))
