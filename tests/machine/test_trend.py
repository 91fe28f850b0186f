"""How long a disk has room."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfdash.machine.trend import EVERY_S, FURTHEST_H, FreeSpace, speed_of, until_full

GB = 1e9
HOUR = 3600.0


def over(hours: float, free: Callable[[float], float]) -> list[tuple[float, float]]:
    """What is seen in some hours, where `free(hours)` bytes are free."""
    return [(at * EVERY_S, free(at * EVERY_S / HOUR)) for at in range(int(hours * HOUR / EVERY_S) + 1)]


def hours(seen: list[tuple[float, float]]) -> float | None:
    return until_full(speed_of(seen), seen[-1][1])


@given(st.floats(1, 1000), st.floats(0.2, 30), st.floats(1, 500))
def test_a_steady_fall_is_found_exactly(gb_an_hour: float, seen_for: float, left: float) -> None:
    begin = left * GB + gb_an_hour * GB * seen_for
    seen = over(seen_for, lambda at: begin - gb_an_hour * GB * at)
    assert hours(seen) == pytest.approx(seen[-1][1] / (gb_an_hour * GB), rel=1e-4)


@given(st.lists(st.floats(0, 1e12), min_size=2, max_size=300))
def test_what_only_grows_has_no_end(levels: list[float]) -> None:
    assert speed_of([(at * 60.0, free) for at, free in enumerate(sorted(levels))]) == 0


@given(st.lists(st.floats(0, 1e12), max_size=300), st.floats(0, 1e12))
def test_an_answer_is_a_time_to_come_or_none(levels: list[float], free: float) -> None:
    found = until_full(speed_of([(at * 60.0, level) for at, level in enumerate(levels)]), free)
    assert found is None or 0 <= found < FURTHEST_H


@given(st.integers(30, 330), st.floats(1, 900))
def test_one_checkpoint_is_no_trend(when: int, size: float) -> None:
    assert hours(over(3, lambda at: 1000 * GB - (size * GB if at * 120 > when else 0))) is None


@given(st.integers(0, 300), st.integers(1, 8), st.floats(1, 900))
def test_a_file_that_comes_and_goes_is_no_trend(begin: int, length: int, size: float) -> None:
    seen = over(3, lambda at: 1000 * GB - (size * GB if begin <= at * 120 < begin + length else 0))
    assert hours([*seen, (seen[-1][0] + EVERY_S, 1000 * GB)]) is None


@pytest.mark.parametrize("minutes", [4, 20, 55])
def test_checkpoints_one_after_the_other_are_one(minutes: float) -> None:
    """10 GB each time; those of the last hours go on."""
    seen = over(23.9, lambda at: 8000 * GB - 10 * GB * int(at * 60 / minutes))
    assert hours(seen) == pytest.approx(seen[-1][1] / (10 * GB * 60 / minutes), rel=0.3)


def test_a_new_fall_counts_though_it_was_quiet_before() -> None:
    seen = over(10, lambda at: 500 * GB - max(0.0, at - 9.5) * 100 * GB)
    assert hours(seen) == pytest.approx(4.5, rel=0.05)


def test_little_that_was_seen_says_nothing() -> None:
    assert hours(over(0.05, lambda at: 100 * GB - at * 50 * GB)) is None
    assert speed_of([]) == 0


def test_what_is_kept_is_bounded_and_answers_at_once() -> None:
    space = FreeSpace()
    for second in range(0, 200_000, 5):
        space.add(second, 1e12 - second * 1e6)
    assert len(space._seen) == 24 * 120 + 1
    assert space.hours(3.6e9) == pytest.approx(1.0)
    assert space.hours(0) == 0
