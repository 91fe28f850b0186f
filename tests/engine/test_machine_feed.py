"""A run's machine over the axes of its curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lfdash.engine.machine_feed import MachineFeed, ends
from lfdash.machine.history import columns_of
from lfdash.runs.metrics.frame import MetricFrame

RUN = MetricFrame({
    "step": np.array([10.0, 20.0, 30.0]), "seconds": np.array([100.0, 200.0, 300.0]), "epoch": np.array([0.5, 1.0, 1.5])
})
NOTHING = MetricFrame({"step": np.empty(0)})


def rows(told: Sequence[tuple[float, int, int | None]]) -> list[dict[str, Any]]:
    """(time, attempt, step); the load is the time."""
    return [
        {
            "time": time, "attempt": attempt, "cpu": time % 100, "disk_free": 5e9,
            "devices": {"nvidia:0": {"load": time}},
            **({} if step is None else {"step": step}),
        }
        for time, attempt, step in told
    ]


def test_rows_lie_between_the_steps_that_were_logged() -> None:
    told = [(1000, 1, None), (1005, 1, 10), (1010, 1, 10), (1015, 1, 20), (1020, 1, 20)]
    feed = MachineFeed(columns_of(rows(told)), RUN, 30)
    assert feed.placed and feed.planned == 30
    curve = feed.draw("nvidia:0/load")
    assert curve.x.tolist() == [10, 15, 20, 20] and curve.y.tolist() == [1005, 1010, 1015, 1020]
    assert feed.draw("nvidia:0/load", x="seconds").x.tolist() == [100, 150, 200, 200]
    assert feed.draw("cpu", x="epoch").x.tolist() == [0.5, 0.75, 1.0, 1.0]
    assert feed.draw("disk_free").y.tolist() == [5, 5, 5, 5]
    assert len(feed.draw("cpu", x="tokens")) == 0  # the run has none


def test_what_a_later_attempt_trained_once_more_is_told_by_that() -> None:
    told = [(1000, 1, 10), (1010, 1, 20), (1020, 1, 30), (5000, 2, None), (5010, 2, 20), (5020, 2, 30)]
    curve = MachineFeed(columns_of(rows(told)), RUN, None).draw("nvidia:0/load")
    assert curve.x.tolist() == [10, 20, 30] and curve.y.tolist() == [1000, 5010, 5020]


def test_a_run_that_never_made_a_step_has_its_own_time() -> None:
    feed = MachineFeed(columns_of(rows([(1000, 1, None), (1030, 1, None)])), NOTHING, None)
    assert not feed.placed
    curve = feed.draw("nvidia:0/load", x="seconds")
    assert curve.x.tolist() == [0, 30] and curve.y.tolist() == [1000, 1030]


def test_a_part_is_drawn_with_what_lies_just_beyond_it() -> None:
    feed = MachineFeed(columns_of(rows([(1000 + 10 * at, 1, at) for at in range(10)])), RUN, None)
    assert feed.draw("cpu", lo=3, hi=5).x.tolist() == [2, 3, 4, 5, 6]
    assert feed.draw("cpu", lo=0, hi=99).x.tolist() == list(range(10))
    assert len(feed.draw("cpu", lo=50, hi=60)) <= 1


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=400), st.integers(4, 60))
def test_few_points_keep_the_spikes(values: list[float], points: int) -> None:
    column = np.array(values)
    places = ends(column, 0, len(column), points)
    assert len(places) <= points and places[0] == 0 and places[-1] == len(column) - 1
    assert (np.diff(places) > 0).all()
    assert column[places].min() == column.min() and column[places].max() == column.max()
