"""One question for all, seldom; whoever looks never waits for a scheduler that does not answer."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import pytest

from lfdash.launchers import asking
from lfdash.launchers.asking import ASK_S, EVERY_S, MOST_S, STALE_S, Asking, CallError
from tests.support.runs import wait_for


@dataclass(frozen=True)
class Answer:
    began: float


class Asks(Asking[Answer]):
    """Asks a scheduler that answers after so many seconds of its clock; not at all while it fails, or the gate is
    shut."""

    def __init__(self) -> None:
        super().__init__(lambda: self.now)
        self.now = 100.0
        self.takes = 0.0
        self.fails = ""
        self.gate = threading.Event()
        self.gate.set()

    def _ask(self) -> Answer:
        began = self._begins()
        self.gate.wait(60)
        self.now += self.takes
        if self.fails:
            raise CallError(self.fails, silent=True)
        return Answer(began)

    def settled(self) -> Answer | None:
        """What is seen once the thread has nothing to do."""
        self.look()
        wait_for(lambda: not self._busy)
        return self.look()


@pytest.fixture
def asks() -> Asks:
    return Asks()


def test_nobody_looks_and_nothing_is_asked(asks: Asks) -> None:
    assert asks.asked == 0


def test_many_looks_are_one_question(asks: Asks) -> None:
    found = asks.settled()
    assert found is not None
    asks.now += EVERY_S - 0.1
    assert [asks.settled() for _ in range(50)] == [found] * 50 and asks.asked == 1
    asks.now += 0.2
    asks.settled()
    assert asks.asked == 2


def test_one_that_hangs_is_waited_for_once_and_shortly(asks: Asks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "FIRST_S", 0.2)
    asks.gate.clear()
    assert asks.look() is None
    began = time.monotonic()
    assert [asks.look() for _ in range(200)] == [None] * 200
    assert time.monotonic() - began < 0.2 * 200, "each look has waited"
    asks.gate.set()
    wait_for(lambda: asks.look() is not None)


def test_one_that_does_not_answer_is_asked_less_and_less(asks: Asks) -> None:
    asks.fails = "Unable to contact slurm controller"
    pauses, last = [], asks.now
    asks.settled()
    for _ in range(1200):
        before = asks.asked
        asks.now += 0.5
        asks.settled()
        if asks.asked > before:
            pauses.append(asks.now - last)
            last = asks.now
    assert pauses[:4] == [6.0, 12.0, 24.0, 48.0] and set(pauses[4:]) == {MOST_S}
    assert asks.look() is None and asks.failure == "Unable to contact slurm controller"
    asks.fails = ""
    asks.now += MOST_S
    assert asks.settled() is not None and asks.failure == ""


def test_an_answer_grows_old(asks: Asks) -> None:
    assert asks.settled() is not None
    asks.fails = "x"
    asks.now += STALE_S - 1
    assert asks.settled() is not None
    asks.now += 2
    assert asks.settled() is None


@pytest.mark.parametrize("takes", [0.5, 4.0, 10.0, ASK_S - 1])
def test_one_that_is_slow_is_seen_all_the_time(asks: Asks, takes: float) -> None:
    """It is asked less often, and what it said last counts until it has said more."""
    asks.takes = takes
    assert asks.settled() is not None
    asked, began = asks.asked, asks.now
    while asks.now < began + 600:
        asks.now += 1
        assert asks.settled() is not None
    assert 600 / (MOST_S + ASK_S) - 1 <= asks.asked - asked <= 600 / (asking.SHARE * takes + takes) + 10


def test_a_wish_is_asked_for_soon_but_not_of_one_that_is_silent(asks: Asks) -> None:
    asks.settled()
    asks.now += asking.SOON_S + 0.1
    asks.hurry()
    wait_for(lambda: asks.asked == 2 and not asks._busy)
    asks.fails = "x"
    asks.now += EVERY_S
    asks.settled()
    asked = asks.asked
    asks.now += asking.SOON_S + 0.1
    asks.hurry()
    assert not asks._busy and asks.asked == asked
