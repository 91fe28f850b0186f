"""A supervisor that is nobody's child here: a process kept warm has forked it (lfdash/llamafactory/warm.py)."""

from __future__ import annotations

import os
import select
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Protocol

UNKNOWN = -1  # an exit code that the system tells somebody else


class Supervisor(Protocol):
    """What is asked of a supervisor's process; a `subprocess.Popen` answers it."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None:
        """None while it lives."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """subprocess.TimeoutExpired when it lives longer than so many seconds."""
        ...


class Forks(Protocol):
    """Who may start a supervisor that has its trainer already."""

    def supervise(self, command: Sequence[str], env: Mapping[str, str], cli: str, log: int) -> tuple[int, int] | None:
        """Pid and pidfd of the supervisor; None: it must be started in the usual way."""
        ...


class Forked:
    """The process of that pid, by a descriptor of it that this object owns from now on."""

    def __init__(self, pid: int, pidfd: int) -> None:
        self.pid = pid
        self._pidfd = pidfd
        self._code: int | None = None

    def poll(self) -> int | None:
        """None while it lives; UNKNOWN afterwards, but where it has become a child of this process (the first one of a
        container), which then takes its exit code."""
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its end, at most so many seconds. subprocess.TimeoutExpired."""
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired([str(self.pid)], timeout or 0.0)
        return code

    def _look(self, seconds: float | None) -> int | None:
        if self._code is None:
            looker = select.poll()  # select cannot take descriptors from 1024 on
            looker.register(self._pidfd, select.POLLIN)
            if looker.poll(None if seconds is None else seconds * 1000):
                os.close(self._pidfd)
                self._code = UNKNOWN
                with suppress(ChildProcessError):
                    self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._code

    def __del__(self) -> None:
        if self._code is None:
            with suppress(OSError):
                os.close(self._pidfd)
