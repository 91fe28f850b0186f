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
import logging
import os
import secrets
from contextlib import suppress
from pathlib import Path

from lfdash.files import open_descriptor, read_up_to

logger = logging.getLogger(__name__)
FOLDER = "allowed"
KEY = "key"
KEY_BYTES = 32
ALLOWED: set[str] = set()  # by this process
UNKEPT: list[bool] = []  # whether that was said
OWN_KEY = secrets.token_bytes(KEY_BYTES)  # of this process alone, where none can be kept


def state_folder() -> Path:
    """Where this user's programs keep what they remember (XDG Base Directory Specification)."""
    told = Path(os.environ.get("XDG_STATE_HOME") or ".")
    return (told if told.is_absolute() else Path.home() / ".local" / "state") / "lfdash"  # a relative one is none


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
    """This user's key; made where there is none, or half of one. The same for all processes that can keep it."""
    try:
        path = state_folder() / KEY
        found = kept(path)
        if found is None or len(found) != KEY_BYTES:
            make_key(path, found is not None)
            found = kept(path)
    except (OSError, RuntimeError) as error:
        if not UNKEPT:
            logger.warning("no key can be kept, so no other process of yours may cancel a job of this one: %s", error)
        UNKEPT.append(True)
        return OWN_KEY
    return found or OWN_KEY


def kept(path: Path) -> bytes | None:
    """What lies there; None where nothing does. OSError."""
    try:
        descriptor, size = open_descriptor(path)
    except FileNotFoundError:
        return None
    try:
        return read_up_to(descriptor, size, KEY_BYTES + 1)
    finally:
        os.close(descriptor)


def make_key(path: Path, spoiled: bool) -> None:
    """Makes a key, whole and once. spoiled: what lies there is none, as after a disk that was full. OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{KEY}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        if spoiled:
            logger.warning("%s is no key: another one is made", path)
            path.unlink(missing_ok=True)
        with suppress(FileExistsError):  # another process was first
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
