"""The lines of a console log as bytes: where each begins and ends, and what kind it is.

A line ends with `\n`, `\r\n` or `\r`; one that ends with `\r` was overwritten by what came after it. A progress bar and
what a program printed behind it, without a line's end between them, are two lines.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from typing import NamedTuple

from lfdash.runs.tracebacks import HEADING

PLAIN, PROGRESS, METRIC, ERASED = 0, 1, 2, 3  # kinds; ERASED: blank and overwritten, never shown
LONGEST = 1 << 18  # bytes of a line that are looked at
HEAD = HEADING.encode()
LOSS = b"{'loss'"  # a step's row of metrics; those of an evaluation and of the end are no repetition
# tqdm: `12%|## | 3/25 [00:01<00:09, 2.3it/s]`
BAR = re.compile(rb"\d%\|[^|\r\n]{0,400}\|\s{0,9}[^\s\[/]{1,40}/[^\s\[]{1,40} \[[^\]\r\n]{0,400}\]")
RATE = re.compile(rb"(?:^|\s)[\d.,]{1,20}[kMGT]?(?: ?\w{1,30})? \[[^\[\]\r\n]{0,200}(?:/s|s/it)\][\s\x1b\[\dmA]{0,40}$")
BLANK = b" \t\r\n\0"
LINE_END = re.compile(rb"\r\n|\n|\r")
COLOURS = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")


class Line(NamedTuple):
    """A line of a log. start, end: bytes of the file, the line's end included. raw: what it holds, LONGEST at most."""

    start: int
    end: int
    kind: int
    raw: bytes


def parts(raw: bytes) -> tuple[tuple[int, int], ...]:
    """(length, kind) of the lines in what stands between two line ends: one, or a bar and what follows it. One that
    is as long as what is looked at is a plain one."""
    if len(raw) >= LONGEST:
        return ((len(raw), PLAIN),)
    bar = BAR.search(raw, max(0, raw.find(b"%|") - 1)) if b"%|" in raw else None
    if bar is None:
        return ((len(raw), kind_of(raw, raw.endswith(b"\r"))),)
    rest = raw[bar.end() :]
    if is_blank(rest):
        return ((len(raw), PROGRESS),)
    end = bar.end()
    if b"%|" in rest:  # bars may stand behind each other
        end = max(found.end() for found in BAR.finditer(raw))
        rest = raw[end:]
        if is_blank(rest):
            return ((len(raw), PROGRESS),)
    return ((end, PROGRESS), (len(rest), kind_of(rest, raw.endswith(b"\r"))))


def kind_of(raw: bytes, overwritten: bool) -> int:
    """The kind of a line without a bar."""
    if LOSS in raw:
        return PLAIN if HEAD in raw else METRIC
    if overwritten:
        return ERASED if is_blank(raw) else (PLAIN if HEAD in raw else PROGRESS)
    if b"/s]" in raw or b"s/it]" in raw:
        return PROGRESS if RATE.search(raw[-400:]) and HEAD not in raw else PLAIN
    return PLAIN


def is_blank(raw: bytes) -> bool:
    """Whether nothing of it can be seen."""
    return raw.isspace() or not (COLOURS.sub(b"", raw) if b"\x1b" in raw else raw).strip(BLANK)


def lines_in(data: bytes, start: int, stop: int = sys.maxsize) -> Iterator[Line]:
    """The lines of a text that begins at byte `start` of the file, the erased ones too; the last may have no end.
    stop: byte at which, or behind which, a bar begins no more (what stands behind one goes with it)."""
    for segment in data.splitlines(keepends=True):
        if start >= stop:
            return
        for length, kind in parts(segment):
            yield Line(start, start + length, kind, segment[:length] if length < len(segment) else segment)
            start, segment = start + length, segment[length:]


def whole(data: bytes) -> int:
    """How many bytes of a text are whole lines; behind a `\\r` at its end a `\\n` may follow."""
    return max(data.rfind(b"\n"), data.rfind(b"\r", 0, len(data) - 1)) + 1


def line_start(descriptor: int, place: int, most: int) -> int | None:
    """Where the first line of a file begins at byte `place` or behind it; None when none does in `most` bytes."""
    if not place:
        return 0
    for begin in range(place - 1, place + most, LONGEST):
        data = os.pread(descriptor, LONGEST + 1, begin)
        end = line_end(data)
        if 0 < end < len(data):
            return begin + end
        if len(data) <= LONGEST:
            return None
    return None


def line_end(data: bytes) -> int:
    """Where the first line of a text ends; 0 when it has no end."""
    feed = data.find(b"\n")
    back = data.find(b"\r", 0, feed) if feed >= 0 else data.find(b"\r")
    if back < 0:
        return feed + 1
    return back + 2 if data[back + 1 : back + 2] == b"\n" else back + 1


def read_lines(descriptor: int, begin: int, stop: int, size: int) -> Iterator[Line]:
    """The lines of a file that begin from byte `begin` (where one does) to before `stop`, each to its end (what stands
    behind a bar goes with it).

    size: where the file is taken to end. Reads LONGEST bytes at once, and of a longer line keeps no more.
    """
    while begin < min(stop, size):
        data = os.pread(descriptor, min(LONGEST, size - begin), begin)
        if not data:
            return
        at_end = begin + len(data) >= size
        length = len(data) if at_end else whole(data)
        if not length:
            end = long_end(descriptor, begin + len(data), size)
            yield Line(begin, end, PLAIN, data)
            begin = end
            continue
        yield from lines_in(data[:length], begin, stop)
        begin += length


def long_end(descriptor: int, begin: int, size: int) -> int:
    """Where a line ends of which the first LONGEST bytes had no end. begin: where those end."""
    while begin < size:
        data = os.pread(descriptor, min(LONGEST, size - begin), begin - 1)
        found = LINE_END.search(data, 0 if data[:1] == b"\r" else 1)
        if found and (found.end() < len(data) or found.group() != b"\r"):
            return begin - 1 + found.end()
        begin += max(1, len(data) - 1)
    return size


def segment_start(descriptor: int, place: int) -> int:
    """Where what stands between two line ends begins, of which a line begins at byte `place`: before it when that is
    what stands behind a bar."""
    for most in (1 << 12, LONGEST):
        begin = max(0, place - most)
        data = os.pread(descriptor, place - begin, begin)
        found = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        if found or not begin:
            return begin + found
    return place
