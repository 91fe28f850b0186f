"""Where a chat answers: its port and key, and whether it is really the run that listens there."""

from __future__ import annotations

from dataclasses import dataclass, field

from lfdash.engine.registry import ProcessRegistry
from lfdash.jobs.kinds import PORT_VARIABLE, named
from lfdash.machine.sockets import ESTABLISHED, LISTEN, inodes_of, sockets
from lfdash.outcomes import Refused
from lfdash.runs.paths import marker
from lfdash.runs.record import TERMINAL, RunState
from lfdash.runs.view import RunView
from lfdash.supervisor.processes import marked

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Connection:
    """How a chat is reached. key: is asked for with each request; it is not part of what is printed of this."""

    run_id: str
    attempt: int
    port: int
    key: str = field(repr=False)

    @property
    def url(self) -> str:
        """Where the OpenAI-compatible API begins."""
        return f"http://{HOST}:{self.port}/v1"


def port_of(view: RunView) -> int | None:
    """The port that the newest attempt was given; None for a run without one."""
    text = view.record.last.env.get(PORT_VARIABLE, "") if view.record else ""
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text) < 1 << 16 else None


def connection_of(registry: ProcessRegistry, view: RunView | None) -> Connection | Refused:
    """How a chat is reached once its model is loaded. Nothing is sent to a port that another process listens on: it
    would be told the key and the prompt.

    Refused: chat_unknown (no such chat), chat_over, chat_waiting (in the queue), chat_loading, chat_elsewhere (its
    processes are not on this machine), chat_port (somebody else listens there, or beyond loopback), chat_key (the key
    that it was started with is gone).
    """
    if view is None or not named(view.kind).serves or view.record is None:
        return Refused("chat_unknown")
    if view.waiting is not None:
        return Refused("chat_waiting", {"name": view.name})
    if view.state in TERMINAL or view.state is RunState.STOPPING:
        return Refused("chat_over", {"name": view.name})
    port = port_of(view)
    if port is None or not registry.launchers.get(view.record.launcher).local:
        return Refused("chat_elsewhere", {"name": view.name})
    try:
        listeners = [socket for socket in sockets(port) if socket.state == LISTEN]
    except OSError as error:
        return Refused("chat_elsewhere", {"name": view.name, "reason": str(error)})
    if not listeners:
        return Refused("chat_loading", {"name": view.name})
    ours = inodes_of(marked(marker(view.paths, view.attempt)))
    if any(socket.inode not in ours or not socket.loopback for socket in listeners):
        return Refused("chat_port", {"name": view.name, "port": port})
    key = registry.dispatcher.handing.keys.read(view.run_id, view.attempt)
    if not key:
        return Refused("chat_key", {"name": view.name})
    return Connection(view.run_id, view.attempt, port, key)


def is_asked(view: RunView) -> bool:
    """Whether somebody is connected to a chat now; also where that cannot be seen."""
    port = port_of(view)
    try:
        return port is not None and any(socket.state == ESTABLISHED for socket in sockets(port))
    except OSError:
        return True
