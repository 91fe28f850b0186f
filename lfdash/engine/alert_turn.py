"""Which of several dashboards on a workspace sends the alerts: whoever holds `sender.lock`, and says so beside it.

A process that is stopped keeps its lock, and nobody takes it away: it may go on in the middle of a message. So the
others say who has it.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lfdash.engine.only_one import OnlyOne
from lfdash.files import read_json_file, real_number, write_text_atomic
from lfdash.workspace.alert_store import AlertStore

OVERDUE_S = 150.0  # longer than all tries of one message take


@dataclass(frozen=True)
class Elsewhere:
    """Another dashboard has the right to send. host, pid, since (epoch seconds): which one, since when; "", 0, None
    where it could not say so. waiting: alerts that it has not sent yet. is_overdue: whether it should have."""

    host: str = ""
    pid: int = 0
    since: float | None = None
    waiting: int = 0
    is_overdue: bool = False


class Turn:
    """The right to send. is_here: whether the workspace is still where it was."""

    def __init__(self, store: AlertStore, is_here: Callable[[], bool] = lambda: True) -> None:
        self._store = store
        self._right = OnlyOne(store.folder / "sender.lock", is_here, unwritable=True)
        self._said = False  # that it is this dashboard

    @property
    def _file(self) -> Path:
        return self._store.folder / "sender.json"

    def hold(self) -> bool:
        """Whether it is this dashboard's turn now; does not wait."""
        held = self._right.hold()
        if held and not self._said:
            self._say()
        self._said = held
        return held

    def _say(self) -> None:
        """Notes who has the right; where the disk does not take it, that of another one goes."""
        try:
            told = {"host": socket.gethostname(), "pid": os.getpid(), "since": time.time()}
            write_text_atomic(self._file, json.dumps(told), durable=False)
        except OSError:
            with suppress(OSError):
                self._file.unlink()

    def release(self) -> None:
        """Lets another dashboard send."""
        if self._said:
            with suppress(OSError):
                self._file.unlink()
        self._right.release()
        self._said = False

    def is_elsewhere(self) -> bool:
        """Whether another dashboard has the right; False where it is this one, nobody, or not known."""
        return self._right.is_elsewhere()

    def elsewhere(self) -> Elsewhere | None:
        """Who has the right, if it is another dashboard; None where it is this one, nobody, or not known."""
        if not self.is_elsewhere():
            return None
        times = self._store.waiting_since()
        overdue = bool(times) and times[0] < time.time() - OVERDUE_S
        data = read_json_file(self._file)
        told = data if isinstance(data, dict) else {}
        host, pid, since = told.get("host"), told.get("pid"), real_number(told.get("since"))
        if not isinstance(host, str) or type(pid) is not int:
            return Elsewhere(waiting=len(times), is_overdue=overdue)
        return Elsewhere(host, pid, since, len(times), overdue)
