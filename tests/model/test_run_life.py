"""Everything that can happen to a run: no order of steps makes two of it, loses it, or calls it over while it lives;
and without a rule that prevents this, the search finds the order in which it comes about."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.model.search import Limits, explore
from tests.model.world import Rules

LONG = os.environ.get("LFDASH_FAULTS") == "long"  # make faults
# What may happen: any two operations of two dashboards, at each step of which the other dashboard, supervisors and
# trainers may go on (so each is paused anywhere, for any time); one operation with one read that fails, and one
# dashboard or supervisor killed. In the long form two operations with both.
MOSTLY = ("over", "just made", "waits", "waits to be resumed")  # what "asleep" adds takes as long again
EXPLORED: list[tuple[Limits, tuple[str, ...]]] = [(Limits(2), MOSTLY), (Limits(1, 1, 1), ())]
if LONG:
    EXPLORED = [(Limits(2), ()), (Limits(2, 1, 0), ()), (Limits(2, 0, 1), ()), (Limits(2, 1, 1), MOSTLY)]
MOST = 30_000_000


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """What the watcher says of odd changes is of no interest here: there are thousands of them."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize(("limits", "start"), EXPLORED, ids=str)
def test_nothing_wrong_can_happen(limits: Limits, start: tuple[str, ...]) -> None:
    found = explore(Rules(), limits, start=start, most=MOST)
    assert not found.wrong, "\n".join((found.wrong, *found.trace))
    assert found.states > 10_000
    print(f"{limits}: {found.states} states, nothing wrong")


@dataclass(frozen=True)
class Known:
    """What comes about without a rule, and steps that it takes."""

    rules: Rules
    limits: Limits
    start: str
    wrong: str
    steps: tuple[str, ...]


KNOWN = {
    "resumed twice": Known(
        Rules(right=False), Limits(2), "over", "two live attempts",
        ("A: resume", "trainer 2 starts", "mkdir 3 -> True", "trainer 3 starts"),
    ),
    "deleted while its supervisor was about to begin": Known(
        Rules(right=False), Limits(1), "asleep", "moved to the trash",
        ("A: delete", "supervisor 1 takes its right", "trainer 1 starts", "move trash"),
    ),
    "renamed while its supervisor was about to begin": Known(
        Rules(right=False), Limits(1), "asleep", "renamed", ("A: rename", "trainer 1 starts", "move new"),
    ),
    "a supervisor that slept through its start": Known(
        Rules(one_start=False), Limits(1), "asleep", "two live attempts",
        ("A: resume", "popen 2", "trainer 2 starts", "trainer 1 starts"),
    ),
    "one failed read, and the run is gone": Known(
        Rules(unknown=False), Limits(1, 1), "just made", "shown as absent",
        ("trainer 1 starts", "A: look", "record old FAILS"),
    ),
    "one failed read, and the run is over": Known(
        Rules(unknown=False), Limits(2, 1), "over", "is shown as FAILED",
        ("trainer 2 starts", "A: look", "attempts old FAILS"),
    ),
    "a paused look writes an old record": Known(
        Rules(quiet=False, all_attempts=False), Limits(2), "over", "accepted and is not seen",
        ("A: look", "mkdir 2", "write old ((1, True), (2, False))", "A: write old ((1, True),)"),
    ),
}


@pytest.mark.parametrize("name", KNOWN)
def test_the_search_finds_what_a_rule_prevents(name: str) -> None:
    known = KNOWN[name]
    found = explore(known.rules, known.limits, start=(known.start,), wanted=known.wrong, most=MOST)
    assert known.wrong in found.wrong, found
    for step in known.steps:
        assert any(step in what for what in found.trace), (step, found.trace)
    print(f"{name}: {found.wrong}, after {found.states} states\n  " + "\n  ".join(found.trace))
