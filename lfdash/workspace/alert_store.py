"""What a workspace keeps of its alerts: the settings, a log of all alerts, those that are to be sent, those that
somebody has read. `.lfdash/alerts/`; whoever adds to it holds the lock that lies there."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Generic, TypeVar

from lfdash.files import (
    FileMark,
    Unreadable,
    look_json,
    look_mark,
    only_writer,
    parse_mapping,
    read_json_file,
    read_text_file,
    real_number,
    write_text_atomic,
)
from lfdash.locales import available
from lfdash.outcomes import Problem, Refused, unchanged_by
from lfdash.runs.alerts.alert import Alert
from lfdash.runs.alerts.file import append, line_of, lines, parse
from lfdash.runs.alerts.file import read as read_alerts
from lfdash.runs.alerts.settings import AlertSettings
from lfdash.runs.alerts.settings import read as read_settings
from lfdash.workspace.memo import Memo

LARGEST_LOG = 1 << 20  # bytes; then its older half goes
KEPT = 500  # alerts that are left of it, and marks of those that were read
SENT_WITHIN_S = 6 * 3600.0  # an alert that nobody could send for so long is not news
MOST_WAITING = 200  # messages
WAITS, SENT = ".json", ".sent"  # how the names in the outbox end
SURE_S = 600.0  # an alert is too old for so long, by another clock, before it is given up: a clock may be put right
WRITTEN = re.compile(r"(\d{1,12}\.\d{3})-[^.]*\.json\Z")  # the name of one that waits

logger = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass
class Seen(Generic[T]):
    """A file as it was read last; kept when it cannot be read again."""

    mark: FileMark | None
    content: T


@dataclass(frozen=True)
class Began:
    """When alerts began to be looked for, epoch seconds by the clock of then, which may have been wrong; and the marks
    (`end_mark`) of the attempts that were over then. None: an earlier version has not noted them."""

    since: float
    over: frozenset[str] | None = None


def end_mark(attempt: str) -> str:
    """What an attempt is noted by as one that was over; short, since there may be ten thousand. attempt: its run and
    number."""
    return sha256(attempt.encode()).hexdigest()[:12]


def began_in(data: Mapping[str, Any], written: float) -> Began:
    """What a file tells. written: when it was, which tells it of a spoiled one."""
    since, over = real_number(data.get("since")), data.get("over")
    marks = frozenset(one for one in over if isinstance(one, str)) if isinstance(over, list) else None
    return Began(written if since is None else since, marks)


def looked(path: Path, seen: Seen[T] | None, read: Callable[[Path], T]) -> Seen[T]:
    """A file read again if it changed. OSError when that failed: nothing of it is kept, so that the next look tries
    again."""
    mark = look_mark(path)
    return seen if seen is not None and seen.mark == mark else Seen(mark, read(path))


class AlertStore:
    """The files. folder: made when something is written. check: raises WorkspaceGone (an OSError) when the workspace is
    not where it was."""

    def __init__(self, folder: Path, check: Callable[[], None] = lambda: None) -> None:
        self.folder = folder
        self._check = check
        self._settings: Seen[tuple[AlertSettings, tuple[Problem, ...]]] | None = None
        self._log: Seen[tuple[Alert, ...]] | None = None
        self._read: Seen[tuple[str, ...]] | None = None
        self._began: Seen[Began] | None = None
        self._done: set[str] = set()  # marks of the alerts that this process has sent or given up
        self._old: dict[Path, float] = {}  # alerts that seem too old, since when (monotonic)
        self.delivery = Memo(folder / "delivery.json", self._is_here)

    def _is_here(self) -> bool:
        try:
            self._check()
        except OSError:
            return False
        return True

    def unwritable(self) -> str:
        """Why nothing can be written here, in the system's words; "" where it can, or that is not known. Writes
        nothing; a full disk is not seen."""
        for place in (self.folder, *self.folder.parents):
            try:
                if not place.exists():
                    continue
                if os.access(place, os.W_OK | os.X_OK):
                    return ""
                return os.strerror(errno.EROFS if os.statvfs(place).f_flag & os.ST_RDONLY else errno.EACCES)
            except OSError:
                return ""
        return ""

    # -- settings ---------------------------------------------------------------------------------------

    @property
    def settings_file(self) -> Path:
        """Which alerts there are, and from when on (JSON)."""
        return self.folder / "settings.json"

    def settings(self) -> tuple[AlertSettings, tuple[Problem, ...]]:
        """The settings, and what of the file is not understood. While it cannot be read: those that were read last (the
        defaults, where there are none), and why."""
        try:
            return self.known_settings()
        except OSError as error:
            known = self._settings.content[0] if self._settings is not None else AlertSettings()
            return known, (self._unread(error.strerror or type(error).__name__),)

    def known_settings(self) -> tuple[AlertSettings, tuple[Problem, ...]]:
        """As `settings`, read when the file changed. OSError when reading failed, so that they are not known."""
        self._settings = looked(self.settings_file, self._settings, self._read_settings)
        return self._settings.content

    def _read_settings(self, path: Path) -> tuple[AlertSettings, tuple[Problem, ...]]:
        data = read_json_file(path)
        if isinstance(data, Unreadable):
            if data.failure is not None:
                raise OSError(data.failure, data.reason, str(path))
            return AlertSettings(), (self._unread(data.reason),)
        return read_settings(data if isinstance(data, dict) else {}, available())

    def _unread(self, reason: str) -> Problem:
        return Problem(None, "alert_file", {"path": str(self.settings_file), "reason": reason})

    def save_settings(self, settings: AlertSettings) -> Refused | None:
        """Replaces the file. Refused: workspace_gone, readonly, disk_kept, failed; also while the file cannot be read:
        what was changed from is not what it says."""
        try:
            self.known_settings()
        except OSError as error:
            return unchanged_by(error, self.settings_file)
        return self._written(self.settings_file, settings.to_data())

    def _written(self, path: Path, data: Mapping[str, Any]) -> Refused | None:
        try:
            self._check()
            self.folder.mkdir(exist_ok=True)
            write_text_atomic(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")
        except OSError as error:
            return unchanged_by(error, path)
        return None

    # -- the log ----------------------------------------------------------------------------------------

    @property
    def log_file(self) -> Path:
        """All alerts of the workspace, oldest first (JSON lines); bounded."""
        return self.folder / "log.jsonl"

    def recent(self) -> tuple[Alert, ...]:
        """The alerts of the log, oldest first, to be shown: while it cannot be read, as it was read last."""
        try:
            return self.logged()
        except OSError as error:
            logger.debug("the log of the alerts cannot be read: %s", error)
            return self._log.content if self._log is not None else ()

    def logged(self) -> tuple[Alert, ...]:
        """The same, read when it changed. OSError when reading failed, so that it is not known."""
        self._log = looked(self.log_file, self._log, read_alerts)
        return self._log.content

    def add(self, alert: Alert) -> None:
        """Adds to the log. OSError when the disk does not let it. To be called under the lock."""
        self.folder.mkdir(exist_ok=True)
        mark = look_mark(self.log_file)
        if mark is not None and mark[1] > LARGEST_LOG:
            whole = [line for line in lines(self.log_file) if isinstance(parse_mapping(line), dict)]
            write_text_atomic(self.log_file, "".join(f"{line}\n" for line in whole[-KEPT:]))
        append(self.log_file, alert)

    def began(self, over: Callable[[], Iterable[str]]) -> Began:
        """How alerts began to be looked for here. over: which ends there are, asked for when that is only now. OSError
        when it cannot be read."""
        path = self.folder / "since.json"
        mark = look_mark(path)
        if mark is not None:
            if self._began is None or self._began.mark != mark:
                self._began = Seen(mark, began_in(look_json(path), mark[0] / 1e9))
            return self._began.content
        if self._began is None:  # kept also where the disk does not take it: what ends later is news
            self._began = Seen(None, Began(time.time(), frozenset(map(end_mark, over()))))
        with suppress(OSError):
            self._check()
            self.folder.mkdir(exist_ok=True)
        found = self._began.content
        Memo(path, self._is_here).save({"since": found.since, "over": sorted(found.over or ())})
        return found

    # -- what was read ----------------------------------------------------------------------------------

    @property
    def _read_file(self) -> Path:
        return self.folder / "read.json"

    def dismissed(self) -> frozenset[str]:
        """Ids of the alerts that somebody has read; while that cannot be read, as it was read last."""
        try:
            return frozenset(self._read_ids())
        except OSError as error:
            logger.debug("which alerts were read is not known: %s", error)
            return frozenset(self._read.content if self._read is not None else ())

    def _read_ids(self) -> tuple[str, ...]:
        """The ids in the file, oldest first. OSError when reading failed."""
        self._read = looked(self._read_file, self._read, read_ids)
        return self._read.content

    def dismiss(self, ids: Iterable[str]) -> Refused | None:
        """Marks alerts as read. Refused as `save_settings`."""
        try:
            self._check()
            self.folder.mkdir(exist_ok=True)
            with only_writer(self.folder):  # other dashboards add theirs
                kept = dict.fromkeys([*self._read_ids(), *ids])
                return self._written(self._read_file, {"ids": list(kept)[-KEPT:]})
        except OSError as error:
            return unchanged_by(error, self._read_file)

    # -- what is to be sent -----------------------------------------------------------------------------

    @property
    def outbox(self) -> Path:
        """A file an alert that is to be sent. Whoever has sent it renames it to .sent, which takes no space: that stays
        until the log has the alert, so that nobody takes it for a new one where the disk did not take more."""
        return self.folder / "outbox"

    def put(self, alert: Alert) -> None:
        """Lets an alert be sent, once. OSError when the disk does not let it. To be called under the lock."""
        self.outbox.mkdir(exist_ok=True)
        mark = mark_of(alert)
        if mark not in self._done and all(mark_in(name) != mark for name in os.listdir(self.outbox)):
            write_text_atomic(self.outbox / f"{alert.time:.3f}-{mark}{WAITS}", line_of(alert))

    def waiting(self) -> list[tuple[Path, Alert]]:
        """The alerts that are to be sent, the oldest first; others than the newest, and what is none, is given up. What
        cannot be read now stays for later."""
        try:
            found = sorted(os.listdir(self.outbox))
        except OSError:
            return []
        self._tidy([name for name in found if name.endswith(SENT)])
        names = [name for name in found if name.endswith(WAITS)]
        for name in names[:-MOST_WAITING]:
            self.sent(self.outbox / name)
        paths = [self.outbox / name for name in names[-MOST_WAITING:]]
        self._old = {path: since for path, since in self._old.items() if path in paths}
        return [(path, alert) for path in paths if (alert := self._waits(path)) is not None]

    def waiting_since(self) -> list[float]:
        """When each alert that is to be sent was written, epoch seconds, the oldest first. Changes nothing."""
        try:
            names = os.listdir(self.outbox)
        except OSError:
            return []
        found = [WRITTEN.match(name) for name in names if mark_in(name) not in self._done]
        return sorted(float(match[1]) for match in found if match)

    def _waits(self, path: Path) -> Alert | None:
        """The alert in a file, if it is to be sent now."""
        if mark_in(path.name) in self._done:
            self.sent(path)
            return None
        text = read_text_file(path)
        if not isinstance(text, str) and not (isinstance(text, Unreadable) and text.failure is None):
            return None
        alert = next(iter(parse([text])), None) if isinstance(text, str) else None
        if alert is None:
            logger.warning("%s is no alert, and is not sent", path)
            self.sent(path)
        elif alert.time < time.time() - SENT_WITHIN_S:
            if time.monotonic() - self._old.setdefault(path, time.monotonic()) >= SURE_S:
                self.sent(path)
            return None
        else:
            self._old.pop(path, None)
        return alert

    def sent(self, path: Path) -> None:
        """The alert of a file is not to be sent any more, also where the file cannot be renamed now."""
        self._done.add(mark_in(path.name))
        with suppress(OSError):
            path.rename(path.with_suffix(SENT))

    def told(self, alert: Alert) -> None:
        """An alert was sent, whether or not a file was written of it."""
        self._done.add(mark_of(alert))

    def is_done(self, alert: Alert) -> bool:
        """Whether this process has sent an alert, or given it up."""
        return mark_of(alert) in self._done

    def _tidy(self, names: list[str]) -> None:
        """Removes what tells of alerts that were sent, where the log tells of them too; of others the newest stay."""
        logged = {mark_of(one) for one in self.recent()} if names else set()
        for place, name in enumerate(names):
            if mark_in(name) in logged or place < len(names) - MOST_WAITING:
                with suppress(OSError):
                    (self.outbox / name).unlink()


def mark_of(alert: Alert) -> str:
    """What an alert's file in the outbox is known by, whoever wrote it and when."""
    return sha256(alert.id.encode()).hexdigest()[:16]


def mark_in(name: str) -> str:
    """The same, of a file's name."""
    return name.rpartition(".")[0].rpartition("-")[2]


def read_ids(path: Path) -> tuple[str, ...]:
    """The ids in a file. OSError when reading failed."""
    ids = look_json(path).get("ids")
    return tuple(one for one in ids if isinstance(one, str)) if isinstance(ids, list) else ()
