"""What is said over and over is said once a second, with how many were left out."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Iterator

import pytest

from lfdash.web import log_limit
from lfdash.web.log_limit import SPEAKERS, OnceASecond


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(log_limit, "time", clock)
    return clock


@pytest.fixture
def once() -> Iterator[OnceASecond]:
    found = log_limit.limit(["lfdash.one", "lfdash.two", "asyncio"])
    yield found
    for name in ("lfdash.one", "lfdash.two", "asyncio"):
        logging.getLogger(name).removeFilter(found)


def test_once_a_second_and_a_count(clock: Clock, once: OnceASecond, caplog: pytest.LogCaptureFixture) -> None:
    one, two = logging.getLogger("lfdash.one"), logging.getLogger("lfdash.two")
    for port in range(1000):
        one.warning("no handle for 127.0.0.1:%d", port)
        two.warning("no handle for 127.0.0.1:%d", port)
    one.warning("something else")
    clock.now += 1
    try:
        raise OSError(errno.EMFILE, "no handle")
    except OSError:
        one.warning("no handle for 127.0.0.1:%d\nand more", 7, exc_info=True)
    assert caplog.messages == [
        "no handle for 127.0.0.1:0", "no handle for 127.0.0.1:0", "something else",
        "no handle for 127.0.0.1:7 (999 more like this were left out)",
    ]
    assert "Traceback" not in caplog.text
    clock.now += 0.5
    once.rest()  # nothing of `one` is left; of `two` nobody says anything any more
    assert caplog.messages[4:] == ["no handle for 127.0.0.1:0 (999 more like this were left out)"]
    once.rest()
    two.warning("no handle for 127.0.0.1:8")
    assert len(caplog.messages) == 5
    clock.now += 1
    once.rest()
    assert caplog.messages[5:] == ["no handle for 127.0.0.1:0 (1 more like this were left out)"]


def test_the_loop_itself_is_kept_quiet(clock: Clock, once: OnceASecond, caplog: pytest.LogCaptureFixture) -> None:
    """As asyncio says it when it has no handle for a connection: for each that waits, again and again."""
    loop = asyncio.new_event_loop()
    for _ in range(500):
        loop.call_exception_handler({"message": "socket.accept() out of system resource", "exception": OSError(24)})
    loop.close()
    assert len(caplog.messages) == 1
    assert SPEAKERS[:2] == ("asyncio", "uvicorn.error") and clock.now and once.kinds


def test_what_cannot_be_put_together_is_left_to_logging(once: OnceASecond) -> None:
    assert once.filter(logging.LogRecord("a", 30, "f", 1, "%d", ("x",), None))


def test_it_does_not_grow(clock: Clock, once: OnceASecond) -> None:
    for number in range(2000):
        once.filter(logging.LogRecord("a", 30, "f", 1, "".join(chr(97 + int(d)) for d in str(number)), None, None))
    assert len(once.kinds) <= log_limit.MOST and clock.now
