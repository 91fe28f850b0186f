"""Reads files that grow: whole lines only, each exactly once, in bounded memory."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from lfdash.files import is_absent, open_descriptor, open_plain, quick_json, read_up_to

LogRow = dict[str, Any]

CHUNK = 1 << 20  # bytes read at once
HEAD = 256  # first bytes remembered: of two trainer logs they differ in speed, if in nothing else
LONGEST = 1 << 18  # bytes of a line that are kept while it has no end
UNREAD = 1 << 26  # bytes; a log that is that far ahead is not read through


@dataclass(frozen=True)
class Cursor:
    """How far a file was read. `inode`, `head` (its first bytes): which file; `rest`: a line begun; `bad`: lines
    that were no rows; `inside`: whether this is within a line that is too long to be read.

    `generation` counts how often the file was found truncated or replaced: rows read before are void then.
    """

    offset: int = 0
    inode: int | None = None
    head: bytes = b""
    rest: bytes = b""
    bad: int = 0
    generation: int = 0
    inside: bool = False

    def fits(self, file: BinaryIO) -> bool:
        """Whether an open file is the one that was read, and not cut since."""
        found = os.fstat(file.fileno())
        file.seek(0)
        same = self.inode in (None, found.st_ino) and file.read(HEAD).startswith(self.head)
        return same and found.st_size >= self.offset

    def moved(self, file: BinaryIO, rest: bytes = b"", bad: int = 0) -> Cursor:
        """The cursor at the place up to which `file` has been read."""
        offset = file.tell()
        file.seek(0)
        head = file.read(min(HEAD, offset))
        return Cursor(offset, os.fstat(file.fileno()).st_ino, head, rest, bad, self.generation)


def read_lines(path: Path, cursor: Cursor, limit: int | None = None) -> tuple[list[bytes], Cursor]:
    """The lines that a file gained since `cursor`, and the cursor to go on from.

    A line counts when its newline is there. A missing file gives none. When the file was truncated or replaced
    (seen by its inode, size and first bytes), it is read from the start and `generation` grows. limit: bytes to
    read at most, None = all that is there.
    """
    try:
        file = open_plain(path)
    except OSError:
        return [], cursor
    with file:
        if not cursor.fits(file):
            cursor = Cursor(bad=cursor.bad, generation=cursor.generation + 1)
        file.seek(cursor.offset)
        found: list[bytes] = []
        rest = cursor.rest
        left = sys.maxsize if limit is None else limit
        while chunk := file.read(min(CHUNK, left)):
            left -= len(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            found += lines
            rest = rest[:LONGEST]
        return found, cursor.moved(file, rest, cursor.bad)


def read_whole(path: Path | str, cursor: Cursor, limit: int, ends: bytes = b"\n") -> tuple[bytes, Cursor, bool]:
    """The whole lines, in one piece, that a file gained since `cursor`, the cursor to go on from, and whether that is
    the file's end; of a line that is not over yet nothing. See `read_lines`; a line of more than `limit` bytes is
    passed over.

    limit: bytes to read at most. ends: the bytes each of which ends a line.
    """
    try:
        file = open_plain(path)
    except OSError:
        return b"", cursor, True
    with file:
        if not cursor.fits(file):
            cursor = Cursor(bad=cursor.bad, generation=cursor.generation + 1)
        file.seek(cursor.offset)
        data = file.read(limit)
        first, last = -1, max(data.rfind(end) for end in ends)
        if cursor.inside:
            first = min((place for end in ends if (place := data.find(end)) >= 0), default=-1)
        passed = last < 0 and (cursor.inside or len(data) == limit)  # within a line that is too long
        file.seek(cursor.offset + (len(data) if passed else last + 1))
        moved = replace(cursor.moved(file, bad=cursor.bad), inside=passed)
        return data[first + 1 : last + 1], moved, len(data) < limit


def skipped(path: Path, cursor: Cursor) -> Cursor | None:
    """A cursor at the end of a file of which too much is unread; None when it can be read through."""
    try:
        with open_plain(path) as file:
            if file.seek(0, 2) - cursor.offset > UNREAD:
                return cursor.moved(file)
    except OSError:
        pass
    return None


def read_new(path: Path, cursor: Cursor, limit: int | None = None) -> tuple[list[LogRow], Cursor]:
    """The rows that a JSON-lines file gained since `cursor`; see `read_lines`.

    NaN and Infinity are accepted (LLaMA-Factory writes bare ones); garbage is counted, not raised.
    """
    lines, cursor = read_lines(path, cursor, limit)
    rows: list[LogRow] = []
    bad = parse(lines, rows)
    return rows, replace(cursor, bad=cursor.bad + bad)


def parse(lines: list[bytes], rows: list[LogRow]) -> int:
    """Appends the mappings among JSON `lines` to `rows`; how many other non-empty lines there were.

    A key whose value is null is left out: LLaMA-Factory until 0.8 wrote every key into every line.
    """
    bad = 0
    for line in lines:
        line = line.strip(b"\0 \r\t")
        if not line:
            continue
        try:
            row = quick_json(line)
        except (ValueError, RecursionError):  # also UnicodeDecodeError
            row = None
        if isinstance(row, dict):
            rows.append({key: value for key, value in row.items() if value is not None} if has_null(row) else row)
        else:
            bad += 1
    return bad


def has_null(row: LogRow) -> bool:
    """Whether a row has a key without a value."""
    return any(value is None for value in row.values())


def read_last(path: Path | str, size: int = 1 << 16) -> list[LogRow]:
    """The rows in the last `size` bytes of a JSON-lines file; a cut first and an open last line are left out. OSError
    as `tail_bytes`."""
    rows: list[LogRow] = []
    lines = tail_bytes(path, size).split(b"\n")
    parse(lines[:-1], rows)
    return rows


def tail_bytes(path: Path | str, size: int, start: int = 0) -> bytes:
    """At most the last `size` bytes of a file from `start` on, cut at a line's beginning; empty when there is no such
    plain file. OSError when reading failed."""
    try:
        descriptor, end = open_descriptor(path)
        try:
            begin = max(start, end - size)
            os.lseek(descriptor, begin, os.SEEK_SET)
            data = read_up_to(descriptor, max(0, end - begin), sys.maxsize)
        finally:
            os.close(descriptor)
    except OSError as error:
        if is_absent(error):
            return b""
        raise
    return data[data.find(b"\n") + 1 :] if begin > start else data

