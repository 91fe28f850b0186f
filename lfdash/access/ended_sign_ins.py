"""Sign-ins that somebody has ended, for as long as their cookies would live.

A cookie says by itself who signed in, so a copy that was kept (a backup, a stolen disk) would be good for a month after
the sign-out. An empty file per ended sign-in, named by its digest, makes it void: nothing is read, two dashboards on a
workspace need no lock, and neither a restart nor a power cut forgets it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from lfdash.supervisor.records import sync_folder

KEPT = 32 * 24 * 3600  # seconds; Streamlit takes a cookie for 31 days
DIGEST = re.compile(r"[0-9a-f]{64}")


def digests(cookies: Mapping[str, str], name: str) -> tuple[str, ...]:
    """What the sign-in in these cookies is known by. name: of the cookie; a long one goes on in `name_1`.

    Only what is signed counts: the signature itself can be spelled in several ways.
    """
    parts = [(part, cookies[part].rpartition(".")[0]) for part in (name, f"{name}_1") if part in cookies]
    return tuple(hashlib.sha256(f"{part}={signed}".encode("utf-8", "replace")).hexdigest() for part, signed in parts)


class EndedSignIns:
    """The list, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.known: set[str] = set()

    def add(self, ended: Iterable[str]) -> None:
        """Notes that sign-ins are over, and forgets those whose cookies are. OSError when the disk does not keep it:
        then they are over until this server ends."""
        ended = tuple(ended)
        self.known.update(ended)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for digest in ended:
            os.close(os.open(self.folder / digest, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        sync_folder(str(self.folder))
        sync_folder(str(self.folder.parent))
        self.forget_old()

    def holds(self, asked: Iterable[str]) -> bool:
        """Whether any of them is over. OSError when that cannot be seen."""
        for digest in asked:
            if digest in self.known:
                return True
            with contextlib.suppress(FileNotFoundError):
                os.lstat(self.folder / digest)
                self.known.add(digest)
                return True
        return False

    def forget_old(self) -> None:
        """Takes away what no cookie can ask for any more."""
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if DIGEST.fullmatch(entry.name) and time.time() - entry.stat(follow_symlinks=False).st_mtime > KEPT:
                    os.unlink(entry.path)
