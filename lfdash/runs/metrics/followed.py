"""A file that grows, read a piece at a time."""

from __future__ import annotations

import math
import time
from dataclasses import replace

from lfdash.files import FileMark, look_mark
from lfdash.runs.log_reader import Cursor, read_whole

PIECE = 1 << 20  # bytes of a file that are read at once; a longer line is passed over
SETTLED_NS = 2 * 10**9  # a file that changed later than that may change again at the same time of change
RECHECK_S = 0.05  # seconds after which such a one is looked into again
TRIES = 20  # reads in a row that may fail before nobody waits for the next


class Deadline:
    """When a reader has to stop for now; never without a budget."""

    def __init__(self, budget_s: float | None) -> None:
        self._end = None if budget_s is None else time.monotonic() + budget_s

    def passed(self) -> bool:
        return self._end is not None and time.monotonic() >= self._end


class Followed:
    """A file of lines. ends: the bytes each of which ends one. rows: see `read_whole`. cursor: up to where it was read;
    size: its bytes, when it was looked at last; through: whether all of it was read then, or reading failed."""

    def __init__(self, path: str, ends: bytes, *, rows: bool = False) -> None:
        self.path, self._ends, self._rows = path, ends, rows
        self.cursor = Cursor()
        self.size = 0
        self.through = True
        self._failures = 0  # in a row; what was read is no more known to be all
        self._seen: FileMark | None = None  # how it looked last
        self._recheck = math.inf  # from when on it is looked into though it looks the same; of a monotonic clock

    def look(self) -> bool:
        """Whether there may be something to read, or what was read is void; costs a stat."""
        try:
            mark = look_mark(self.path)
        except OSError:
            self._failures, self.through = self._failures + 1, True
            return False
        if mark is None and not self.cursor.offset:
            self.size, self._seen, self.through, self._failures = 0, None, True, 0
            return False
        if self.through and not self.failed and mark == self._seen and time.monotonic() < self._recheck:
            return False
        self.size, self._seen, self.through = mark[1] if mark else 0, mark, False
        settled = mark is None or time.time_ns() - mark[0] > SETTLED_NS
        self._recheck = math.inf if settled else time.monotonic() + RECHECK_S
        return True

    def read(self) -> bytes:
        """The next whole lines; none where reading fails, which is tried again."""
        try:
            data, self.cursor, self.through = read_whole(
                self.path, self.cursor, PIECE, self._ends, rows=self._rows
            )
            self._failures = 0
        except OSError:
            data, self.through, self._failures = b"", True, self._failures + 1
        return data

    @property
    def failed(self) -> bool:
        """Whether the file could not be read the last time, so that there may be more in it."""
        return self._failures > 0

    @property
    def is_tried(self) -> bool:
        """Whether the file could not be read, and that may be over soon."""
        return 0 < self._failures <= TRIES

    def again(self) -> None:
        """Begins anew."""
        self.cursor = Cursor(generation=self.cursor.generation)
        self.through, self._seen = not self.size, None

    def skip_to(self, offset: int) -> None:
        """Goes on at a byte, with the first line that begins after it."""
        self.cursor = replace(self.cursor, offset=offset, tail=b"", inside=True)

    @property
    def unread(self) -> int:
        """Bytes that are known to be ahead."""
        return 0 if self.through else max(0, self.size - self.cursor.offset)
