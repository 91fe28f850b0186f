"""The tracebacks in the output of a run: with which exception each process ended, and what that came from."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

# what torchrun, its --tee, srun and pdsh write before a line of one process
PROCESS = re.compile(r"^\[?(?:default|rank)(\d+)\]?:\s?|^(\d{1,4}|\d{1,3}(?:\.\d{1,3}){3}):\s")
# at a line's end (a progress bar may stand before it), or in the frame that the package rich draws
HEADING = "Traceback (most recent call last)"
HEAD = re.compile(r"(Original )?" + re.escape(HEADING) + r"(?::$| ?─)")
RANKED = re.compile(r"\[?(?:default|rank)\d+\]?:\s?" + re.escape(HEADING))
EXCEPTION = re.compile(r"^(?:(?:[A-Za-z_]\w*\.)+[A-Za-z_]\w*|[A-Z]\w*)(?::(?:\s.*)?)?$")
# what follows a message: another log line, a progress bar, a row of metrics, a ruler
OTHER = re.compile(
    r"^(?:\[(?:INFO|WARNING|ERROR|[WEIF]\d)|\[?\d{4}-\d\d-\d\d|[WEIF]\d{4} "
    r"|\{'|.{0,80}\d%\||[=*-]{5}|Exception ignored)"
)
LINKS = ("During handling of the above exception", "The above exception was the direct cause")
IGNORED = "Exception ignored in"  # raised while the interpreter tidied up: no process failed of it
LAUNCHERS = ("ChildFailedError", "SystemExit", "SignalException")  # they only pass on that a process failed
LAUNCHED = re.compile(r"CalledProcessError: Command .{0,400}?(?:torchrun|accelerate|deepspeed|launcher\.py)")
NAMED = re.compile(r"^(?:[A-Za-z_]\w*\.)*\w*(?:Error|Exception)(?::\s|:?$)")  # what is one by its name alone
MESSAGE_LINES = 20
FRAME_LINES = 60
BARE = 60  # lines at the end in which an exception is looked for that has no traceback


@dataclass(frozen=True)
class Raised:
    """An exception: the line with its class, the further lines of its message, and its traceback's last lines."""

    line: str
    message: tuple[str, ...] = ()
    frames: tuple[str, ...] = ()

    @property
    def passed_on(self) -> bool:
        """Whether a launcher says by it that another process failed."""
        return self.line.split(":")[0].rpartition(".")[2] in LAUNCHERS or bool(LAUNCHED.search(self.line))


@dataclass(frozen=True)
class Failure:
    """How a process failed.

    process: its rank or host as its lines say it, None where they do not. raised: the exception it ended with, then
    those which that came from, newest first. place: number of the line of the former.
    """

    process: str | None
    raised: tuple[Raised, ...]
    place: int


def failures(lines: Iterable[str], *, passed_on: bool = False) -> list[Failure]:
    """All failures, in the order of their exceptions' lines; passed_on: with those that launchers only pass on."""
    reports: dict[str | None, Report] = {}
    for place, line in enumerate(lines):
        process, text = split(line)
        reports.setdefault(process, Report(process)).read(place, text)
    found = [failure for report in reports.values() for failure in report.closed()]
    return sorted((one for one in found if passed_on or not one.raised[0].passed_on), key=lambda one: one.place)


def bare(lines: Sequence[str]) -> list[Raised]:
    """The exceptions among the last lines whose tracebacks' heads are not there."""
    found: list[Raised] = []
    for line in lines[-BARE:]:
        text = split(line)[1]
        if NAMED.match(text):
            found.append(Raised(text.rstrip()))
        elif found and text.strip() and not OTHER.match(text):
            found[-1] = replace(found[-1], message=(*found[-1].message, text.rstrip())[:MESSAGE_LINES])
    return found


def split(line: str) -> tuple[str | None, str]:
    """The process that a line is of, and what it said."""
    ranked = RANKED.search(line)
    line = line[ranked.start() :] if ranked else line
    match = PROCESS.match(line)
    return (match.group(1) or match.group(2), line[match.end() :]) if match else (None, line)


OUTSIDE, FRAMES, MESSAGE = "outside", "frames", "message"


class Report:
    """Reads what one process printed."""

    def __init__(self, process: str | None) -> None:
        self._process = process
        self._found: list[Failure] = []
        self._chain: list[Raised] = []
        self._where = OUTSIDE
        self._linked = False  # the next traceback belongs to the same failure
        self._frames: deque[str] = deque(maxlen=FRAME_LINES)
        self._before = ""
        self._place = 0

    def read(self, place: int, text: str) -> None:
        """Takes the next line."""
        head = HEAD.search(text)
        if head:
            self._open(continues=self._linked or head.group(1) is not None)
        elif text.startswith(LINKS):
            self._linked, self._where = True, OUTSIDE
        elif self._where == FRAMES and EXCEPTION.match(text):
            self._chain.append(Raised(text.rstrip(), frames=tuple(self._frames)))
            self._where, self._place = MESSAGE, place
        elif self._where == FRAMES:
            self._frames.append(text)
        elif self._where == MESSAGE and text.strip():
            self._add(text)
        self._before = text if text.strip() else self._before

    def closed(self) -> list[Failure]:
        """All failures, the one at the end included."""
        if self._chain:
            self._found.append(Failure(self._process, tuple(reversed(self._chain)), self._place))
            self._chain = []
        return self._found

    def _open(self, *, continues: bool) -> None:
        if not continues:
            self.closed()
        self._linked = False
        self._frames.clear()
        self._where = OUTSIDE if self._before.startswith(IGNORED) else FRAMES

    def _add(self, text: str) -> None:
        last = self._chain[-1]
        if OTHER.match(text) or len(last.message) == MESSAGE_LINES:
            self._where = OUTSIDE
        else:
            self._chain[-1] = replace(last, message=(*last.message, text.rstrip()))
