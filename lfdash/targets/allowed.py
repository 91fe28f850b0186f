"""What a run's folder names, and what this user has used before: a folder may be somebody else's. A slurm.conf decides
which plugins Slurm's programs load, and an address where a token goes; so what only a folder says of both is not used.

Kept outside of every workspace, in $XDG_STATE_HOME/lfdash or ~/.local/state/lfdash: an empty file for each.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

FOLDER = "allowed"
ALLOWED: set[str] = set()  # by this process


def state_folder() -> Path:
    """Where this user's programs keep what they remember (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "lfdash"


def allow(*words: str) -> None:
    """Remembers that this user has used something by hand; where that cannot be written, this process alone does."""
    mark = mark_of(words)
    ALLOWED.add(mark)
    with suppress(OSError, RuntimeError):  # RuntimeError: a user without a home
        folder = state_folder() / FOLDER
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / mark).touch(mode=0o600)


def is_allowed(*words: str) -> bool:
    """Whether this user did."""
    mark = mark_of(words)
    if mark not in ALLOWED:
        try:
            found = os.path.exists(state_folder() / FOLDER / mark)
        except RuntimeError:
            return False
        if not found:
            return False
        ALLOWED.add(mark)
    return True


def mark_of(words: tuple[str, ...]) -> str:
    """The name under which something is remembered."""
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()
