"""Reading plain files, and writing files whole: a reader sees the old content or the new, never half of it."""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
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
    write_bytes_atomic(path, text.encode(), durable=durable)


def write_bytes_atomic(path: Path, content: bytes, *, durable: bool = True) -> None:
    """As `write_text_atomic`."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        hit(f"write.{path.name}")
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(str(path.parent))


FileMark = tuple[int, int, int]


def readable(name: str) -> str:
    """A file's name as it can be shown: file systems take any bytes."""
    return name.encode("utf-8", "replace").decode()


def file_mark(path: Path | str) -> FileMark | None:
    """What a file's content is known by, cheaply: time of change (ns), size, inode. None when it is missing."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


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
    except (msgspec.ValidationError, ValueError, RecursionError, OverflowError) as error:
        raise RecordError(f"{file} cannot be read: {error}") from error


DECODERS: dict[type, msgspec.json.Decoder[Any]] = {}


def record_from_text(kind: type[T], text: str, file: str) -> T:
    """As `as_record`, from a JSON text, and several times as quick as by way of its data."""
    decoder = DECODERS.get(kind)
    if decoder is None:
        decoder = DECODERS[kind] = msgspec.json.Decoder(kind)
    try:
        found: T = decoder.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError, OverflowError):  # it may be JSON that is less strict
        data = parse_mapping(text)
        return as_record(kind, {} if isinstance(data, Unreadable) else data, file)
    return found


# not every system has all of these
FOLLOWING = sum(getattr(os, name, 0) for name in ("O_RDONLY", "O_CLOEXEC", "O_NONBLOCK", "O_BINARY"))
PLAIN = FOLLOWING | getattr(os, "O_NOFOLLOW", 0)


def open_plain(path: Path | str, *, follow: bool = False) -> BinaryIO:
    """Opens a file of a run for reading. OSError for what is no plain file: a link may lead anywhere, and a pipe would
    be waited for. follow: a link to a plain file will do, too."""
    return os.fdopen(open_descriptor(path, follow=follow)[0], "rb")


def open_descriptor(path: Path | str, *, follow: bool = False, within: int | None = None) -> tuple[int, int]:
    """As `open_plain`, without a file object: the descriptor, which the caller closes, and the file's size. within: a
    descriptor of the folder that a relative path begins at (`open_folder`)."""
    descriptor = os.open(path, FOLLOWING if follow else PLAIN, dir_fd=within)
    try:
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode):
            return descriptor, found.st_size
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    raise OSError(errno.EINVAL, "not a plain file", str(path))


def read_edges(path: Path | str, edge: int) -> tuple[bytes, bytes]:
    """The first and the last `edge` bytes of a plain file; the same bytes twice where it is shorter. OSError as
    `open_plain`."""
    descriptor, size = open_descriptor(path)
    try:
        head = os.pread(descriptor, edge, 0)
        return head, head if size <= edge else os.pread(descriptor, edge, size - edge)
    finally:
        os.close(descriptor)


def read_up_to(descriptor: int, size: int, most: int) -> bytes:
    """What a descriptor gives up to the file's end, at most `most` bytes. size: what is expected to be there."""
    content = os.read(descriptor, min(size + 1, most))
    if len(content) == size:  # one more was asked for: that was the end
        return content
    parts, count = [content], len(content)
    while parts[-1] and count < most:
        parts.append(os.read(descriptor, min(1 << 20, most - count)))
        count += len(parts[-1])
    return b"".join(parts)


def read_plain(path: Path) -> str:
    """The text of a file of a run. OSError as `open_plain`, UnicodeDecodeError for what is no text."""
    with open_plain(path) as file:
        return file.read().decode("utf-8")


# -- folders, no link followed -------------------------------------------------------------------------------

FOLDER = FOLLOWING | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)


@contextmanager
def open_folder(root: Path, folder: Path, *, make: bool = False) -> Iterator[int]:
    """A descriptor of a folder in `root` (both absolute and without links); what is done with names relative to it is
    done there, whoever puts a link in its way meanwhile. make: folders that are missing below `root`.

    OSError when a link is on the way, or the disk does not let it.
    """
    descriptor = os.open(root, FOLDER)
    try:
        for part in folder.relative_to(root).parts:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(part, dir_fd=descriptor)
            outer, descriptor = descriptor, os.open(part, FOLDER, dir_fd=descriptor)
            os.close(outer)
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def only_writer(folder: Path, seconds: float = 2.0) -> Iterator[None]:
    """Keeps other processes and threads out that want the same, as long as they ask; for a change of a small file that
    goes by what it was before. BlockingIOError when another one has not let go in time. Where the file system has no
    such locks, nobody is kept out."""
    descriptor, end = os.open(folder, FOLLOWING), time.monotonic() + seconds
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.005)
            except OSError:
                break
        yield
    finally:
        os.close(descriptor)


# -- small files of ours: what cannot be read is never taken for what is not there ------------------------

MOST_BYTES = 4 << 20  # of a small file; the largest that is written here has some hundred kilobytes
MOST_DEPTH = 64  # lists and mappings within each other; ours have less than ten
NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
NOT_PLAIN = (errno.EINVAL, errno.ELOOP, errno.EISDIR, errno.ENXIO)


@dataclass(frozen=True)
class Absent:
    """There is no such file."""


@dataclass(frozen=True)
class Unreadable:
    """There is something, and it cannot be read. reason: English, for people; without the path.

    failure: the errno of a read that failed, which may succeed the next time. None: the content is no such file as
    it should be (or it is no file at all), and stays so until somebody changes it.
    """

    reason: str
    failure: int | None = None


ABSENT = Absent()


def read_text_file(
    path: Path | str, *, limit: int = MOST_BYTES, follow: bool = False, errors: str = "strict"
) -> str | Absent | Unreadable:
    """The text of a small plain file in UTF-8. Never raises, never waits for a pipe.

    limit: bytes; a larger file is not read. follow: whether the file may be a link. errors: what is done with bytes
    that are no text, as for `bytes.decode`.
    """
    try:
        descriptor, size = open_descriptor(path, follow=follow)
        try:
            content = read_up_to(descriptor, size, limit + 1)
        finally:
            os.close(descriptor)
        if len(content) > limit:
            return Unreadable(f"larger than {limit:,} bytes")
        return content.decode("utf-8", errors)
    except OSError as error:
        if error.errno in NOT_THERE:
            return ABSENT
        if error.errno in NOT_PLAIN:
            return Unreadable("not a plain file")
        return Unreadable(error.strerror or type(error).__name__, error.errno or errno.EIO)
    except UnicodeDecodeError:
        return Unreadable("not valid UTF-8 text")
    except ValueError:  # no path can have that name
        return ABSENT
    except MemoryError:
        return Unreadable(os.strerror(errno.ENOMEM), errno.ENOMEM)


def read_bytes_file(path: Path | str, *, limit: int) -> bytes | None:
    """The content of a plain file of at most `limit` bytes; None where there is none, or it cannot be read."""
    try:
        descriptor, size = open_descriptor(path)
        try:
            content = read_up_to(descriptor, size, limit + 1)
        finally:
            os.close(descriptor)
    except (OSError, ValueError, MemoryError):
        return None
    return content if len(content) <= limit else None


def read_json_file(
    path: Path | str, *, limit: int = MOST_BYTES, follow: bool = False
) -> dict[str, Any] | Absent | Unreadable:
    """The mapping in a small JSON file, as `read_text_file` reads it; at most MOST_DEPTH deep."""
    text = read_text_file(path, limit=limit, follow=follow)
    return parse_mapping(text) if isinstance(text, str) else text


def parse_mapping(text: str) -> dict[str, Any] | Unreadable:
    """The mapping that a JSON text holds; at most MOST_DEPTH deep, so that whoever walks through it gets to its end."""
    try:
        found = quick_json(text)
    except RecursionError:
        return Unreadable("nested too deeply")
    except MemoryError:
        return Unreadable(os.strerror(errno.ENOMEM), errno.ENOMEM)
    except ValueError as error:
        return Unreadable(f"not JSON: {error}")
    if not isinstance(found, dict):
        return Unreadable("not a JSON object")
    few = text.count("{") + text.count("[") <= MOST_DEPTH
    return found if few or is_shallow(found) else Unreadable("nested too deeply")


decode_quickly = msgspec.json.Decoder().decode


def quick_json(text: str | bytes) -> Any:
    """What `json.loads` makes of a text, in a fifth of the time; an integer of more than 64 bits becomes a float.

    ValueError and RecursionError as there: it is asked wherever the quick reader, which is stricter (it knows no NaN),
    does not understand a text.
    """
    try:
        return decode_quickly(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return json.loads(text)


def is_absent(error: OSError) -> bool:
    """Whether an error says that there is no such plain file; any other one is a read that failed."""
    return error.errno in NOT_THERE or error.errno in NOT_PLAIN


def look_json(path: Path | str, *, limit: int = MOST_BYTES) -> dict[str, Any]:
    """The mapping in a small JSON file; empty where there is none, or something else. OSError when reading failed, so
    that nothing is known."""
    found = read_json_file(path, limit=limit)
    if isinstance(found, Unreadable) and found.failure is not None:
        raise OSError(found.failure, found.reason, str(path))
    return found if isinstance(found, dict) else {}


def look_record(kind: type[T], path: Path | str) -> T | None:
    """A small JSON file as a frozen dataclass; None where there is none, or something else. OSError when reading
    failed, so that nothing is known."""
    text = read_text_file(path)
    if isinstance(text, Unreadable) and text.failure is not None:
        raise OSError(text.failure, text.reason, str(path))
    try:
        return record_from_text(kind, text, "") if isinstance(text, str) else None
    except RecordError:
        return None


def look_mark(path: Path | str) -> FileMark | None:
    """As `file_mark`; OSError when it cannot be known whether there is such a file."""
    try:
        found = os.stat(path)
    except OSError as error:
        if error.errno in NOT_THERE:
            return None
        raise
    return found.st_mtime_ns, found.st_size, found.st_ino


def is_shallow(data: Any) -> bool:
    """Whether JSON data are at most MOST_DEPTH deep."""
    level = [data]
    for _ in range(MOST_DEPTH):
        values = (item.values() if isinstance(item, dict) else item for item in level)
        level = [value for inner in values for value in inner if isinstance(value, (dict, list))]
        if not level:
            return True
    return False


def real_number(value: object) -> float | None:
    """A number that was read from a file, as a float; None for what is none, not finite, or too large for one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
