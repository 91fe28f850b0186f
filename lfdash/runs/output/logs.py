"""The logs that are looked at in this process, each read once for all who look, by a thread that is there while there
is something to read."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from lfdash.runs.output.log import RunLog

SLICE_S = 0.03  # seconds that a log is read for at once
IDLE_S = 60.0  # who did not ask for that long looks no more
MOST = 64  # logs that are remembered


class Logs:
    """Logs by their paths."""

    def __init__(self) -> None:
        self._logs: dict[Path, RunLog] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def of(self, path: Path) -> RunLog:
        """The log at a path, looked at now."""
        with self._lock:
            log = self._logs.get(path)
            if log is None:
                log = self._logs[path] = RunLog(path)
                for old in sorted(self._logs.values(), key=lambda one: one.asked)[:-MOST]:
                    if old is not log:
                        del self._logs[old.path]
        log.poll()
        return log

    def read_on(self) -> None:
        """Sees to it that what is to be read is read in the background."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._read, name="lfdash-logs", daemon=True)
                self._thread.start()

    def _read(self) -> None:
        while True:
            began = time.monotonic()
            with self._lock:
                looked_at = [log for log in self._logs.values() if began - log.asked < IDLE_S]
            more = [log.work(SLICE_S) for log in looked_at]
            with self._lock:
                if not any(more):
                    self._thread = None
                    return
            time.sleep((time.monotonic() - began) / 2)  # a third of the time is the pages'
