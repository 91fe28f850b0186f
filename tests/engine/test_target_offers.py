"""What targets offer is asked in a thread, seldom, once for a cluster."""

from __future__ import annotations

import threading
from dataclasses import replace

from lfdash.engine.target_offers import FAILED_S, KEPT_S, TargetOffers, Told
from lfdash.targets.offered import Offer, Offered
from lfdash.targets.target import Target
from tests.support.runs import wait_for

LAB = Target("lab", "slurm")
SOME = Offered((Offer("main"),))


def test_nobody_waits_and_an_answer_is_kept_for_a_while() -> None:
    goes_on, asked, now = threading.Event(), [], [0.0]

    def ask(target: Target) -> Offered:
        asked.append(target.name)
        assert goes_on.wait(10)
        return SOME

    offers = TargetOffers(ask, clock=lambda: now[0])
    assert offers.of(LAB) == Told(asking=True) == offers.of(replace(LAB, name="other", partition="x"))
    goes_on.set()
    wait_for(lambda: offers.of(LAB) == Told(SOME))
    now[0] = KEPT_S - 1
    assert offers.of(LAB) == Told(SOME) and asked == ["lab"]
    now[0] = KEPT_S
    assert offers.of(LAB) == Told(SOME, asking=True)  # the old one stays until there is a new one
    wait_for(lambda: len(asked) == 2 and not offers.of(LAB).asking)
    assert offers.of(replace(LAB, slurm_conf="/other")) == Told(asking=True)


def test_one_that_does_not_answer_is_left_alone_for_longer() -> None:
    asked, now = [], [0.0]

    def ask(target: Target) -> Offered:
        asked.append(target)
        raise OSError("no controller")

    offers = TargetOffers(ask, clock=lambda: now[0])
    wait_for(lambda: offers.of(LAB) == Told(failure="no controller"))
    now[0] = FAILED_S - 1
    assert not offers.of(LAB).asking and len(asked) == 1
    now[0] = FAILED_S
    assert offers.of(LAB).asking
