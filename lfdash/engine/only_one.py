"""What one of several dashboards on a workspace does, and the others do not."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from lfdash.files import PLAIN


class OnlyOne:
    """The one among several dashboards that does something: whoever holds a lock, for as long as it likes; the next
    when it ends, however it does.

    place: the file of the lock. is_here: whether the workspace is still where it was.
    """

    def __init__(self, place: Path, is_here: Callable[[], bool] = lambda: True) -> None:
        self._lock = FileLock(place, timeout=0, thread_local=False)
        self._is_here = is_here

    def hold(self) -> bool:
        """Whether it is this one now; does not wait. Not to be called while it is released elsewhere."""
        try:
            if not self._is_here():
                self.release()
                return False
            if not self._lock.is_locked:
                self._lock.acquire()
        except (OSError, NotImplementedError):  # Timeout is an OSError: another one holds it
            return False
        return True

    def is_elsewhere(self) -> bool:
        """Whether another one has it now. Asked beside it, so that this one does not get it. False where that cannot be
        known."""
        if self._lock.is_locked:
            return False
        try:
            descriptor = os.open(self._lock.lock_file, PLAIN | os.O_RDONLY)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno == errno.EWOULDBLOCK
        finally:
            os.close(descriptor)
        return False

    def release(self) -> None:
        """Lets another one do it."""
        if self._lock.is_locked:
            self._lock.release()
