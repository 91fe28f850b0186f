"""A child that the supervisor had before it became one: it has imported LLaMA-Factory and waits to be the trainer.

It was forked by a process kept warm (lfdash/llamafactory/scripts/warm.py), as was the process that became the
supervisor by execve: so it is a child like any other, with the exit status that the kernel keeps. It does nothing
before it was told twice: first how the run starts, then, when it has made itself all that and said so, to run. Until
then it ends when the supervisor does, and the supervisor can end it and start the program itself: no instruction of
the run was carried out. Standard library only.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from lfdash.supervisor.failpoints import hit

OPTION = "--warm="
READY_S = 10.0  # in which it must be ready; it takes 10 ms, and a second or two where it asks a driver for its devices


class WarmChild:
    """The child with that pid, which listens at the other end of a socket."""

    def __init__(self, channel: socket.socket, pid: int) -> None:
        self.channel = channel
        self.pid = pid

    def start(self, spec: Mapping[str, Any], log: int) -> bool:
        """Makes it the trainer; False when it is not, and is gone. log: descriptor for all that it prints."""
        why = self._prepare(spec, log)
        if not why:
            try:
                hit("warm.shim_ready")
                self.channel.sendall(b"!")
            except OSError as error:
                why = f"{type(error).__name__}: {error}"
        self.channel.close()
        if why:
            print(f"a start without LLaMA-Factory kept warm ({why})", file=sys.stderr, flush=True)
            self._end()
        return not why

    def _prepare(self, spec: Mapping[str, Any], log: int) -> str:
        """Tells it how the run starts; why it is not ready for that."""
        order = {name: spec[name] for name in ("argv", "cwd", "marker")} | {"no_core": bool(spec.get("secrets"))}
        self.channel.settimeout(READY_S)
        try:
            socket.send_fds(self.channel, [json.dumps(order).encode() + b"\n"], [log])
            hit("warm.shim_told")
            answer = b""
            while not answer.endswith(b"\n"):
                part = self.channel.recv(4096)
                if not part:
                    return "it has ended"
                answer += part
        except OSError as error:  # among them the end of the patience
            return f"{type(error).__name__}: {error}"
        return "" if answer == b"ready\n" else answer.decode("utf-8", "replace").removeprefix("cold ").strip()

    def _end(self) -> None:
        """Ends it; afterwards it is not there. It is a child of this process, so its number is nobody else's."""
        try:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            return


def named(words: Sequence[str]) -> WarmChild | None:
    """The child that words of a command line name; None when they name none."""
    for word in words:
        if word.startswith(OPTION):
            handle, _, pid = word.removeprefix(OPTION).partition(":")
            os.set_inheritable(int(handle), False)  # the trainer that is started without it must not hold it
            return WarmChild(socket.socket(fileno=int(handle)), int(pid))
    return None
