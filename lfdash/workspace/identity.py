"""Which workspace a process opened, told from another one, or none, at the same path.

A workspace may be moved while a dashboard is open. Its runs go on where it is now; whoever wrote to the old path
would make a second workspace there. So everybody who writes asks first.
"""

from __future__ import annotations

import os
import secrets
import threading
from contextlib import suppress
from pathlib import Path

from lfdash.errors import WorkspaceGone
from lfdash.files import NOT_THERE, Absent, only_writer, read_text_file, write_text_atomic
from lfdash.outcomes import Refused, refused_by
from lfdash.runs.paths import private

FILE = "id"  # in the workspace's private folder: random, made once


class WorkspaceIdentity:
    """The workspace at `root` (absolute) as it is now; remembered, and compared with what is there later.

    Its id decides; where that file is missing or cannot be read, the folder's inode does. A workspace that is not
    there yet is taken as it is first seen.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._file = private(root) / FILE
        self._lock = threading.Lock()
        self._id = ""
        self._inode: tuple[int, int] | None = None
        with suppress(OSError):  # as it is seen first, then
            self._id, self._inode = self._seen()

    def _seen(self) -> tuple[str, tuple[int, int] | None]:
        """(id, inode) of what is there now; "" and None for what is missing. OSError when that cannot be known."""
        text = read_text_file(self._file, limit=100)
        try:
            status = os.stat(self.root)
        except OSError as error:
            if error.errno in NOT_THERE:
                return "", None
            raise
        return text.strip() if isinstance(text, str) else "", (status.st_dev, status.st_ino)

    def is_here(self) -> bool:
        """Whether the workspace is still at its path. Writes nothing. OSError when that cannot be known."""
        with self._lock:
            now, inode = self._seen()
            if inode is None:
                return False
            if self._inode is None:
                self._id, self._inode = now, inode
            if self._id and now:
                return now == self._id
            if inode == self._inode:
                self._id = self._id or now
                return True
            return False

    def check(self) -> None:
        """Returns when the workspace is still at its path, with its id in it; else raises WorkspaceGone, or another
        OSError when that cannot be known.

        To be called before anything is written; under the launch lock once more, after it was got.
        """
        if not self.is_here():
            raise WorkspaceGone(self.root)
        if self._id and not self._lacking():
            return
        with suppress(OSError):  # a disk that takes no file: the inode must do
            self._file.parent.mkdir(exist_ok=True)
            with only_writer(self._file.parent):
                if self._lacking():
                    write_text_atomic(self._file, (self._id or secrets.token_hex(16)) + "\n")
        self.is_here()  # another dashboard may have made it first

    def _lacking(self) -> bool:
        """Whether there is no id, or an empty one, as a full disk leaves it. What cannot be read is one."""
        text = read_text_file(self._file, limit=100)
        return isinstance(text, Absent) or (isinstance(text, str) and not text.strip())

    def refusal(self) -> Refused | None:
        """Why nothing may be written now; None when it may."""
        try:
            self.check()
        except OSError as error:
            return refused_by(error, self.root)
        return None
