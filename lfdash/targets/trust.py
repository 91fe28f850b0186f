"""Which targets this user has used by hand. What starts jobs by itself (the queue, a sweep, a resume) uses no other:
targets.toml lies in the workspace and names programs, and both may come from somebody else.

Kept outside of every workspace, in $XDG_STATE_HOME/lfdash or ~/.local/state/lfdash: an empty file for each target, so
that processes which note one at the same time lose nothing of each other. A target that was changed since, or one of a
workspace elsewhere, is another.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import threading
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from lfdash.files import Absent, Unreadable, look_mark, read_json_file
from lfdash.targets.allowed import state_folder
from lfdash.targets.target import Target

FOLDER = "used"
OLD_FILE = "used_targets.json"  # of earlier versions; read, never written
KEPT = 200  # targets; the one that was used longest ago goes first
MARK = re.compile(r"[0-9a-f]{64}")

logger = logging.getLogger(__name__)


class UsedTargets:
    """The targets of a workspace (absolute) that its user has used. Where nothing can be written, this process alone
    remembers; what cannot be read is logged, once."""

    def __init__(self, workspace: Path, folder: Path | None = None) -> None:
        self._workspace = str(workspace)
        self._folder = folder
        self._known: set[str] = set()
        self._told: set[str] = set()
        self._lock = threading.Lock()

    def add(self, target: Target) -> None:
        """Notes that a target was used by hand just now."""
        mark = self._mark(target)
        with self._lock:
            self._known.add(mark)
            try:
                home = self._home()
                home.mkdir(parents=True, exist_ok=True, mode=0o700)
                folder = home / FOLDER
                folder.mkdir(exist_ok=True, mode=0o700)
                (folder / mark).touch(mode=0o600)
                forget_oldest(folder, mark)
            except (OSError, RuntimeError) as error:  # RuntimeError: a user without a home
                self._tell(f"it cannot be kept which targets were used by hand: {error}")

    def has(self, target: Target) -> bool:
        """Whether the target as it is now was used by hand, as far as that can be read."""
        mark = self._mark(target)
        with self._lock:
            if mark not in self._known and self._is_kept(mark):
                self._known.add(mark)
            return mark in self._known

    def _home(self) -> Path:
        return self._folder or state_folder()

    def _is_kept(self, mark: str) -> bool:
        try:
            home = self._home()
            if look_mark(home / FOLDER / mark) is not None:
                return True
        except RuntimeError:  # a user without a home: nothing was ever kept
            return False
        except OSError as error:
            self._tell(
                f"it cannot be read in {home / FOLDER} which targets were used by hand ({error.strerror}): until it "
                "can, jobs start by themselves only on those that are used by hand again"
            )
        return mark in self._old(home / OLD_FILE)

    def _old(self, path: Path) -> list[object]:
        """What an earlier version has kept."""
        data = read_json_file(path)
        if isinstance(data, Absent):
            return []
        used = data.get("used") if isinstance(data, dict) else None
        if isinstance(used, list) and all(isinstance(one, str) for one in used):
            return used
        why = data.reason if isinstance(data, Unreadable) else "it has no list of marks"
        self._tell(
            f"{path} cannot be read ({why}): a target that was used before needs one start by hand before jobs start "
            "there by themselves. Mend the file, or remove it"
        )
        return []

    def _tell(self, what: str) -> None:
        if what not in self._told:
            self._told.add(what)
            logger.warning("%s", what)

    def _mark(self, target: Target) -> str:
        row = {**asdict(target), "env": dict(target.env)}
        if not target.setup:  # so that what was used before there was one still is
            del row["setup"]
        told = json.dumps([self._workspace, row], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()


def forget_oldest(folder: Path, kept: str) -> None:
    """Takes the oldest marks of a folder away until KEPT are left; never `kept`, nor one that is used meanwhile.
    OSError when the folder cannot be listed or changed."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name != kept and MARK.fullmatch(entry.name):
                with suppress(FileNotFoundError):  # another process was first; so below
                    found.append((entry.stat().st_mtime_ns, entry.name))
    for when, name in sorted(found)[: max(0, len(found) + 1 - KEPT)]:
        with suppress(FileNotFoundError):
            if os.stat(folder / name).st_mtime_ns == when:
                os.unlink(folder / name)
