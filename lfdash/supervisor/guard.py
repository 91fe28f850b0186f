"""Ends what a supervisor leaves that was killed. Where a scheduler tracks jobs by their process group (Ray does), the
trainer, which has a session of its own, would go on unseen, on devices that are given to somebody else.

A process of nobody (no child of the supervisor, which waits for all of its own) holds one end of a pipe; when the
other one is closed without a word, the supervisor was killed. Standard library only.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

from lfdash.supervisor.processes import kill, marked, send

GIVE_UP_S = 60.0  # a process that cannot be killed hangs in the kernel
TERM_S = 3.0  # between SIGTERM and SIGKILL; a supervisor that was killed was no graceful end either


def start(marker: str) -> int | None:
    """Starts one for the processes of an attempt; what `dismiss` wants. To be called before this process becomes the
    one that orphans come to. None where no process can be made: the run goes on all the same."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        child = os.fork()
    except OSError:
        os.close(reader)
        os.close(writer)
        return None
    if child == 0:
        try:
            os.close(writer)
            if os.fork() == 0:
                watch(reader, marker)
        finally:
            os._exit(0)
    os.close(reader)
    os.waitpid(child, 0)
    return writer


def dismiss(writer: int | None) -> None:
    """Ends it: the supervisor has ended all that was its own. Another node's part may go on on the same machine."""
    if writer is not None:
        with suppress(OSError):
            os.write(writer, b".")


def watch(reader: int, marker: str) -> None:
    """Until the supervisor is gone; if it was killed, until the attempt's processes are."""
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    let_go(reader)
    if os.read(reader, 1):
        return
    began = time.monotonic()
    while time.monotonic() - began < GIVE_UP_S:
        with suppress(OSError):
            left = [pid for pid in marked(marker) if pid != os.getpid()]
            if not left:
                return
            send(left, signal.SIGTERM) if time.monotonic() - began < TERM_S else kill(left)
        time.sleep(0.2)


def let_go(reader: int) -> None:
    """Closes what else this process was born with: the log, whose disk may go, and the lock, which lfdash's own
    supervisor holds (a record lock is not inherited)."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.closerange(3, reader)
    os.closerange(reader + 1, 256)
