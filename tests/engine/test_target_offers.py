"""What targets offer is asked in a thread, seldom, once for a cluster."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from lfdash.engine.target_offers import FAILED_S, KEPT_S, TargetOffers, Told
from lfdash.targets import allowed
from lfdash.targets.offered import Offer, Offered
from lfdash.targets.target import Target
from lfdash.targets.trust import UsedTargets
from tests.support.runs import wait_for

LAB = Target("lab", "slurm")
SOME = Offered((Offer("main"),))


@pytest.fixture
def used(tmp_path: Path) -> UsedTargets:
    return UsedTargets(Path("/ws"), tmp_path / "state")


def test_nobody_waits_and_an_answer_is_kept_for_a_while(used: UsedTargets) -> None:
    goes_on, asked, now = threading.Event(), [], [0.0]

    def ask(target: Target) -> Offered:
        asked.append(target.name)
        assert goes_on.wait(10)
        return SOME

    offers = TargetOffers(used, ask, clock=lambda: now[0])
    assert offers.of(LAB) == Told(asking=True) == offers.of(replace(LAB, name="other", partition="x"))
    goes_on.set()
    wait_for(lambda: offers.of(LAB) == Told(SOME))
    now[0] = KEPT_S - 1
    assert offers.of(LAB) == Told(SOME) and asked == ["lab"]
    now[0] = KEPT_S
    assert offers.of(LAB) == Told(SOME, asking=True)  # the old one stays until there is a new one
    wait_for(lambda: len(asked) == 2 and not offers.of(LAB).asking)
    other = replace(LAB, slurm_conf="/other")
    offers.allow(other)
    assert offers.of(other) == Told(asking=True)


def test_one_that_does_not_answer_is_left_alone_for_longer(used: UsedTargets) -> None:
    asked, now = [], [0.0]

    def ask(target: Target) -> Offered:
        asked.append(target)
        raise OSError("no controller")

    offers = TargetOffers(used, ask, clock=lambda: now[0])
    wait_for(lambda: offers.of(LAB) == Told(failure="no controller"))
    now[0] = FAILED_S - 1
    assert not offers.of(LAB).asking and len(asked) == 1
    now[0] = FAILED_S
    assert offers.of(LAB).asking


@pytest.mark.parametrize("row", [
    Target("lab", "slurm", slurm_conf="/x/slurm.conf", cli="/x"),
    Target("lab", "ray", address="http://head:1", token_file="/t"), Target("lab", "ray", address="http://head:1"),
])
def test_a_cluster_that_a_row_names_is_asked_only_once_its_user_says_so(
    used: UsedTargets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: Target
) -> None:
    """A slurm.conf loads plugins, an address gets the token: both may be somebody else's."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "user"))
    monkeypatch.setattr(allowed, "ALLOWED", set())
    asked: list[Target] = []

    def ask(target: Target) -> Offered:
        asked.append(target)
        return SOME

    offers = TargetOffers(used, ask)
    assert offers.of(row) == Told(waits=True) and not asked
    assert not allowed.is_allowed("token", row.address, row.token_file)
    used.add(row)  # by hand, as it is
    assert not offers.of(row).waits
    assert offers.of(replace(row, cli="/other")).waits, "another row is another target"
    offers.allow(row)
    assert not offers.of(replace(row, name="new", cli="/other", gpus=4)).waits
    later = TargetOffers(UsedTargets(Path("/ws"), tmp_path / "state"), ask)
    assert not later.of(row).waits
    for other in (replace(row, slurm_conf="/y"), replace(row, address="http://else:1"), replace(row, token_file="/u")):
        assert later.of(other).waits
    assert TargetOffers(UsedTargets(Path("/elsewhere"), tmp_path / "state"), ask).of(row).waits
    assert not used.has(replace(row, cli="/other")), "no job is started because somebody looked"
    assert allowed.is_allowed("token", row.address, row.token_file) == bool(row.token_file)
