"""Has a chat loaded before it is asked: waits for one that loads, starts one that is over, and makes room for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path

from lfdash.engine.chat.again import prepare_again
from lfdash.engine.chat.connection import Connection, connection_of
from lfdash.engine.registry import ProcessRegistry
from lfdash.jobs.kinds import named
from lfdash.outcomes import Refused
from lfdash.runs.record import TERMINAL
from lfdash.runs.view import RunView

LOOK_S = 0.3  # seconds between two looks at a chat that loads
LOADING_S = 3600.0  # that a model may take to load
UNSEEN_S = 30.0  # that a start of another dashboard may take to be seen here


class BringingUp:
    """Brings chats up. cli: gives the llamafactory-cli that starts them. blocked: why nothing may be started here."""

    def __init__(
        self, registry: ProcessRegistry, workspace: Path, cli: Callable[[], str], blocked: Callable[[], Refused | None]
    ) -> None:
        self._registry = registry
        self._workspace = workspace
        self._cli = cli
        self._blocked = blocked

    def connect(
        self, run_id: str, others: Collection[str], stopped: threading.Event, *, beside: bool = False
    ) -> Connection | Refused:
        """How a chat is reached, once it answers. others: the chats of the same conversation, which are ended where
        there is no room beside them: they were asked already, or will be loaded again. stopped: ends the waiting.

        Refused: chat_unknown, chat_ended (its model could not be loaded, or it was stopped), chat_port, chat_key,
        chat_stopped, chat_no_room (another run has its device), chat_configuration, and as `Dispatcher.launch`.
        """
        began = time.monotonic()
        started = False
        while not stopped.is_set() and time.monotonic() - began < LOADING_S:
            view = self._registry.get(run_id)
            found = connection_of(self._registry, view)
            if isinstance(found, Connection):
                return found
            if found.code not in ("chat_over", "chat_loading", "chat_waiting") or view is None:
                return found
            over = view.state in TERMINAL
            if over and started:
                return Refused("chat_ended", {"name": view.name})
            if not started and (over or view.waiting is not None):
                refused = self._start(view, others, stopped, beside)
                is_theirs = refused is not None and refused.code == "runs_already"  # another dashboard was first
                if refused is not None and not (is_theirs and time.monotonic() - began < UNSEEN_S):
                    return Refused("chat_no_room", refused.params) if refused.code == "busy" else refused
                started = refused is None
            stopped.wait(LOOK_S)
        return Refused("chat_stopped")

    def _start(
        self, view: RunView, others: Collection[str], stopped: threading.Event, beside: bool
    ) -> Refused | None:
        """Starts a chat that is over or waits; ends others of the conversation where that makes room."""
        refused = self._try(view, beside)
        if refused is None or refused.code != "busy":
            return refused
        ended = [other for other in others if other != view.run_id and self._end(other)]
        if view.waiting is not None:
            return None  # the queue starts it in its turn
        if not ended:
            return refused
        while not stopped.is_set():
            alive = [one for run_id in ended if (one := self._registry.get(run_id)) and one.state not in TERMINAL]
            if not alive:
                break
            stopped.wait(LOOK_S)
        return Refused("chat_stopped") if stopped.is_set() else self._try(view, beside)

    def _try(self, view: RunView, beside: bool) -> Refused | None:
        """One attempt to start a chat."""
        blocked = self._blocked()
        if blocked is not None:
            return blocked
        if view.waiting is not None:
            if not beside:
                return Refused("busy", {"code": "turn", "run": view.name})
            outcome = self._registry.dispatcher.start_now(view.run_id)
            return outcome if isinstance(outcome, Refused) else None
        prepared = prepare_again(view, self._cli(), self._workspace)
        if prepared is None:
            return Refused("no_configuration")
        outcome = self._registry.launch(*prepared, beside=beside)
        return outcome if isinstance(outcome, Refused) else None

    def _end(self, run_id: str) -> bool:
        """Asks a chat to end; whether it was asked."""
        view = self._registry.get(run_id)
        if view is None or view.waiting is not None or view.state in TERMINAL or not named(view.kind).serves:
            return False
        return self._registry.stop(run_id, "term") is None
