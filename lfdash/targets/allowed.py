"""What a run's folder says, and what this user has done: a folder may be somebody else's. A slurm.conf decides which
plugins Slurm's programs load, an address where a token goes, and a job's name whose job is canceled; so what only a
folder says of them is not used.

Kept outside of every workspace, in $XDG_STATE_HOME/lfdash or ~/.local/state/lfdash: an empty file for each cluster, and
a key, with which what is said of a job is signed in its folder.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from contextlib import suppress
from pathlib import Path

from lfdash.files import read_bytes_file

FOLDER = "allowed"
KEY = "key"
KEY_BYTES = 32
ALLOWED: set[str] = set()  # by this process
OWN_KEY = secrets.token_bytes(KEY_BYTES)  # of this process alone, where none can be kept


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


def sign(*words: str) -> str:
    """What only this user's processes can say of something."""
    return hmac.new(key(), json.dumps(words).encode(), "sha256").hexdigest()


def is_signed(signature: object, *words: str) -> bool:
    """Whether they did say it."""
    return isinstance(signature, str) and signature.isascii() and hmac.compare_digest(signature, sign(*words))


def key() -> bytes:
    """This user's key; made where there is none. The same for all processes that can keep it."""
    try:
        folder = state_folder()
        path = folder / KEY
        found = read_bytes_file(path, limit=KEY_BYTES)
        if found is None:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = folder / f"{KEY}.{secrets.token_hex(4)}"
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(KEY_BYTES))
            with suppress(FileExistsError):  # another process was first
                os.link(draft, path)
            draft.unlink()
            found = read_bytes_file(path, limit=KEY_BYTES)
    except (OSError, RuntimeError):
        return OWN_KEY
    return found if found is not None and len(found) == KEY_BYTES else OWN_KEY
