"""Work in the background: asked once, one at a time, called off."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from lfdash.engine.background import Background
from tests.support.runs import wait_for


@pytest.fixture
def background() -> Iterator[Background[str]]:
    found: Background[str] = Background()
    yield found
    found.close()


def test_an_answer_is_kept_by_what_was_asked(background: Background[str]) -> None:
    background.start("a", lambda _: "one")
    wait_for(lambda: (work := background.of("a")) is not None and work.found == "one", 10)
    assert background.of("b") is None
    background.start("a", lambda _: "two")  # asked again once it is done
    wait_for(lambda: (work := background.of("a")) is not None and work.found == "two", 10)


def test_what_goes_on_is_not_begun_again_and_the_next_waits(background: Background[str]) -> None:
    begun, go = [], threading.Event()

    def slow(_: threading.Event) -> str:
        begun.append("slow")
        go.wait(10)
        return "slow"

    first = background.start("a", slow)
    wait_for(lambda: begun, 10)
    assert background.start("a", slow) is first
    second = background.start("b", lambda _: begun.append("b") or "b")
    assert second.found is None and begun == ["slow"]
    go.set()
    wait_for(lambda: second.found == "b" and first.found == "slow", 10)


def test_what_is_called_off_is_told_so_and_forgotten(background: Background[str]) -> None:
    stopped = threading.Event()

    def work(stop: threading.Event) -> str:
        stop.wait(10)
        stopped.set()
        return "late"

    background.start("a", work)
    waiting = background.start("b", lambda _: "never")
    background.cancel("b")
    background.cancel("a")
    assert background.of("a") is None and stopped.wait(10)
    background.start("c", lambda _: "c")
    wait_for(lambda: (one := background.of("c")) is not None and one.found == "c", 10)
    assert waiting.found is None
