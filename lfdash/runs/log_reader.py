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
MASKED = ord("*")  # what the parent of a run writes over a secret


@dataclass(frozen=True)
class Cursor:
    """How far a file was read. `inode`, `head` (its first bytes), `tail` (the last that were read): which file;
    `rest`: a line begun; `bad`: lines that were no rows; `inside`: whether this is within a line that is too long to
    be read.

    `generation` counts how often the file was found gone, truncated, rewritten or replaced: rows read before are void
    then.
    """

    offset: int = 0
    inode: int | None = None
    head: bytes = b""
    tail: bytes = b""
    rest: bytes = b""
    bad: int = 0
    generation: int = 0
    inside: bool = False

    def fits(self, file: BinaryIO) -> bool:
        """Whether an open file is the one that was read, and not cut or rewritten since."""
        descriptor = file.fileno()
        found = os.fstat(descriptor)
        if self.inode not in (None, found.st_ino) or found.st_size < self.offset:
            return False
        ends = ((self.head, 0), (self.tail, self.offset - len(self.tail)))
        return all(is_same(known, os.pread(descriptor, len(known), place)) for known, place in ends if known)

    def moved(self, file: BinaryIO, rest: bytes = b"", bad: int = 0) -> Cursor:
        """The cursor at the place up to which `file` has been read."""
        offset, descriptor = file.tell(), file.fileno()
        head = os.pread(descriptor, min(HEAD, offset), 0)
        tail = os.pread(descriptor, HEAD, offset - HEAD) if offset > HEAD else b""
        return Cursor(offset, os.fstat(descriptor).st_ino, head, tail, rest, bad, self.generation)

    def anew(self) -> Cursor:
        """The cursor for what has taken the place of the file that was read."""
        return Cursor(bad=self.bad, generation=self.generation + 1)

    def gone(self) -> Cursor:
        """The cursor when there is no such file; the same where nothing was read of any."""
        return self.anew() if self.offset else self


def is_same(known: bytes, found: bytes) -> bool:
    """Whether these are the bytes that were read; a run's parent may have written over secrets since."""
    return known == found or (
        len(known) == len(found)
        and all(new in (old, MASKED) for old, new in zip(known, found, strict=True))
    )


def open_or_none(path: Path | str) -> BinaryIO | None:
    """A plain file, opened; None where there is none. OSError when that cannot be known."""
    try:
        return open_plain(path)
    except OSError as error:
        if is_absent(error):
            return None
        raise


def read_lines(path: Path, cursor: Cursor, limit: int | None = None) -> tuple[list[bytes], Cursor]:
    """The lines that a file gained since `cursor`, and the cursor to go on from.

    A line counts when its newline is there. A missing file gives none. When the file is gone, was truncated, rewritten
    or replaced (seen by its inode, its size, its first bytes and the last that were read), it is read from the start
    and `generation` grows. limit: bytes to read at most, None = all that is there. OSError when reading failed.
    """
    file = open_or_none(path)
    if file is None:
        return [], cursor.gone()
    with file:
        if not cursor.fits(file):
            cursor = cursor.anew()
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


def read_whole(
    path: Path | str, cursor: Cursor, limit: int, ends: bytes = b"\n", *, rows: bool = False
) -> tuple[bytes, Cursor, bool]:
    """The whole lines, in one piece, that a file gained since `cursor`, the cursor to go on from, and whether that is
    the file's end; of a line that is not over yet nothing. See `read_lines`; a line of more than `limit` bytes is
    passed over.

    limit: bytes to read at most. ends: the bytes each of which ends a line. rows: whether the lines are JSON, so that a
    last line is over that is a whole object, though its newline is not there (yet).
    """
    file = open_or_none(path)
    if file is None:
        return b"", cursor.gone(), True
    with file:
        if not cursor.fits(file):
            cursor = cursor.anew()
        file.seek(cursor.offset)
        data = file.read(limit)
        first, last = -1, max(data.rfind(end) for end in ends)
        if cursor.inside:
            first = min((place for end in ends if (place := data.find(end)) >= 0), default=-1)
        passed = last < 0 and (cursor.inside or len(data) == limit)  # within a line that is too long
        whole = rows and not passed and (last >= 0 or not cursor.inside) and is_row(data[last + 1 :])
        last = len(data) - 1 if whole else last
        file.seek(cursor.offset + (len(data) if passed else last + 1))
        moved = replace(cursor.moved(file, bad=cursor.bad), inside=passed)
        return data[first + 1 : last + 1] + (b"\n" if whole else b""), moved, len(data) < limit


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
    if is_row(cursor.rest):
        lines, cursor = [*lines, cursor.rest], replace(cursor, rest=b"")  # its newline will be an empty line
    rows: list[LogRow] = []
    bad = parse(lines, rows)
    return rows, replace(cursor, bad=cursor.bad + bad)


def is_row(line: bytes) -> bool:
    """Whether a line without its newline is a whole row: no part of one is valid JSON."""
    if not line.rstrip(b"\0 \r\t").endswith(b"}"):
        return False
    rows: list[LogRow] = []
    return parse([line], rows) == 0 and bool(rows)


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
    """The rows in the last `size` bytes of a JSON-lines file; a cut first and a last line that is not whole are left
    out. OSError as `tail_bytes`."""
    rows: list[LogRow] = []
    *lines, last = tail_bytes(path, size).split(b"\n")
    parse([*lines, last] if is_row(last) else lines, rows)
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

