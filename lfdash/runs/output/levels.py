"""How grave each line of a log is, as transformers, torch, DeepSpeed and Python's own logging and warnings write it. A
traceback, what follows its exception, and indented lines belong to the line that they follow."""

from __future__ import annotations

import re
from collections.abc import Iterable

from lfdash.runs.output.lines import METRIC, PROGRESS, Line
from lfdash.runs.output.shown import plain_text
from lfdash.runs.tracebacks import EXCEPTION, HEAD, IGNORED, LINKS, MESSAGE_LINES, NAMED, OTHER, split

NONE, WARNING, ERROR = 0, 1, 2
LOOKED_AT = 400  # characters of a line
FRAME_LINES = 600  # of a traceback that has no end
FOLLOWING = 12  # indented lines that belong to the one before
PROCESSES = 256  # whose lines are told apart

# a text without any of these changes nothing: searched for in whole blocks
SIGNS = (
    b"rror", b"RROR", b"arning", b"WARN", b"raceback", b"xception", b"RITICAL", b"atal", b"ATAL", b"nterrupt", b"W0",
    b"W1", b"E0", b"E1", b"F0", b"F1", b"Segm", b"Killed", b"Abort", b"Illegal", b"terminate called",
)
SIGN = re.compile(b"|".join(map(re.escape, SIGNS)))
STAMP = r"^\[?\d{4}-\d\d-\d\d[ T]\d\d:\d\d.{0,100}?[\s\[|:-]"
BAD = re.compile(
    r"^\[?(?:ERROR|CRITICAL|FATAL)\b|^\[?[EF][01]\d{3} \d\d:|^(?:[Ee]rror|[Ff]atal|Fatal Python error)(?: \w{1,20})?: "
    r"|^(?:Segmentation fault|Killed$|Aborted\b|Bus error|Illegal instruction|terminate called|!{3,} Segfault)"
    r"|^[^\s:]{1,80}: (?:fatal )?error: |" + STAMP + r"(?:ERROR|CRITICAL|FATAL)\b"
)
DOUBTFUL = re.compile(
    r"^\[?(?:WARNING|WARN)\b|^\[?W[01]\d{3} \d\d:|^(?:Warning|warning): |^[A-Z]\w{0,40}Warning: "
    r"|^\S.{0,300}?:\d{1,7}: \w{0,60}Warning(?::|$)|NCCL WARN|" + STAMP + r"(?:WARNING|WARN)\b"
)
DRAWN = ("│", "╭", "╰")  # the frame of the package rich
LOGGED = re.compile(r"^\[?(?:INFO|DEBUG)\b")
OUTSIDE, FRAMES, MESSAGE, INDENTED = 0, 1, 2, 3


class Process:
    """Where in a report one process is."""

    __slots__ = ("before", "left", "level", "where")

    def __init__(self) -> None:
        self.where, self.level, self.left, self.before = OUTSIDE, NONE, 0, False

    def go(self, where: int, level: int, left: int) -> int:
        """Moves on; gives the level of the line that did it."""
        self.where, self.level, self.left = where, level, left
        return level

    def copied(self) -> Process:
        """Another one at the same place."""
        new = Process()
        new.where, new.level, new.left, new.before = self.where, self.level, self.left, self.before
        return new


class Levels:
    """Reads lines in their order and says how grave each is."""

    def __init__(self) -> None:
        self._processes: dict[str | None, Process] = {}

    @property
    def idle(self) -> bool:
        """Whether the next line is judged by itself."""
        return not self._processes

    def copied(self) -> Levels:
        """Another reader at the same place."""
        new = Levels()
        new._processes = {name: process.copied() for name, process in self._processes.items()}
        return new

    def read(self, text: str) -> int:
        """The level of the next line, as a terminal shows it."""
        name, text = split(text[:LOOKED_AT])
        process = self._processes.get(name)
        if process is None:
            process = Process()
        level = judged(process, text)
        if process.where == OUTSIDE and not process.before:
            self._processes.pop(name, None)
        elif name in self._processes or len(self._processes) < PROCESSES:
            self._processes[name] = process
        return level

    def of(self, line: Line) -> int:
        """The level of the next line of a file."""
        if line.kind in (METRIC, PROGRESS):
            return NONE  # a bar between the lines of a traceback is another thread's
        if self.idle and not SIGN.search(line.raw, 0, 4 * LOOKED_AT):
            return NONE
        return self.read(plain_text(line.raw, 4 * LOOKED_AT))


def judged(process: Process, text: str) -> int:
    """The level of a line of one process, which moves on."""
    ignored, process.before = process.before, text.startswith(IGNORED)
    if HEAD.search(text):
        return process.go(FRAMES, WARNING if ignored else ERROR, FRAME_LINES)
    if text.startswith(LINKS):
        return process.go(OUTSIDE, ERROR, 0)
    if process.before:
        return process.go(OUTSIDE, WARNING, 0)
    if process.where == FRAMES:
        return in_traceback(process, text)
    if process.where in (MESSAGE, INDENTED) and continues(process, text):
        process.left -= 1
        return process.level
    return by_itself(process, text)


def in_traceback(process: Process, text: str) -> int:
    """The level of a line between a traceback's head and its exception."""
    process.left -= 1
    if process.left <= 0:
        return by_itself(process, text)
    if LOGGED.match(text):  # of another thread
        return NONE
    if EXCEPTION.match(text):
        return process.go(MESSAGE, process.level, MESSAGE_LINES)
    if not text.strip() or text[0].isspace() or text.startswith(DRAWN):
        return process.level
    return own(text) or process.level


def continues(process: Process, text: str) -> bool:
    """Whether a line belongs to the one before."""
    if process.left <= 0 or not text.strip():
        return False
    return text[0].isspace() or (process.where == MESSAGE and not OTHER.match(text) and not own(text))


def by_itself(process: Process, text: str) -> int:
    """The level of a line that belongs to none before."""
    level = own(text)
    return process.go(INDENTED, level, FOLLOWING) if level else process.go(OUTSIDE, NONE, 0)


def own(text: str) -> int:
    """The level that a line says itself."""
    if BAD.search(text) or NAMED.match(text):
        return ERROR
    return WARNING if DOUBTFUL.search(text) else NONE


def levels_of(lines: Iterable[Line]) -> list[int]:
    """The levels of lines from a log's beginning."""
    levels = Levels()
    return [levels.of(line) for line in lines]
