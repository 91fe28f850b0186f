"""The console log of a run: as a terminal would show it, and what it says of a failure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from lfdash.files import open_plain
from lfdash.runs.log_reader import CHUNK, LONGEST, Cursor, tail_bytes
from lfdash.runs.tracebacks import HEADING, failures

BLOCK = 10_240  # bytes of a line without an end that are kept
ERROR_TAIL = 1 << 19  # bytes looked at for a traceback
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def collapse(line: str) -> str:
    """What a terminal would show of one line: the last state of a progress bar, no colours."""
    line = ANSI.sub("", line)
    if "\r" in line:
        line = next((part for part in reversed(line.split("\r")) if part.strip()), "")
    return line.rstrip()


class ConsoleLines:
    """Follows a console log line by line, as a terminal would show it: whole lines, each once, in bounded memory.

    begun: what a line says that has no end yet. restarted: whether the file was cut or replaced, and is read anew.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.restarted = False
        self._cursor = Cursor()
        self._line = b""

    @property
    def begun(self) -> str:
        return collapse(self._line.decode("utf-8", "replace"))

    def read(self) -> Iterator[str]:
        """The lines that the file gained since the last time, which must have been read to their end. Where reading
        fails it goes on there the next time."""
        with suppress(OSError), open_plain(self.path) as file:
            self.restarted = not self._cursor.fits(file)
            if self.restarted:
                self._cursor, self._line = Cursor(), b""
            file.seek(self._cursor.offset)
            while chunk := file.read(CHUNK):
                *lines, rest = (self._line + chunk).split(b"\n")
                self._cursor, self._line = self._cursor.moved(file), shortened(rest)
                yield from [collapse(line.decode("utf-8", "replace")) for line in lines]


def shortened(line: bytes, most: int = BLOCK) -> bytes:
    """A line that has no end yet; of one of more than `most` bytes only the last state of its progress bar."""
    if len(line) > most and b"\r" in line:
        line = line[line.rstrip(b"\r").rfind(b"\r") :]
    return line[-LONGEST:]


LINK_HEAD = 1 << 19  # bytes in which a tracker has said where it shows the run
LINK = re.compile(r"[Vv]iew run(?: \S+)? at:?\s+(https?://[^\s\x1b\"'<>]+)")  # swanlab and wandb, in their consoles


def tracker_link(console: Path, start: int = 0) -> str | None:
    """The address at which SwanLab or Weights & Biases shows the run, as its console said it first."""
    try:
        with open_plain(console) as file:
            file.seek(start)
            text = file.read(LINK_HEAD).decode("utf-8", "replace")
    except OSError:
        return None
    found = LINK.search(ANSI.sub("", text))
    return found.group(1) if found else None


def last_lines(console: Path, start: int = 0, size: int = 1 << 19) -> list[str]:
    """The end of a console log as a terminal would show it, `size` bytes at most, from byte `start` on. OSError when
    reading failed."""
    return lines_of(tail_bytes(console, size, start).decode("utf-8", "replace"))


def lines_of(text: str) -> list[str]:
    """The lines as a terminal would show them."""
    return [collapse(line) for line in text.split("\n")]


def last_error(console: Path, start: int = 0) -> str | None:
    """The exception line of a failed run, from the last part of its console log; None without a traceback.

    Under torchrun that of the first rank that failed (the other ranks and the launchers fail of it); else the
    last one. start: byte at which the attempt's output begins. OSError when reading failed.
    """
    text = ANSI.sub("", tail_bytes(console, ERROR_TAIL, start).decode("utf-8", "replace"))
    first = text.find(HEADING)
    if first < 0:
        return None
    lines = lines_of(text[text.rfind("\n", 0, first) + 1 :])
    found = failures(lines) or failures(lines, passed_on=True)
    ranked = [failure for failure in found if failure.process is not None]
    chosen = ranked[:1] or found[-1:]
    return chosen[0].raised[0].line if chosen else None
