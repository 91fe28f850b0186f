"""A file that grows, read a piece at a time."""

from __future__ import annotations

import math
import time
from dataclasses import replace

from lfdash.files import FileMark, file_mark
from lfdash.runs.log_reader import Cursor, read_whole

PIECE = 1 << 20  # bytes of a file that are read at once; a longer line is passed over
SETTLED_NS = 2 * 10**9  # a file that changed later than that may change again at the same time of change
RECHECK_S = 0.05  # seconds after which such a one is looked into again


class Deadline:
    """When a reader has to stop for now; never without a budget."""

    def __init__(self, budget_s: float | None) -> None:
        self._end = None if budget_s is None else time.monotonic() + budget_s

    def passed(self) -> bool:
        return self._end is not None and time.monotonic() >= self._end


class Followed:
    """A file of lines. ends: the bytes each of which ends one. cursor: up to where it was read; size: its bytes, when
    it was looked at last; through: whether all of it was read then."""

    def __init__(self, path: str, ends: bytes) -> None:
        self.path, self._ends = path, ends
        self.cursor = Cursor()
        self.size = 0
        self.through = True
        self._seen: FileMark | None = None  # how it looked last
        self._recheck = math.inf  # from when on it is looked into though it looks the same; of a monotonic clock

    def look(self) -> bool:
        """Whether there may be something to read; costs a stat."""
        mark = file_mark(self.path)
        if mark is None:
            self.through = True
        if mark is None or (self.through and mark == self._seen and time.monotonic() < self._recheck):
            return False
        self.size, self._seen, self.through = mark[1], mark, False
        self._recheck = math.inf if time.time_ns() - mark[0] > SETTLED_NS else time.monotonic() + RECHECK_S
        return True

    def read(self) -> bytes:
        """The next whole lines; none where reading fails, which is tried again."""
        try:
            data, self.cursor, self.through = read_whole(self.path, self.cursor, PIECE, self._ends)
        except OSError:
            data, self.through, self._recheck = b"", True, 0.0
        return data

    def again(self) -> None:
        """Begins anew."""
        self.cursor = Cursor(generation=self.cursor.generation)
        self.through, self._seen = not self.size, None

    def skip_to(self, offset: int) -> None:
        """Goes on at a byte, with the first line that begins after it."""
        self.cursor = replace(self.cursor, offset=offset, inside=True)

    @property
    def unread(self) -> int:
        """Bytes that are known to be ahead."""
        return 0 if self.through else max(0, self.size - self.cursor.offset)
