"""When a file was made on this disk: of a copy, that is when it was copied, whatever its time of change says."""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from functools import lru_cache
from typing import Any

HERE = -100  # AT_FDCWD: a path from the present folder
BIRTH = 0x800  # STATX_BTIME: what is asked for, and whether it is known
ROOM = 256  # bytes of struct statx (linux/stat.h)
AT = 80  # where its birth stands: seconds, then nanoseconds


@lru_cache(maxsize=1)
def statx() -> Any:
    """The C library's statx, which Python's os.stat does not ask; None where there is none."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        return ctypes.CDLL(None, use_errno=True).statx
    except (OSError, AttributeError):
        return None


def born(path: str | os.PathLike[str]) -> float | None:
    """Epoch seconds at which a file was made; None where that is not known: there is none, or its file system does not
    keep that (NFS)."""
    ask = statx()
    if ask is None:
        try:
            return getattr(os.stat(path), "st_birthtime", None)  # macOS, BSD
        except OSError:
            return None
    room = ctypes.create_string_buffer(ROOM)
    if ask(HERE, os.fsencode(path), 0, BIRTH, room) != 0:
        return None
    (mask,) = struct.unpack_from("=I", room, 0)
    seconds, nanoseconds = struct.unpack_from("=qI", room, AT)
    return float(seconds) + nanoseconds / 1e9 if mask & BIRTH else None
