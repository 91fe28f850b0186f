"""The axis that fits the values of a setting, and where each value stands on it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfdash.runs.compare.axes import MOST_WORDS, REST, axis_of, number_of

VALUES = st.lists(
    st.one_of(
        st.none(), st.booleans(), st.integers(-5, 5), st.floats(-1e3, 1e3), st.sampled_from(["a", "b", "1e-4", "run-2"])
    ),
    max_size=12,
)


@given(VALUES)
def test_every_value_has_its_place(values: list[Any]) -> None:
    axis = axis_of("x", values)
    places = [axis.place(value) for value in values]
    assert [place is None for place in places] == [value is None for value in values]
    assert all(-1e-9 <= place <= 1 + 1e-9 for place in places if place is not None)


@given(st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=10))
def test_numbers_keep_their_order(values: list[float]) -> None:
    axis = axis_of("x", values)
    assert axis.kind in ("linear", "log")
    places = [axis.place(value) for value in sorted(values)]
    assert all(a is not None and b is not None and a <= b + 1e-9 for a, b in pairwise(places))


@pytest.mark.parametrize(
    ("values", "kind", "ticks"),
    [
        ([1e-5, 1e-4, 1e-3], "log", ()), ([8, 16, 32], "linear", ()), (["1e-4", 2e-4], "linear", ()),
        ([8, 16, 32, 64], "log", ()),
        ([0, 0.1], "linear", ()), ([True, False], "words", ("false", "true")), ([8, "auto"], "words", ("8", "auto")),
        (["run-10", "run-2"], "words", ("run-2", "run-10")), ([], "words", ()), ([None], "words", ()),
        ([5, 5], "linear", ()), (["x"], "words", ("x",)),
    ],
)
def test_the_axis_that_fits(values: list[Any], kind: str, ticks: tuple[str, ...]) -> None:
    axis = axis_of("x", values)
    assert (axis.kind, axis.ticks) == (kind, ticks)


def test_a_single_place_is_the_middle() -> None:
    assert axis_of("x", [5, 5]).place(5) == 0.5 and axis_of("x", ["a"]).place("a") == 0.5


def test_very_many_words_share_the_last_place() -> None:
    values = ["often"] * 3 + [f"rare-{n}" for n in range(100)]
    axis = axis_of("x", values)
    assert len(axis.ticks) == MOST_WORDS + 1 and axis.ticks[-1] == REST
    assert axis.place("often") is not None and axis.place("rare-99") == 1.0 and axis.word("rare-99") == REST


@pytest.mark.parametrize(
    ("value", "number"),
    [(1, 1.0), ("5e-5", 5e-5), (True, None), ("a", None), (None, None), (float("inf"), None), ([1], None),
     (10**400, None)],
)
def test_what_is_a_number(value: Any, number: float | None) -> None:
    assert number_of(value) == number


def test_what_is_written_beside_numbers() -> None:
    assert axis_of("x", [8, 16, 32, 64]).marks() == [
        (0.0, "8"), (pytest.approx(1 / 3), "16"), (pytest.approx(2 / 3), "32"), (1.0, "64"),
    ]
    assert [text for _, text in axis_of("x", [*range(1, 8)]).marks()] == ["1", "4", "7"]
    assert [text for _, text in axis_of("x", [10**n for n in range(7)]).marks()] == ["1", "1000", "1e+06"]
    assert axis_of("x", [5]).marks() == [(0.5, "5")]
    assert [text for _, text in axis_of("x", [0.0, 0.001, 1.0]).marks()] == ["0", "1"]
