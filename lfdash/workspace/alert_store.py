"""What a workspace keeps of its alerts: the settings, a log of all alerts, those that are to be sent, those that
somebody has read. `.lfdash/alerts/`; whoever adds to it holds the lock that lies there."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from lfdash.files import Absent, Unreadable, file_mark, read_json_file, read_text_file, real_number, write_text_atomic
from lfdash.locales import available
from lfdash.outcomes import Problem, Refused, unchanged_by
from lfdash.runs.alerts.alert import Alert
from lfdash.runs.alerts.file import append, line_of, parse
from lfdash.runs.alerts.settings import AlertSettings
from lfdash.runs.alerts.settings import read as read_settings
from lfdash.workspace.memo import Memo

LARGEST_LOG = 1 << 20  # bytes; then its older half goes
KEPT = 500  # alerts that are left of it, and marks of those that were read
SENT_WITHIN_S = 6 * 3600.0  # an alert that nobody could send for so long is not news
MOST_WAITING = 200  # messages


class AlertStore:
    """The files. folder: made when something is written. check: raises WorkspaceGone (an OSError) when the workspace is
    not where it was."""

    def __init__(self, folder: Path, check: Callable[[], None] = lambda: None) -> None:
        self.folder = folder
        self._check = check
        self._settings: tuple[object, AlertSettings, tuple[Problem, ...]] | None = None
        self._log: tuple[object, tuple[Alert, ...]] | None = None
        self._read: tuple[object, frozenset[str]] | None = None
        self.delivery = Memo(folder / "delivery.json", self._is_here)

    def _is_here(self) -> bool:
        try:
            self._check()
        except OSError:
            return False
        return True

    # -- settings ---------------------------------------------------------------------------------------

    @property
    def settings_file(self) -> Path:
        """Which alerts there are, and from when on (JSON)."""
        return self.folder / "settings.json"

    def settings(self) -> tuple[AlertSettings, tuple[Problem, ...]]:
        """The settings, and what of the file is not understood; read when it changed."""
        mark = file_mark(self.settings_file)
        if self._settings is None or self._settings[0] != mark:
            data = read_json_file(self.settings_file)
            if isinstance(data, Unreadable):
                why = Problem(None, "alert_file", {"path": str(self.settings_file), "reason": data.reason})
                self._settings = (mark, AlertSettings(), (why,))
            else:
                self._settings = (mark, *read_settings({} if isinstance(data, Absent) else data, available()))
        return self._settings[1], self._settings[2]

    def save_settings(self, settings: AlertSettings) -> Refused | None:
        """Replaces the file. Refused: workspace_gone, readonly, disk_kept, failed."""
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
        """The alerts of the log, oldest first; read when it changed."""
        mark = file_mark(self.log_file)
        if self._log is None or self._log[0] != mark:
            text = read_text_file(self.log_file)
            self._log = (mark, tuple(parse(text.split("\n"))) if isinstance(text, str) else ())
        return self._log[1]

    def add(self, alert: Alert) -> None:
        """Adds to the log. OSError when the disk does not let it. To be called under the lock."""
        self.folder.mkdir(exist_ok=True)
        mark = file_mark(self.log_file)
        if mark is not None and mark[1] > LARGEST_LOG:
            write_text_atomic(self.log_file, "".join(map(line_of, self.recent()[-KEPT:])))
        append(self.log_file, alert)

    def since(self) -> float:
        """When alerts began to be looked for here, epoch seconds: what ended before is nobody's news."""
        memo = Memo(self.folder / "since.json", self._is_here)
        began = real_number(memo.load().get("since"))
        if began is not None:
            return began
        now = time.time()
        with suppress(OSError):
            self._check()
            self.folder.mkdir(exist_ok=True)
        memo.save({"since": now})
        return now

    # -- what was read ----------------------------------------------------------------------------------

    @property
    def _read_file(self) -> Path:
        return self.folder / "read.json"

    def dismissed(self) -> frozenset[str]:
        """Ids of the alerts that somebody has read."""
        mark = file_mark(self._read_file)
        if self._read is None or self._read[0] != mark:
            self._read = (mark, frozenset(self._read_ids()))
        return self._read[1]

    def _read_ids(self) -> list[str]:
        """The ids in the file, oldest first."""
        data = read_json_file(self._read_file)
        ids = data.get("ids") if isinstance(data, dict) else None
        return [one for one in ids if isinstance(one, str)] if isinstance(ids, list) else []

    def dismiss(self, ids: Iterable[str]) -> Refused | None:
        """Marks alerts as read. Refused as `save_settings`."""
        kept = dict.fromkeys([*self._read_ids(), *ids])
        return self._written(self._read_file, {"ids": list(kept)[-KEPT:]})

    # -- what is to be sent -----------------------------------------------------------------------------

    @property
    def outbox(self) -> Path:
        """A file an alert that is to be sent; whoever has sent it removes it."""
        return self.folder / "outbox"

    def put(self, alert: Alert) -> None:
        """Lets an alert be sent. OSError when the disk does not let it. To be called under the lock."""
        self.outbox.mkdir(exist_ok=True)
        name = f"{alert.time:.3f}-{sha256(alert.id.encode()).hexdigest()[:16]}.json"
        write_text_atomic(self.outbox / name, line_of(alert))

    def waiting(self) -> list[tuple[Path, Alert]]:
        """The alerts that are to be sent, the oldest first; others than the newest, and what is none, is removed."""
        try:
            names = sorted(name for name in os.listdir(self.outbox) if name.endswith(".json"))
        except OSError:
            return []
        found = []
        for name in names[:-MOST_WAITING]:
            self.sent(self.outbox / name)
        for name in names[-MOST_WAITING:]:
            text = read_text_file(self.outbox / name)
            alert = next(iter(parse([text])), None) if isinstance(text, str) else None
            if alert is None or alert.time < time.time() - SENT_WITHIN_S:
                self.sent(self.outbox / name)
            else:
                found.append((self.outbox / name, alert))
        return found

    def sent(self, path: Path) -> None:
        """An alert is not to be sent any more."""
        with suppress(OSError):
            path.unlink(missing_ok=True)
