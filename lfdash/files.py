"""Reading plain files, and writing files whole: a reader sees the old content or the new, never half of it."""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import msgspec

from lfdash.errors import RecordError
from lfdash.supervisor.failpoints import hit
from lfdash.supervisor.records import sync_folder


def write_text_atomic(path: Path, text: str, *, durable: bool = True) -> None:
    """Replaces a file so that a reader sees the old or the new one, never half; OSError leaves the old one.

    durable: the new content is on the disk when this returns, also after a power cut; costs a wait for the disk.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        hit(f"write.{path.name}")
        os.replace(temporary, path)
    except (OSError, UnicodeError):
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(str(path.parent))


FileMark = tuple[int, int, int]


def readable(name: str) -> str:
    """A file's name as it can be shown: file systems take any bytes."""
    return name.encode("utf-8", "replace").decode()


def file_mark(path: Path) -> FileMark | None:
    """What a file's content is known by, cheaply: time of change (ns), size, inode. None when it is missing."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def read_json(path: Path) -> dict[str, Any]:
    """The mapping in a JSON file; empty when it is missing or broken."""
    try:
        found = json.loads(read_plain(path))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


T = TypeVar("T")


def as_record(kind: type[T], data: Any, file: str) -> T:
    """JSON data as a frozen dataclass; unknown keys are ignored. file: the name of where they come from.

    RecordError says where a value is missing, or is of another kind than the field.
    """
    try:
        return msgspec.convert(data, kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise RecordError(f"{file} cannot be read: {error}") from error


# not every system has all of these
PLAIN = sum(getattr(os, name, 0) for name in ("O_RDONLY", "O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))


def open_plain(path: Path) -> BinaryIO:
    """Opens a file of a run for reading. OSError for what is no plain file: a link may lead anywhere, and a pipe would
    be waited for."""
    descriptor = os.open(path, PLAIN)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a plain file", str(path))
    return os.fdopen(descriptor, "rb")


def read_plain(path: Path) -> str:
    """The text of a file of a run. OSError as `open_plain`, UnicodeDecodeError for what is no text."""
    with open_plain(path) as file:
        return file.read().decode("utf-8")
