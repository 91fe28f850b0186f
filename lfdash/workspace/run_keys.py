"""The keys that runs get with their start: one a run and attempt, in files that only their owner can read.

A run that serves asks everybody for its key. The dashboard may be started anew while it goes on, so the key is kept
beside the queue; never in the run's folder, which people copy and share.
"""

from __future__ import annotations

import math
import os
import re
import secrets
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from lfdash.files import read_text_file
from lfdash.jobs.kinds import KEY_VARIABLE

FOLDER = "keys"
NAME = re.compile(r"(.{1,80})\.(\d{1,6})")
BYTES = 24  # of a key, before they are written as 32 letters
MADE = re.compile(r"[A-Za-z0-9_-]{32}")


class RunKeys:
    """Makes and keeps the keys of a workspace's runs.

    private: the dashboard's own folder of the workspace. hide: called with (variable, key) for each key that is made
    or read, so that it is hidden wherever texts are shown.
    """

    def __init__(self, private: Path, hide: Callable[[str, str], None] = lambda name, value: None) -> None:
        self.folder = private / FOLDER
        self._hide = hide

    def _path(self, run_id: str, attempt: int) -> Path:
        return self.folder / f"{run_id}.{attempt}"

    def make(self, run_id: str, attempt: int) -> str:
        """A new random key for an attempt, kept before it is given out. OSError when it cannot be kept."""
        key = secrets.token_urlsafe(BYTES)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._path(run_id, attempt)
        with suppress(FileNotFoundError):
            path.unlink()  # of a start that was refused; its permissions may be others
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(key)
        self._hide(KEY_VARIABLE, key)
        return key

    def read(self, run_id: str, attempt: int) -> str:
        """The key of an attempt; "" where none is kept, or what is kept is none."""
        text = read_text_file(self._path(run_id, attempt))
        if not isinstance(text, str) or not MADE.fullmatch(text):
            return ""
        self._hide(KEY_VARIABLE, text)
        return text

    def forget(self, run_id: str, attempt: int) -> None:
        """Removes a key."""
        with suppress(OSError):
            self._path(run_id, attempt).unlink()

    def keep_only(self, alive: Callable[[], Iterable[tuple[str, int]] | None], older_s: float = 0.0) -> None:
        """Removes the keys of all attempts but these (run id, attempt). older_s: seconds that a key has at least.

        alive: asked after the keys were looked at, so that whoever sleeps in between takes away no key of a start that
        it has not seen; None where it is not known.
        """
        try:
            names = os.listdir(self.folder)
        except OSError:
            return
        found = [match for name in names if (match := NAME.fullmatch(name)) and self._age(name) >= older_s]
        wanted = alive() if found else None
        if wanted is None:
            return
        kept = set(wanted)
        for match in found:
            if (match[1], int(match[2])) not in kept:
                self.forget(match[1], int(match[2]))

    def _age(self, name: str) -> float:
        """Seconds since a key was made; one from the future is as old as can be."""
        try:
            age = time.time() - os.stat(self.folder / name).st_mtime
        except OSError:
            return 0.0
        return age if age >= 0 else math.inf
