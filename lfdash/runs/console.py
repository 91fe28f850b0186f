"""The console log of a run: as a terminal would show it, and what it says of a failure."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from lfdash.files import open_plain
from lfdash.runs.log_reader import CHUNK, LONGEST, Cursor, tail_bytes
from lfdash.runs.tracebacks import HEADING, failures

BLOCK = 10_240  # bytes; Streamlit sends unchanged messages of at least this size as a hash
KEEP = 40  # closed blocks
ERROR_TAIL = 1 << 19  # bytes looked at for a traceback
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def collapse(line: str) -> str:
    """What a terminal would show of one line: the last state of a progress bar, no colours."""
    line = ANSI.sub("", line)
    if "\r" in line:
        line = next((part for part in reversed(line.split("\r")) if part.strip()), "")
    return line.rstrip()


class ConsoleTail:
    """Follows a console log as blocks of text: closed ones of at least `block` bytes that never change, and an
    open one at the end. Keeps the last `keep` closed blocks; `dropped` = bytes of the file left out before.
    """

    def __init__(self, path: Path, *, block: int = BLOCK, keep: int = KEEP) -> None:
        self.path = path
        self._block, self._keep = block, keep
        self._reset()

    def _reset(self) -> None:
        self.dropped = 0
        self._cursor = Cursor()
        self._closed: deque[tuple[str, int]] = deque()  # text, its bytes in the file
        self._open: list[str] = []
        self._open_size = 0  # of what is shown: a progress bar of a megabyte is one line
        self._open_raw = 0
        self._line = b""

    def poll(self) -> bool:
        """Reads what is new; whether anything was. Starts again when the file was truncated or replaced."""
        try:
            file = open_plain(self.path)
        except OSError:
            return False
        with file:
            if not self._cursor.fits(file):
                self._reset()
            begin = self._cursor.offset or self._skip(os.fstat(file.fileno()).st_size)
            file.seek(begin)
            while chunk := file.read(CHUNK):
                self._take(chunk)
            self._cursor = self._cursor.moved(file)
        return self._cursor.offset > begin

    def _skip(self, size: int) -> int:
        """Where a first look begins: not with what would be dropped at once (a log of gigabytes)."""
        # ten times what is kept, since progress bars shrink when they are collapsed
        self.dropped = max(0, size - 10 * self._block * self._keep)
        return self.dropped

    def _take(self, chunk: bytes) -> None:
        *lines, self._line = (self._line + chunk).split(b"\n")
        self._line = shortened(self._line, self._block)
        for line in lines:
            text = collapse(line.decode("utf-8", "replace"))
            self._open.append(text)
            self._open_size += len(text.encode()) + 1
            self._open_raw += len(line) + 1
            if self._open_size >= self._block:
                self._close()

    def _close(self) -> None:
        self._closed.append(("\n".join(self._open), self._open_raw))
        self._open, self._open_size, self._open_raw = [], 0, 0
        if len(self._closed) > self._keep:
            self.dropped += self._closed.popleft()[1]

    def blocks(self) -> tuple[str, ...]:
        """The text, oldest block first; the last one is open and may still change."""
        last = collapse(self._line.decode("utf-8", "replace"))
        tail = "\n".join([*self._open, last] if last else self._open)
        closed = tuple(text for text, _ in self._closed)
        return (*closed, tail) if tail.strip() else closed


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
        """The lines that the file gained since the last time, which must have been read to their end."""
        try:
            file = open_plain(self.path)
        except OSError:
            return
        with file:
            self.restarted = not self._cursor.fits(file)
            if self.restarted:
                self._cursor, self._line = Cursor(), b""
            file.seek(self._cursor.offset)
            while chunk := file.read(CHUNK):
                *lines, rest = (self._line + chunk).split(b"\n")
                self._line = shortened(rest)
                for line in lines:
                    yield collapse(line.decode("utf-8", "replace"))
            self._cursor = self._cursor.moved(file)


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
