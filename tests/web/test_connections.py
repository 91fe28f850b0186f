"""The limits of connections: who is closed when, and that whoever is at work is left alone."""

from __future__ import annotations

import asyncio
import http.client
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lfdash.web.connections import BURST, MOST, Config, Table, burst_for, most_for, server_of
from lfdash.web.log_limit import OnceASecond
from tests.support import ROOT
from tests.support.runs import wait_for

WAIT, STALLED = 1.0, 2.0  # seconds, of the servers of these tests; they look once a second
SLACK = 4.0
HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Echo:
    """Says how many bytes a request had. /long is answered when `go` is set, /much is 64 MB."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.long = 0  # how many wait for it

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        count, more = 0, True
        while more:
            message = await receive()
            count, more = count + len(message.get("body", b"")), message.get("more_body", False)
        self.long += scope["path"] == "/long"
        while scope["path"] == "/long" and not self.go.is_set():
            await asyncio.sleep(0.01)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-count", b"%d" % count)]})
        body = bytes(1 << 26) if scope["path"] == "/much" else b"ok"
        await send({"type": "http.response.body", "body": body, "more_body": False})


@contextmanager
def serving(most: int = 100) -> Iterator[tuple[int, Echo, Table]]:
    """A server with short limits: its port, its app and its table."""
    listener = socket.create_server(("127.0.0.1", 0))
    app, table = Echo(), Table(most, 0, WAIT, STALLED)
    server = server_of(Config(app, table, OnceASecond(), lifespan="off", log_level="critical", access_log=False))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    wait_for(lambda: server.started)
    yield listener.getsockname()[1], app, table
    app.go.set()
    server.should_exit = server.force_exit = True
    thread.join(20)
    assert not thread.is_alive()


def connect(port: int) -> socket.socket:
    link = socket.create_connection(("127.0.0.1", port), 20)
    link.settimeout(20)
    return link


def is_open(link: socket.socket) -> bool:
    """Whether the other end has not closed; what it sent is thrown away."""
    link.setblocking(False)
    try:
        while link.recv(1 << 16):
            pass
        return False
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        link.settimeout(20)


def seconds_open(link: socket.socket, drip: bytes = b"") -> float:
    """How long a connection stays open; drip: what is sent on it twenty times a second."""
    start = time.monotonic()
    while is_open(link) and time.monotonic() - start < 20:
        if drip:
            try:
                link.sendall(drip)
            except OSError:
                break
        time.sleep(0.05)
    return time.monotonic() - start


@pytest.mark.parametrize(
    ("first", "drip"),
    [(b"", b""), (b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"a"), (HEAD + b"GET / HTTP/1.1\r\nX: ", b"a")],
    ids=["says nothing", "drips its head", "drips its second head"],
)
def test_who_asks_for_nothing_is_closed(first: bytes, drip: bytes) -> None:
    with serving() as (port, _, table), connect(port) as link:
        link.sendall(first)
        assert WAIT - 0.2 < seconds_open(link, drip) < WAIT + SLACK
        wait_for(lambda: not table.waiting and not table.still)


@pytest.mark.parametrize("broken", [f"X: {'a' * 9000}", "Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 1"])
def test_a_websocket_that_cannot_be_is_closed_at_once(broken: str) -> None:
    head = f"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{broken}\r\n\r\n"
    with serving() as (port, _, _table), connect(port) as link:
        link.sendall(head.encode())
        assert seconds_open(link) < WAIT / 2


def test_an_idle_connection_is_used_again_before_it_is_closed() -> None:
    with serving() as (port, _, _table):
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        client.connect()
        used = client.sock
        for _ in range(4):
            client.request("GET", "/")
            assert client.getresponse().read() == b"ok"
            time.sleep(WAIT / 2)
        assert client.sock is used
        client.close()


def test_a_big_upload_over_a_slow_line_is_not_cut() -> None:
    """200 MB in twice the time that a head, and a standstill, may take."""
    parts, part = 40, bytes(5_000_000)
    with serving() as (port, _, table), connect(port) as link:
        link.sendall(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (parts * len(part)))
        start = time.monotonic()
        for _ in range(parts):
            link.sendall(part)
            time.sleep(2 * STALLED / parts)
        answer = link.recv(4096)
        assert time.monotonic() - start > 2 * STALLED
        wait_for(lambda: not table.still)
    assert b" 200 " in answer and b"x-count: %d" % (parts * len(part)) in answer


def test_a_body_that_stops_coming_is_closed_and_a_long_answer_is_not() -> None:
    with serving() as (port, app, _), connect(port) as stuck, connect(port) as long:
        stuck.sendall(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n1234")
        long.sendall(HEAD.replace(b"/ ", b"/long "))
        assert STALLED - 0.2 < seconds_open(stuck) < STALLED + SLACK
        time.sleep(WAIT)
        assert is_open(long)
        app.go.set()
        assert b" 200 " in long.recv(4096)


def test_an_answer_that_nobody_takes_is_ended_and_a_slow_reader_gets_it_all() -> None:
    request = HEAD.replace(b"/ ", b"/much ")
    with serving() as (port, _, table), connect(port) as deaf, connect(port) as slow:
        deaf.sendall(request)
        slow.sendall(request)
        taken, start = 0, time.monotonic()
        while taken < 1 << 26:
            part = slow.recv(1 << 20, socket.MSG_WAITALL)
            assert part, f"cut after {taken} bytes"
            taken += len(part)
            time.sleep(0.1)
        assert time.monotonic() - start > 2 * STALLED
        wait_for(lambda: not table.still)
        assert received(deaf) < 1 << 26  # this one was ended meanwhile


def received(link: socket.socket) -> int:
    """How many bytes a connection that was ended still gives."""
    total = 0
    try:
        while part := link.recv(1 << 20):
            total += len(part)
    except ConnectionError:
        pass
    return total


def test_the_longest_waiting_makes_room_and_who_is_at_work_stays() -> None:
    with serving(most=5) as (port, app, _):
        busy = [connect(port) for _ in range(3)]
        for link in busy:
            link.sendall(HEAD.replace(b"/ ", b"/long "))
        wait_for(lambda: app.long == 3)
        idle = [connect(port) for _ in range(50)]
        wait_for(lambda: sum(map(is_open, idle)) <= 2)
        assert [is_open(link) for link in idle[-2:]] == [True, True] and all(map(is_open, busy))
        for _ in range(20):  # everybody who asks is answered at once
            with connect(port) as link:
                link.sendall(HEAD)
                assert b" 200 " in link.recv(4096)
        app.go.set()
        assert all(b" 200 " in link.recv(4096) for link in busy)
        for link in (*busy, *idle):
            link.close()


def test_when_all_are_at_work_the_newcomer_is_told() -> None:
    with serving(most=3) as (port, app, _):
        busy = [connect(port) for _ in range(3)]
        for link in busy:
            link.sendall(HEAD.replace(b"/ ", b"/long "))
        wait_for(lambda: app.long == 3)
        wait_for(lambda: refused(port))
        app.go.set()
        assert all(b" 200 " in link.recv(4096) for link in busy)
        wait_for(lambda: not refused(port))
        for link in busy:
            link.close()


def refused(port: int) -> bool:
    with connect(port) as link:
        link.sendall(HEAD)
        try:
            return b" 503 " in link.recv(4096)
        except ConnectionError:
            return True


def test_handles_are_raised_and_shared_out() -> None:
    code = (
        "import resource; from lfdash.web.connections import raise_handles;"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 300));"
        "print(raise_handles(), resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env={**os.environ}, timeout=60
    )
    assert done.stdout.strip() == "300 (300, 300)", done.stderr
    assert [most_for(handles) for handles in (256, 1024, 20_000, resource.RLIM_INFINITY)] == [128, 512, MOST, MOST]
    limits = (0, 4, 256, 20_000, resource.RLIM_INFINITY)
    assert [burst_for(handles) for handles in limits] == [BURST, 1, 32, BURST, BURST]
