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
VERY_FAR = 1 << 31  # bytes in which its beginning is
FAR = 1 << 26  # bytes in which the end of a longer one is looked for
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
            end = long_end(descriptor, begin + len(data), min(size, begin + FAR))
            yield Line(begin, end or min(size, begin + FAR), PLAIN, data)
            if end is None:
                return
            begin = end
            continue
        yield from lines_in(data[:length], begin, stop)
        begin += length


def long_end(descriptor: int, begin: int, stop: int) -> int | None:
    """Where a line ends that has no end before byte `begin`; None when it has none before `stop`, or at it when more
    may come."""
    while begin < stop:
        data = os.pread(descriptor, min(LONGEST, stop - begin) + 1, begin - 1)
        end = line_end(data[1:]) if data[:1] != b"\r" else line_end(data) - 1
        if (data[:1] == b"\r" and len(data) > 1) or 0 < end < len(data) - 1 or (end and data.endswith(b"\n")):
            return begin + end
        begin += max(1, len(data) - 2)
    return None


def segment_start(descriptor: int, place: int) -> int:
    """Where what stands between two line ends begins, of which a line begins at byte `place`: before it when that is
    what stands behind a bar."""
    end, size = place, 1 << 12
    while end > 0 and place - end < VERY_FAR:
        begin = max(0, end - size)
        data = os.pread(descriptor, end - begin, begin)
        found = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        if found:
            return begin + found
        end, size = begin, 1 << 22
    return end
