"""What an attempt has beside that a scheduler starts, maybe on another machine: a heartbeat, sealed secrets, a ticket,
and a wish that is seen on a network disk. Standard library only; Python 3.9 and newer, which may be all a node has.

Asked for by spec.json: `beat` (seconds between two beats), `sealed` (names of the variables in the secrets' file),
`ticket` (of the submission whose job may start the attempt).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from lfdash.supervisor.processes import boot_clock
from lfdash.supervisor.records import LEVELS, wished

BEAT = "beat"  # its content changes as long as the supervisor lives: seconds of nobody's clock are compared
BEAT_SIZE = 128  # bytes, written over each other: a full disk stops no beat
SEALED = "secrets"  # mode 0600; the supervisor takes it away as soon as it has the right to start
TICKET = "LFDASH_TICKET"
TOKENS = ("armed", *(f"stop.{level}" for level in LEVELS))  # the names that the one token has, in this order


class Heart:
    """Beats in an attempt's folder. every: seconds; None beats never."""

    def __init__(self, folder: str, every: float | None) -> None:
        self._path = os.path.join(folder, BEAT)
        self._every = every
        self._next = 0.0
        self._count = 0
        self._began = boot_clock()

    def stop(self) -> None:
        """Beats no more."""
        self._every = None

    def beat(self, **told: Any) -> None:
        """Beats if it is time. A disk that fails is no reason to stop a run."""
        if self._every is None or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self._every
        self._count += 1
        text = json.dumps({"count": self._count, "seconds": round(boot_clock() - self._began, 1), **told})
        with suppress(OSError):
            # closed after each beat: only then others see it on a network disk (close-to-open)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                os.pwrite(descriptor, text.ljust(BEAT_SIZE - 1)[: BEAT_SIZE - 1].encode() + b"\n", 0)
            finally:
                os.close(descriptor)


class WishWatch:
    """Sees a stop wish on a disk that remembers for a minute which names there are not (NFS, acdirmax).

    So only names that may be there are asked for, and by opening them: a name that is there is looked up anew. The
    token has one name at a time, and goes from one to the next.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._place = 0

    def look(self) -> str | None:
        """The hardest wish so far."""
        for place in range(self._place, len(TOKENS)):
            try:
                os.close(os.open(os.path.join(self._folder, TOKENS[place]), os.O_RDONLY | os.O_CLOEXEC))
            except FileNotFoundError:
                continue
            except OSError:  # not known: as before
                break
            self._place = place
            break
        else:  # renamed in between, or none is there
            return wished(self._folder)
        return LEVELS[self._place - 1] if self._place else None


def of_another_submission(spec: Mapping[str, Any], env: Mapping[str, str]) -> bool:
    """Whether this process is of a job that was submitted for another making of the attempt: of one that was taken
    back, and whose job came all the same."""
    ticket, own = spec.get("ticket"), env.get(TICKET)
    return bool(ticket and own and ticket != own)


def seal(folder: str, secrets: Mapping[str, str], file_name: str = SEALED) -> None:
    """Writes secrets for the supervisor: readable by this user alone. OSError, FileExistsError among them."""
    descriptor = os.open(os.path.join(folder, file_name), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        os.write(descriptor, json.dumps(dict(secrets)).encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sealed_of(rank: str) -> str:
    """The name of the file that holds the secrets of a node's part."""
    return f"{SEALED}.{rank}"


def take_sealed(folder: str, names: list[str], file_name: str = SEALED) -> dict[str, str]:
    """The secrets of an attempt; their file is gone afterwards. OSError, ValueError when they are not there."""
    if not names:
        return {}
    path = os.path.join(folder, file_name)
    with open(path, encoding="utf-8") as file:
        found = json.load(file)
    os.unlink(path)
    return {name: str(found[name]) for name in names}


def burn_sealed(folder: str) -> None:
    """Takes the secrets of an attempt away that nobody is to start, those of its nodes, too. OSError when they stay."""
    with suppress(FileNotFoundError):
        for name in os.listdir(folder):
            if name.partition(".")[0] == SEALED:
                with suppress(FileNotFoundError):
                    os.unlink(os.path.join(folder, name))
