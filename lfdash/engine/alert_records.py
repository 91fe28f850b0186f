"""What was alerted in a workspace: written once, and shown.

Under a lock that all dashboards of a workspace share, the run's alerts.jsonl is read again and the line added; who
added it lets it be sent. What is to be sent goes into the outbox first, and nothing else is written of it before: so a
crash leaves an alert that is told again, and no dashboard takes for new what the outbox has, sent or not. What the
disk does not take is shown here, sent if that is this dashboard's part, and written when the disk lets it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from filelock import Timeout

from lfdash.queue.commands import LaunchLock
from lfdash.runs.alerts import file
from lfdash.runs.alerts.alert import STOP, Alert
from lfdash.runs.alerts.rules import RULES
from lfdash.runs.paths import RunPaths
from lfdash.runs.view import RunView
from lfdash.workspace.alert_store import AlertStore, Seen, looked

logger = logging.getLogger(__name__)


class AlertRecords:
    """The alerts of one workspace. One thread writes; any may ask.

    wake: there is something to send; with an alert, one that no file could be written of. noticed: the folder of a run
    has an alert more.
    """

    def __init__(
        self, store: AlertStore, lock: LaunchLock, wake: Callable[[Alert | None], None],
        noticed: Callable[[Path], None],
    ) -> None:
        self.store = store
        self._lock, self._wake, self._noticed = lock, wake, noticed
        self._unwritten: dict[str, tuple[RunPaths | None, Alert]] = {}
        self._unput: dict[str, Alert] = {}  # no file says that they are to be sent
        self._unlogged: dict[str, Alert] = {}  # are in a run's folder, and not in the workspace's log
        self._files: dict[Path, Seen[tuple[Alert, ...]]] = {}
        self._warned: set[str] = set()
        self._failure = ""  # why the last one was not written

    # -- writing ----------------------------------------------------------------------------------------

    def write(self, alert: Alert, paths: RunPaths | None, *, send: bool) -> bool | None:
        """Writes an alert where it is not yet, under the lock, and lets it be sent; whether it was not there. None: it
        cannot be known, or another dashboard writes, and nothing was done. What the disk does not take is kept here.
        paths: of a run of ours."""
        try:
            with self._lock.held(timeout=0):
                try:
                    there = self._is_there(alert, paths)
                except OSError as error:
                    self.warn(f"it cannot be known whether {alert.rule} was alerted", error)
                    return None
                if not there:
                    self._add(alert, paths, send=send)
                return not there
        except Timeout:
            return None
        except OSError as error:  # no lock: nothing can be read again either, but something is wrong, and is told
            self._fail(alert, paths, error)
            if send:
                self._unput[alert.id] = alert
                self._wake(alert)
            return True

    def _is_there(self, alert: Alert, paths: RunPaths | None) -> bool:
        """Whether an alert is in its file. OSError when that cannot be read."""
        if paths is None:
            return any(one.id == alert.id for one in self.store.logged())
        return any(one.key == alert.key for one in file.read(paths.alerts))

    def _add(self, alert: Alert, paths: RunPaths | None, *, send: bool) -> None:
        """Writes an alert, and lets it be sent once: as a file, which comes first, so that a dashboard that is killed
        meanwhile loses nothing; or from here, where the disk takes none. What is in the log has been sent: then only
        the run's own file lacks it."""
        try:
            if send and not self._is_logged(alert):
                self._unput[alert.id] = alert
                self._put(alert)
                self._wake(None)
            self._write(alert, paths)
        except OSError as error:
            self._fail(alert, paths, error)
            if alert.id in self._unput:
                self._wake(alert)

    def _put(self, alert: Alert) -> None:
        """Writes the file of an alert that has none and is to be sent. OSError when the disk does not let it."""
        if alert.id in self._unput:
            self.store.put(alert)
            del self._unput[alert.id]

    def _write(self, alert: Alert, paths: RunPaths | None) -> None:
        """Writes an alert into the run's file and the log, or the log alone. OSError when the first is not possible."""
        if paths is None:
            self.store.add(alert)
            return
        self._log(alert)
        file.append(paths.alerts, alert)
        self._noticed(paths.root)

    def _is_logged(self, alert: Alert) -> bool:
        """Whether the workspace's log has an alert, as far as it can be read."""
        return any(one.id == alert.id for one in self.store.recent())

    def _fail(self, alert: Alert, paths: RunPaths | None, error: OSError) -> None:
        """The disk does not take an alert."""
        logger.warning("an alert of %s could not be written: %s", alert.run or "the workspace", error)
        self._failure = error.strerror or type(error).__name__
        self.keep(alert, paths)

    def keep(self, alert: Alert, paths: RunPaths | None) -> None:
        """Shows an alert that could not be written, and writes it later."""
        self._unwritten[alert.id] = (paths, alert)

    def is_kept(self, alert: Alert) -> bool:
        """Whether an alert waits to be written."""
        return alert.id in self._unwritten

    def _log(self, alert: Alert) -> None:
        """Adds an alert of a run to the workspace's log; where that is not possible, later."""
        try:
            if all(one.id != alert.id for one in self.store.logged()):
                self.store.add(alert)
        except OSError:
            self._unlogged[alert.id] = alert
        else:
            self._unlogged.pop(alert.id, None)

    def write_again(self) -> None:
        """Writes what the disk did not take; what was sent meanwhile is not sent again."""
        if not self._unwritten and not self._unlogged:
            return
        try:
            with self._lock.held(timeout=0):
                for key, (paths, alert) in list(self._unwritten.items()):
                    there = self._is_there(alert, paths)
                    if there or self._is_logged(alert):
                        self._unput.pop(key, None)  # another dashboard has let it be sent
                    self._put(alert)
                    if not there:
                        self._write(alert, paths)
                    del self._unwritten[key]
                for alert in list(self._unlogged.values()):
                    self._log(alert)
        except (Timeout, OSError):
            return

    def warn(self, what: str, error: OSError) -> None:
        """Says once what cannot be known; it is tried again at each look."""
        if what not in self._warned:
            self._warned.add(what)
            logger.warning("%s: %s", what, error)

    # -- asking -----------------------------------------------------------------------------------------

    def of(self, view: RunView) -> tuple[Alert, ...]:
        """What was alerted of a run, oldest first, to be shown: while its file cannot be read, as it was read last."""
        try:
            written = self.written_of(view)
        except OSError as error:
            self.warn(f"what was alerted of {view.name} cannot be read", error)
            seen = self._files.get(view.path)
            written = seen.content if seen is not None else ()
        return (*written, *self.unwritten_of(view))

    def written_of(self, view: RunView) -> tuple[Alert, ...]:
        """The alerts in a run's file, read when it changed. OSError when that failed, so that they are not known."""
        if view.record is None:
            return tuple(one for one in self.store.logged() if one.run_id == view.run_id)
        if len(self._files) > 1000:
            self._files.clear()
        seen = looked(view.paths.alerts, self._files.get(view.path), file.read)
        self._files[view.path] = seen
        return seen.content

    def unwritten_of(self, view: RunView) -> tuple[Alert, ...]:
        """The alerts of a run that the disk did not take."""
        return tuple(one for _, one in list(self._unwritten.values()) if one.run_id == view.run_id)

    def unkept(self) -> str:
        """Why alerts are in this process's memory alone, in the system's words; "" where they are written, as far as
        is known."""
        return (self._failure if self._unwritten else "") or self.store.unwritable()

    def unread(self, view: RunView) -> tuple[Alert, ...]:
        """What is to be shown of a run's newest attempt, oldest first: what nobody has read, and what lfdash did."""
        dismissed = self.store.dismissed()
        lasting = {rule.name for rule in RULES if rule.lasts} | {STOP}
        return tuple(
            one for one in self.of(view)
            if one.attempt == view.attempt and one.rule in lasting and one.id not in dismissed
        )

    def recent(self) -> tuple[Alert, ...]:
        """All alerts of the workspace that are kept, oldest first."""
        logged = self.store.recent()
        known = {one.id for one in logged}
        kept = {alert.id: alert for _, alert in list(self._unwritten.values())} | dict(self._unlogged)
        return (*logged, *(alert for key, alert in kept.items() if key not in known))
