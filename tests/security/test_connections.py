"""Connections that say nothing, against the real server with the usual limit of files: everybody else goes on."""

from __future__ import annotations

import os
import resource
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from websockets.exceptions import InvalidMessage, InvalidStatus

from lfdash.web.connections import BURST, WAIT
from tests.security.browser import Tab, ask
from tests.security.conftest import Server, Start
from tests.support.runs import wait_for

HANDLES = 1024
MANY = 1100


@pytest.fixture(scope="module")
def small(serve: Start) -> Server:
    """A server that may open as many files as systems usually let."""
    return serve(handles=HANDLES)


@contextmanager
def holding(server: Server, many: int, words: bytes = b"") -> Iterator[list[socket.socket]]:
    """Connections that are opened at once and say no more than these words."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, many + 500)), hard))
    port = int(server.url.rpartition(":")[2])
    with ExitStack() as opened:
        links = []
        for _ in range(many):
            link = opened.enter_context(socket.create_connection(("127.0.0.1", port), 20))
            link.setblocking(False)
            say(link, words)
            links.append(link)
        yield links
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def say(link: socket.socket, words: bytes) -> None:
    try:
        link.send(words)
    except OSError:  # closed by the server
        pass


def handles(server: Server) -> int:
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def cpu(server: Server) -> float:
    """Seconds of a core that the server has used."""
    with open(f"/proc/{server.process.pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def complaints(server: Server) -> int:
    """Lines that the server printed so far, but for those of tabs that came."""
    return sum("[accepted]" not in line and "connection " not in line for line in server.said)


@pytest.mark.parametrize("words", [b"", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "], ids=["silent", "half a head"])
def test_others_are_served_while_idle_connections_flood_it(small: Server, words: bytes) -> None:
    tab = Tab(small.url).open()
    said, free, pages = complaints(small), handles(small), 0
    with holding(small, MANY, words):
        wait_for(lambda: handles(small) > HANDLES // 4)
        start, used = time.monotonic(), cpu(small)
        while time.monotonic() - start < 3:
            begun = time.monotonic()
            assert ask(small.url, "/_stcore/health").status == 200
            assert time.monotonic() - begun < 2
            assert "start" in tab.run().ids  # the tab that was open, over its websocket
            other = Tab(small.url).open()
            assert "start" in other.ids
            other.close()
            pages += 1
            assert handles(small) < HANDLES * 3 // 4
            time.sleep(0.2)
        assert cpu(small) - used < 2.5  # of 3 and more; the pages above are most of it
        assert complaints(small) - said <= 8
        most = free + 20 + 4 * pages  # Streamlit keeps some for tabs that may come back
        wait_for(lambda: handles(small) < most, WAIT + 10)  # they are closed, though their owner holds on
    assert "start" in tab.run().ids
    tab.close()


def test_runs_and_files_get_handles_whoever_comes(serve: Start) -> None:
    """A tight limit: even then half of it is not for connections."""
    tight = serve(handles=300)
    with holding(tight, 400):
        wait_for(lambda: handles(tight) > 100)
        end = time.monotonic() + 2
        while time.monotonic() < end:
            assert handles(tight) < 290
            tab = Tab(tight.url).open()
            assert tab.run(page__filter="hf_token").shows("top.hf_token")
            tab.close()


def test_many_that_come_in_one_turn_take_not_all_handles(serve: Start) -> None:
    """The server pauses while they come, and finds them all at once when it goes on."""
    tight = serve(handles=300)
    tabs = [Tab(tight.url).open() for _ in range(8)]  # each has three handles
    with holding(tight, 150), ExitStack() as opened:
        wait_for(lambda: handles(tight) > 165)
        os.kill(tight.process.pid, signal.SIGSTOP)
        try:
            for _ in range(2 * BURST):
                link = opened.enter_context(socket.socket())
                link.setblocking(False)
                link.connect_ex(("127.0.0.1", int(tight.url.rpartition(":")[2])))
        finally:
            os.kill(tight.process.pid, signal.SIGCONT)
        assert all("start" in tab.run().ids for tab in tabs)
        for tab in tabs:
            tab.close()
        assert not [line for line in tight.said if "Too many open files" in line]


def test_tabs_that_come_and_go_leave_handles(serve: Start) -> None:
    """Streamlit keeps three for each, for two minutes: when they are scarce a new tab is turned away, no older one."""
    tight = serve(handles=200)
    tab = Tab(tight.url).open()
    came = 0
    with pytest.raises((InvalidMessage, InvalidStatus)):  # 503
        while came < 100:
            Tab(tight.url).open().close()
            came += 1
    assert 20 < came < 60
    assert handles(tight) < 180  # three quarters, and what the tab that came last takes
    assert "start" in tab.run().ids and ask(tight.url, "/_stcore/health").status == 200
    tab.close()


def test_the_limit_of_files_is_raised(serve: Start) -> None:
    """To the hard one; a shell's soft limit of 1024 is no reason to turn people away."""
    server = serve(handles=4096)
    with open(f"/proc/{server.process.pid}/limits", encoding="ascii") as file:
        (line,) = [line for line in file if line.startswith("Max open files")]
    assert line.split()[3:5] == ["4096", "4096"]
