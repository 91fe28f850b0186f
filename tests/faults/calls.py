"""Something happens right before the k-th change, or at the k-th read, that this process makes below a folder.

Python tells an audit hook of every call that opens, lists, makes, renames or removes a file, and of every new process;
it does not tell of a look at a file's times (stat), which is put under watch by another way.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

CHANGES = frozenset({
    "open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate",
    "subprocess.Popen",
})
READS = frozenset({"open", "os.listdir", "os.scandir", "fcntl.fcntl"})
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
FOLDER_HANDLES = {"os.remove": (1,), "os.rmdir": (1,), "os.mkdir": (2,), "os.rename": (2, 3)}

Act = Callable[[str], None]  # what is done there; given the call in words


class Calls:
    """The calls of this process on files below `folder`. There is one of it, since a hook stays for ever."""

    def __init__(self) -> None:
        self.count = 0
        self._folder = ""
        self._wanted: frozenset[str] = frozenset()
        self._number = 0
        self._act: Act = print
        self._owner = 0
        sys.addaudithook(self._heard)

    @contextmanager
    def before(self, number: int, folder: object, wanted: frozenset[str], act: Act) -> Iterator[None]:
        """While the `with` lasts: does `act` right before the call `number` (1 is the first) of those that are wanted.
        `count` is the number of them that came so far."""
        self.count, self._number, self._act, self._owner = 0, number, act, os.getpid()
        self._folder, self._wanted = str(folder), wanted
        try:
            yield
        finally:
            self._wanted = frozenset()

    def come(self, call: str) -> None:
        """A call of those that are wanted is about to be made."""
        self.count += 1
        if self.count == self._number:
            wanted, self._wanted = self._wanted, frozenset()  # what is done there is not counted
            try:
                self._act(call)
            finally:
                self._wanted = wanted

    def seen(self, event: str, path: object) -> None:
        """The same for what the hook is not told."""
        if event in self._wanted and self._folder in text(path) and os.getpid() == self._owner:
            self.come(f"{event} {text(path)}")

    def _heard(self, event: str, args: tuple[Any, ...]) -> None:
        if event not in self._wanted or os.getpid() != self._owner:
            return
        if event != "subprocess.Popen":
            words = " ".join(paths_of(event, args))
            if self._folder not in words or (event == "open" and writes(args) is not ("os.rename" in self._wanted)):
                return
            event = f"{event} {words}"
        self.come(event)


def writes(args: tuple[Any, ...]) -> bool:
    """Whether a file is opened to be written."""
    return bool(len(args) > 2 and isinstance(args[2], int) and args[2] & WRITING)


def paths_of(event: str, args: tuple[Any, ...]) -> Iterator[str]:
    """The paths that a call names; those that are relative to an open folder in full."""
    if event == "fcntl.fcntl":
        yield by_handle(args[0])
        return
    for place in FOLDER_HANDLES.get(event, ()):
        if len(args) > place and isinstance(args[place], int) and args[place] >= 0:
            yield by_handle(args[place])
    for argument in args[:2]:
        if isinstance(argument, int) and event in ("os.scandir", "os.listdir"):
            yield by_handle(argument)
        path = text(argument)
        yield os.path.join(os.getcwd(), path) if path else ""


def by_handle(descriptor: int) -> str:
    """The path of what an open handle leads to."""
    return os.readlink(f"/proc/self/fd/{descriptor}")


def text(path: object) -> str:
    return os.fsdecode(path) if isinstance(path, (str, bytes, os.PathLike)) else ""


CALLS = Calls()


# -- what is done there ------------------------------------------------------------------------------------


def forked(number: int, folder: object, act: Callable[[], object], signal_number: int) -> int:
    """A child of this process that does `act` and gets a signal right before its change `number`; its pid."""
    pid = os.fork()
    if pid:
        return pid
    code = 3
    try:
        os.setsid()
        with CALLS.before(number, folder, CHANGES, lambda _call: os.kill(os.getpid(), signal_number)):
            act()
        code = 0
    finally:
        if code:
            traceback.print_exc()
        os._exit(code)


def killed_before(number: int, folder: object, act: Callable[[], object]) -> bool:
    """Whether a process that does `act` was killed before its change `number`; False: it makes fewer, and is done."""
    _, status = os.waitpid(forked(number, folder, act, signal.SIGKILL), 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, -signal.SIGKILL), f"change {number}: ended with {code}"
    return code != 0


@contextmanager
def failing(number: int, folder: object, code: int) -> Iterator[list[str]]:
    """While the `with` lasts the read `number` of this process below a folder fails with an errno; the reads that
    failed, in words."""
    failed: list[str] = []

    def fail(call: str) -> None:
        failed.append(call)
        raise OSError(code, os.strerror(code), call)

    def watched(name: str) -> Callable[..., os.stat_result]:
        real = getattr(os, name)

        def look(path: Any, *args: Any, **more: Any) -> os.stat_result:
            CALLS.seen(f"os.{name}", path)
            return real(path, *args, **more)

        return look

    wanted = READS | {"os.stat", "os.lstat"}
    with (
        mock.patch.object(os, "stat", watched("stat")), mock.patch.object(os, "lstat", watched("lstat")),
        CALLS.before(number, folder, wanted, fail),
    ):
        yield failed


ERRNOS = (errno.EIO, errno.ESTALE, errno.EMFILE)
