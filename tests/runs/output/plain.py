"""A log read the plain way: whole, byte by byte, without an index. What the quick one is compared with."""

from __future__ import annotations

from dataclasses import dataclass

from lfdash.runs.output import lines as module
from lfdash.runs.output.levels import Levels
from lfdash.runs.output.lines import ERASED, METRIC, PLAIN, PROGRESS, Line, is_blank, parts


def segments(data: bytes) -> list[bytes]:
    """What stands between line ends, with its end."""
    found, begun = [], b""
    for place in range(len(data)):
        begun += data[place : place + 1]
        ended = begun.endswith(b"\n") or (begun.endswith(b"\r") and data[place + 1 : place + 2] != b"\n")
        if ended:
            found.append(begun)
            begun = b""
    return [*found, begun] if begun else found


def whole_text(data: bytes) -> bytes:
    """The text without a last line that has no end."""
    every = segments(data)
    if every and not every[-1].endswith(b"\n"):
        every.pop()
    return b"".join(every)


def lines(data: bytes) -> list[Line]:
    """All lines, the erased ones too."""
    found, place = [], 0
    for segment in segments(data):
        for length, kind in parts(segment):
            raw, segment = segment[:length], segment[length:]
            found.append(Line(place, place + length, kind, raw[: module.LONGEST]))
            place += length
    return found


@dataclass
class Seen:
    """A line that is shown."""

    start: int
    kind: int
    level: int
    raw: bytes


def shown(data: bytes, least: int = 0) -> list[Seen]:
    """The lines that are shown with nothing folded."""
    levels = Levels()
    found = [Seen(one.start, one.kind, levels.of(one), one.raw) for one in lines(data) if one.kind != ERASED]
    return [one for one in found if one.level >= least]


def repetitions(data: bytes) -> list[tuple[int, int] | int]:
    """Each line outside of repetitions by where it begins, and each repetition by its number of progress and of
    metric lines; without blank lines."""
    found: list[tuple[int, int] | int] = []
    run: list[Seen] = []
    for one in [*shown(data), Seen(-1, PLAIN, 0, b"end")]:
        if one.kind in (PROGRESS, METRIC):
            run.append(one)
        if one.kind or is_blank(one.raw):
            continue
        if run:
            found.append((sum(x.kind == PROGRESS for x in run), sum(x.kind == METRIC for x in run)))
            run = []
        found.append(one.start)
    return found[:-1]
