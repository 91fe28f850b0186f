"""How many connections the server keeps and for how long, so that idle ones never take the handles of runs and files.

uvicorn counts requests, not connections, and waits for the first one for ever. Here a connection *waits* while no whole
head of a request is there. When there are too many, the one that has waited longest makes room for the new one: tabs
and downloads go on, and whoever asks is answered even while somebody holds open all that there may be.
"""

from __future__ import annotations

import asyncio
import os
import resource
import time
from typing import Any, Protocol

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from lfdash.web.log_limit import OnceASecond

MOST = 1000  # connections; a tab keeps one, and takes some more for a moment while it loads
WAIT = 20.0  # seconds for the whole head of a request
STALLED = 60.0  # seconds in which nothing of a request or an answer moves, though the other side's turn it is
IDLE = 10  # seconds between two requests
BURST = 128  # the most connections that are taken in one turn of the loop, before any of them is looked at
FULL = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


def raise_handles() -> int:
    """Raises this process's limit of open files to the highest that it may set; returns what it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):  # some systems have a lower one beside it
        return soft
    return hard


def most_for(handles: int) -> int:
    """How many connections leave enough of so many file handles for runs and files."""
    return MOST if handles == resource.RLIM_INFINITY else min(MOST, handles // 2)


def burst_for(handles: int) -> int:
    """How many connections may be taken in one turn of the loop: each has a handle before anybody can turn it away, so
    that they come on top of `most_for`."""
    return BURST if handles in (0, resource.RLIM_INFINITY) else max(1, min(BURST, handles // 8))


class Link(Protocol):
    """What uvicorn's protocols, HTTP's and the websockets', have in common."""

    transport: asyncio.Transport


def open_handles() -> int:
    """How many handles this process has now; 0 where that cannot be seen."""
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return 0


class Table:
    """The connections of a server.

    most: how many there may be. handles: how many files the process may open; when three quarters are in use, no new
    tab is let in (Streamlit keeps three handles for each, until two minutes after it is gone). wait, stalled: seconds.
    """

    def __init__(self, most: int, handles: int, wait: float = WAIT, stalled: float = STALLED) -> None:
        self.most, self.handles, self.wait, self.stalled = most, handles, wait, stalled
        self.waiting: dict[Link, float] = {}  # since when; the first has waited longest
        self.still: dict[Link, tuple[int, float]] = {}  # what it was at the last look, and since when it is so

    def has_room(self, count: int) -> bool:
        """Whether the newest of so many connections may stay; the one that has waited longest goes for it."""
        if count <= self.most:
            return True
        if not self.waiting:
            return False
        self.drop(next(iter(self.waiting)))
        return True

    @property
    def scarce(self) -> bool:
        """Whether handles are too few for one more tab, at this moment: in a second many may come."""
        return 0 < self.handles * 3 // 4 < open_handles()

    def sort(self, link: Link, waits: bool) -> None:
        """Notes whether a connection waits for a request; the time counts from when that began."""
        if not waits:
            self.waiting.pop(link, None)
        elif link not in self.waiting:
            self.waiting[link] = time.monotonic()

    def forget(self, link: Link) -> None:
        """The connection is gone, or speaks another protocol now."""
        self.waiting.pop(link, None)
        self.still.pop(link, None)

    def drop(self, link: Link) -> None:
        """Ends a connection at once, whatever is still to be sent."""
        self.forget(link)
        link.transport.abort()

    def sweep(self, links: set[Any]) -> None:
        """Ends what has waited too long and what stands still."""
        now = time.monotonic()
        self.waiting = {link: since for link, since in self.waiting.items() if link in links}
        for link in links:
            if isinstance(link, Connection):
                link.note()
            else:
                self.sort(link, not getattr(link, "handshake_complete", True))
        for link, since in list(self.waiting.items()):
            if now - since < self.wait:
                break
            self.drop(link)
        self.still = {link: seen for link, seen in self.still.items() if link in links}
        for link in [link for link in links if link not in self.waiting]:
            mark = expected(link)
            before, since = self.still.get(link, (None, now))
            if mark is None:
                self.still.pop(link, None)
            elif mark != before:
                self.still[link] = (mark, now)
            elif now - since >= self.stalled:
                self.drop(link)


def expected(link: Link) -> int | None:
    """A number that changes while the other side takes what is sent, or sends what is read; None when it is not its
    turn."""
    unsent = link.transport.get_write_buffer_size()
    if isinstance(link, Connection) and link.reads_body:
        return unsent - link.received
    return unsent or None


class Config(uvicorn.Config):
    """uvicorn's settings, with the limits of connections. more: Streamlit's own."""

    def __init__(self, app: Any, table: Table, log: OnceASecond, **more: Any) -> None:
        self.table, self.log = table, log
        super().__init__(
            app, http=Connection, backlog=burst_for(table.handles), timeout_keep_alive=IDLE, callback_notify=self.look,
            timeout_notify=0, **more,
        )
        self.links: set[Any] = set()

    async def look(self) -> None:
        """Once a second."""
        self.table.sweep(self.links)
        self.log.rest()


class Connection(H11Protocol):
    """A connection that is told apart by whether it waits for a request."""

    def __init__(self, config: Config, server_state: ServerState, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, server_state, *args, **kwargs)
        self.table = config.table
        self.received = 0  # bytes

    @property
    def answered(self) -> bool:
        """Whether all that was asked has been answered, as far as uvicorn goes."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def waits(self) -> bool:
        """Whether no request is read or answered, to the answer's last byte."""
        return self.answered and not self.transport.get_write_buffer_size()

    @property
    def reads_body(self) -> bool:
        """Whether more of a request's body is wanted now."""
        return not self.answered and self.cycle.more_body and not self.flow.read_paused

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if self.table.has_room(len(self.connections)):
            self.table.sort(self, True)
        else:
            self.turn_away()

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        super().data_received(data)
        self.note()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self.note()

    def note(self) -> None:
        """Keeps the table true, as long as this protocol has the connection."""
        if self in self.connections and not self.transport.is_closing():
            self.table.sort(self, self.waits)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self.table.forget(self)
        if self.table.scarce:
            self.turn_away()
        else:
            super().handle_websocket_upgrade(event)
            protocol: Any = self.transport.get_protocol()
            if not getattr(protocol, "handshake_initiated", True):
                self.transport.abort()  # it cannot read the head, all of which it has, and would wait for ever

    def turn_away(self) -> None:
        """Says that there is no room, and ends."""
        self.transport.write(FULL)
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.table.forget(self)
        super().connection_lost(exc)


def server_of(config: Config) -> uvicorn.Server:
    """A server with these settings."""
    server = uvicorn.Server(config)
    config.links = server.server_state.connections
    return server
