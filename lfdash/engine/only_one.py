"""What one of several dashboards on a workspace does, and the others do not."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

from lfdash.files import PLAIN

NO_WRITING = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT)  # the folder may be missing, and cannot be made

class OnlyOne:
    """The one among several dashboards that does something: whoever holds a lock, for as long as it likes; the next
    when it ends, however it does.

    place: the file of the lock. is_here: whether the workspace is still where it was. unwritable: whether it is also
    done where nothing can be written: then the file is locked as it is, or, where there is none, a folder above it.
    """

    def __init__(
        self, place: Path, is_here: Callable[[], bool] = lambda: True, *, unwritable: bool = False
    ) -> None:
        self._lock = FileLock(place, timeout=0, thread_local=False)
        self._is_here = is_here
        self._place, self._unwritable = place, unwritable
        self._descriptor: int | None = None  # of what is locked where nothing can be written

    def hold(self) -> bool:
        """Whether it is this one now; does not wait. Not to be called while it is released elsewhere."""
        try:
            if not self._is_here():
                self.release()
                return False
            if not self._lock.is_locked:
                # Another one may have the folder from when nothing could be written; it takes the file soon.
                if self._unwritable and self._descriptor is None and self.is_elsewhere():
                    return False
                self._lock.acquire()
        except (OSError, NotImplementedError) as error:  # Timeout is an OSError: another one holds it
            if self._unwritable and isinstance(error, OSError) and error.errno in NO_WRITING:
                return self._hold_as_it_is()
            return self._descriptor is not None and self._has_file()
        self._let_go()  # it can be written again
        return True

    def _hold_as_it_is(self) -> bool:
        """The same without writing. What cannot be locked there is locked by nobody."""
        if self._descriptor is not None:
            return True
        try:
            descriptor = self._open()
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                os.close(descriptor)
                return False
        self._descriptor = descriptor
        return True

    def _has_file(self) -> bool:
        """Whether what is locked here is the lock's own file: then nobody else holds it. A folder is let go, since
        another one has made the file meanwhile."""
        assert self._descriptor is not None
        with suppress(OSError):
            if os.path.samestat(os.fstat(self._descriptor), os.stat(self._place)):
                return True
        self._let_go()
        return False

    def _open(self) -> int:
        """A descriptor of the lock's file for reading; where there is none and nothing can be written, of the nearest
        folder above its own: that one is locked for a moment by whoever changes small files. OSError."""
        try:
            return os.open(self._place, PLAIN | os.O_RDONLY)
        except FileNotFoundError:
            if not self._unwritable:
                raise
        for folder in self._place.parent.parents:
            with suppress(FileNotFoundError):
                return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self._place))

    def _let_go(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def is_elsewhere(self) -> bool:
        """Whether another one has it now. Asked beside it, so that this one does not get it. False where that cannot be
        known."""
        if self._lock.is_locked or self._descriptor is not None:
            return False
        try:
            descriptor = self._open()
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
        self._let_go()
        if self._lock.is_locked:
            self._lock.release()
