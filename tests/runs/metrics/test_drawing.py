"""Columns that grow are drawn with few points, smoothed, and say their best: the same as made anew from all values."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lfdash.runs.metrics.columns import Columns
from lfdash.runs.metrics.drawing import Axis, Ruler, draw
from lfdash.runs.metrics.feed import RunFeed
from lfdash.runs.metrics.pyramid import Pyramid
from lfdash.runs.metrics.series import Series
from lfdash.runs.metrics.smoothing import EVERY, Mean
from tests.support.feeds import fed
from tests.support.plain_metrics import smoothed

NAN = math.nan
VALUES = st.sampled_from([0.0, 1.0, -2.5, 7.25, NAN, NAN, math.inf, 1e300])


def plain_pick(values: list[float], begin: int, end: int, points: int) -> list[int]:
    """The ranks that are drawn of begin..end: of each stretch whose length is the same power of two the ends."""
    if end - begin <= points:
        return list(range(begin, end))
    length = 2
    while 2 * ((end - 1) // length - begin // length + 1) > points:
        length *= 2
    picked = set()
    for first in range(begin // length * length, end, length):
        ranks = range(max(begin, first), min(end, first + length))
        picked.add(min(ranks, key=lambda rank: (values[rank], rank)))
        picked.add(max(ranks, key=lambda rank: (values[rank], -rank)))
    return sorted(picked)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 600), st.lists(st.integers(1, 400), min_size=1, max_size=4), st.data())
def test_a_pyramid_that_grows_and_is_cut_picks_the_ends_of_every_stretch(
    seed: int, sizes: list[int], data: st.DataObject
) -> None:
    chance, pyramid, values = np.random.default_rng(seed), Pyramid(), np.empty(0)
    for size in sizes:
        cut = data.draw(st.integers(0, len(values)))
        pyramid.cut(cut)
        values = np.concatenate((values[:cut], chance.integers(-9, 9, size).astype(float)))
        pyramid.build(values)
        begin = data.draw(st.integers(0, len(values)))
        end, points = data.draw(st.integers(begin, len(values))), data.draw(st.integers(4, 50))
        picked = pyramid.pick(values, begin, end, points).tolist()
        assert picked == plain_pick(values.tolist(), begin, end, points) and len(picked) <= points


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 9), st.lists(st.integers(1, 2 * EVERY), min_size=1, max_size=4),
    st.sampled_from([0.01, 0.5, 3.0, 40.0, 1e4]), st.sampled_from([1, 7, 1000]), st.data(),
)
def test_the_mean_is_that_of_all_values_so_far(
    seed: int, sizes: list[int], span: float, gap: int, data: st.DataObject
) -> None:
    chance, mean = np.random.default_rng(seed), Mean(span)
    steps, values = np.empty(0), np.empty(0)
    for size in sizes:
        cut = data.draw(st.integers(0, len(values)))
        mean.cut(cut)
        before = steps[cut - 1] if cut else 0.0
        steps = np.concatenate((steps[:cut], before + np.cumsum(chance.integers(1, gap + 1, size))))
        values = np.concatenate((values[:cut], chance.normal(size=size) + 5.0))
        mean.build(steps, values)
        expected = smoothed(steps.tolist(), values.tolist(), span)
        assert np.allclose(mean.values, expected, rtol=1e-5)


def test_a_mean_neither_lags_at_the_start_nor_changes_behind() -> None:
    mean, steps, values = Mean(100.0), np.arange(1.0, 5001), np.linspace(5.0, 1.0, 5000)
    mean.build(steps[:10], values[:10])
    first = mean.values.copy()
    assert first[0] == 5.0 and first[1] == pytest.approx(values[:2].mean(), abs=1e-5)
    mean.build(steps, values)
    assert np.array_equal(mean.values[:10], first)
    assert mean.values[-1] == pytest.approx(1.0 + 4 / 5000 * 144, rel=0.02)  # the mean age: 100 / ln 2 steps


@st.composite
def changes(draw: st.DrawFn) -> list[tuple[str, int, list[float]]]:
    """Ways in which a column changes: values are added, written later, and cut off."""
    kinds = st.sampled_from(["add", "add", "put", "cut"])
    return draw(st.lists(st.tuples(kinds, st.integers(0, 60), st.lists(VALUES, max_size=40)), max_size=8))


@settings(max_examples=150, deadline=None)
@given(changes(), st.sampled_from([0.0, 5.0]), st.sampled_from([4, 9, 100]))
def test_a_column_that_changes_is_drawn_as_it_is(
    made: list[tuple[str, int, list[float]]], span: float, points: int
) -> None:
    plain: list[float] = []
    columns = Columns()
    columns.put("loss", slice(0, 0), np.empty(0))
    series, ruler = Series(columns, "loss"), Ruler(columns, "step")
    for kind, place, values in made:
        if kind == "add":
            columns.grow(np.arange(len(plain), len(plain) + len(values), dtype=float))
            columns.put("loss", slice(len(plain), len(plain) + len(values)), np.array(values))
            plain += values
        elif kind == "cut":
            columns.cut(place)
            del plain[place:]
        else:
            values = values[: max(0, len(plain) - place)]
            columns.put("loss", slice(place, place + len(values)), np.array(values))
            plain[place : place + len(values)] = values
        known = [at for at, value in enumerate(plain) if abs(value) < 1e100]
        told = [plain[at] for at in known]
        assert series.best(largest=False) == (known[told.index(min(told))] if told else None)
        assert series.best(largest=True) == (known[told.index(max(told))] if told else None)
        expected = smoothed([float(at) for at in known], told, span) if span else told
        curve = draw(series, ruler.values(), span=span, lo=None, hi=None, points=points)
        ranks = [known.index(at) for at in curve.place.tolist()]
        assert np.allclose(curve.y, [expected[rank] for rank in ranks], rtol=1e-5)
        assert curve.x.tolist() == curve.place.tolist() and len(curve) <= points + 1
        assert not known or curve.place[-1] == known[-1]
        assert len(ranks) == len(known) or len(known) > points
        assert not known or min(curve.y) == pytest.approx(min(expected), rel=1e-5)


@pytest.fixture
def long(tmp_path: Path) -> RunFeed:
    rows = [
        {
            "current_steps": step, "total_steps": 9999, "epoch": step / 3000,
            "loss": 99.0 if step == 777 else 3.0 + step % 7,
            **({"eval_loss": 2.0} if step % 1000 == 0 else {}),
            **({"total_tokens": step * 10, "throughput": 5.0} if step % 2 else {"elapsed_time": "0:00:00"}),
        }
        for step in range(1, 9001)
    ]
    return fed(tmp_path / "run", rows)


def test_a_range_has_all_its_values_and_one_beyond_each_end(long: RunFeed) -> None:
    curve = long.draw("loss", lo=100, hi=200, points=500)
    assert curve.x.tolist() == list(range(99, 202)) and curve.place[0] == 98
    assert long.draw("loss", lo=8999.5, hi=99999).x.tolist() == [8999, 9000]
    assert long.draw("loss", lo=-9, hi=0).x.tolist() == [1]
    assert long.draw("loss", lo=5, hi=4).x.tolist() == [4, 5]


def test_spikes_survive_and_what_was_drawn_stays(long: RunFeed) -> None:
    curve = long.draw("loss", points=100)
    assert len(curve) <= 101 and curve.x[-1] == 9000 and curve.y[curve.x.tolist().index(777)] == 99.0
    few = long.draw("eval_loss", points=100)
    assert few.x.tolist() == [1000 * n for n in range(1, 10)]


@pytest.mark.parametrize("axis", ["step", "epoch", "tokens", "seconds"])
@pytest.mark.parametrize("span", [0.0, 20.0])
def test_every_axis_ascends(long: RunFeed, axis: Axis, span: float) -> None:
    curve = long.draw("loss", x=axis, span=span, points=300)
    assert (np.diff(curve.x) >= 0).all() and 100 < len(curve) <= 301
    part = long.draw("loss", x=axis, lo=float(curve.x[50]), hi=float(curve.x[60]), points=4000)
    assert part.x[0] <= curve.x[50] and part.x[-1] >= curve.x[60] and len(part) < 2000


def test_a_column_that_is_not_there_has_no_points(long: RunFeed) -> None:
    assert len(long.draw("kl")) == 0 and long.best("kl") is None and len(long.draw("loss", span=5.0, lo=1e9)) <= 1
    assert len(long.draw("loss", points=0)) == len(long.draw("loss", points=2)) == 3
    assert long.best("loss", largest=True) == 776 and long.best("loss") == 6


def test_the_best_is_looked_for_again_when_it_is_no_more() -> None:
    columns = Columns()
    columns.grow(np.arange(5.0))
    columns.put("loss", slice(0, 5), np.array([3.0, 1.0, 2.0, 9.0, 4.0]))
    series = Series(columns, "loss")
    assert (series.best(largest=False), series.best(largest=True)) == (1, 3)
    columns.put("loss", 1, 8.0)
    assert (series.best(largest=False), series.best(largest=True)) == (2, 3)
    columns.cut(3)
    assert (series.best(largest=False), series.best(largest=True)) == (2, 1)
    columns.cut(0)
    assert series.best(largest=False) is None
