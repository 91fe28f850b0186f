"""Which targets this user has used by hand. What starts jobs by itself (the queue, a sweep, a resume) uses no other:
targets.toml lies in the workspace and names programs, and both may come from somebody else.

Kept outside of every workspace, in $XDG_STATE_HOME/lfdash or ~/.local/state/lfdash; a target that was changed since, or
one of a workspace elsewhere, is another.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from dataclasses import asdict
from pathlib import Path

from lfdash.files import read_json_file, write_text_atomic
from lfdash.targets.allowed import state_folder
from lfdash.targets.target import Target

FILE = "used_targets.json"
KEPT = 200  # targets; the one that was used longest ago goes first

logger = logging.getLogger(__name__)


class UsedTargets:
    """The targets of a workspace (absolute) that its user has used. Where the file cannot be written, this process
    alone remembers."""

    def __init__(self, workspace: Path, folder: Path | None = None) -> None:
        self._workspace = str(workspace)
        self._folder = folder
        self._known: set[str] = set()
        self._lock = threading.Lock()

    def add(self, target: Target) -> None:
        """Notes that a target was used by hand."""
        mark = self._mark(target)
        with self._lock:
            if mark in self._known:
                return
            self._known.add(mark)
            kept = [one for one in self._read() if one != mark]
            try:
                path = self._path()
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                write_text_atomic(path, json.dumps({"used": [*kept, mark][-KEPT:]}) + "\n")
            except (OSError, RuntimeError) as error:  # RuntimeError: a user without a home
                logger.warning("it cannot be kept that the target %s was used: %s", target.name, error)

    def has(self, target: Target) -> bool:
        """Whether the target as it is now was used by hand."""
        mark = self._mark(target)
        with self._lock:
            if mark not in self._known and mark in self._read():
                self._known.add(mark)
            return mark in self._known

    def _path(self) -> Path:
        return (self._folder or state_folder()) / FILE

    def _read(self) -> list[str]:
        try:
            data = read_json_file(self._path())
        except RuntimeError:
            return []
        used = data.get("used") if isinstance(data, dict) else None
        return [one for one in used if isinstance(one, str)] if isinstance(used, list) else []

    def _mark(self, target: Target) -> str:
        told = json.dumps([self._workspace, {**asdict(target), "env": dict(target.env)}], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()
