"""What is drawn of a run's metrics: the lines of each chart, smoothed, without what cannot be drawn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lfdash.runs.metrics.feed import RunFeed
from lfdash.ui.shared.charts import CHARTS, each_eval, spec
from lfdash.ui.train.charts import POINTS, chart_data, holds
from tests.support.feeds import fed

LOSS, RATE = CHARTS[0], CHARTS[1]
ROWS = [{"current_steps": n, "loss": 9.0 / n, "lr": 1e-4} for n in range(1, 6)]


@pytest.fixture
def feed(tmp_path: Path) -> Callable[..., RunFeed]:
    return lambda *rows, **more: fed(tmp_path / "run", [*ROWS, *rows], **more)


def test_the_lines_of_the_loss_stand_below_each_other(feed: Callable[..., RunFeed]) -> None:
    data = chart_data(feed({"current_steps": 5, "eval_loss": 2.0}), LOSS)
    assert list(data.columns) == ["step", "value", "series"]
    assert (data["step"].dtype, data["value"].dtype) == ("int32", "float32")
    raw, smoothed, evaluation = (data[data["series"] == label] for label in LOSS.labels)
    assert list(raw["step"]) == list(smoothed["step"]) == [1, 2, 3, 4, 5]
    assert smoothed["value"].iloc[0] == 9.0 and (np.diff(smoothed["value"]) < 0).all()
    assert (smoothed["value"].to_numpy()[1:] > raw["value"].to_numpy()[1:]).all()
    assert (list(evaluation["step"]), list(evaluation["value"])) == ([5], [2.0])


def test_a_chart_of_one_line_has_its_column(feed: Callable[..., RunFeed]) -> None:
    data = chart_data(feed(), RATE)
    assert list(data.columns) == ["step", "value"] and np.allclose(data["value"], 1e-4)


def test_what_cannot_be_drawn_is_left_out(feed: Callable[..., RunFeed]) -> None:
    data = chart_data(feed({"current_steps": 6, "loss": 1e300}, {"current_steps": 2**40, "loss": 1.0}), LOSS)
    assert set(data["step"]) == {1, 2, 3, 4, 5}


def test_a_long_run_is_thinned_after_it_was_smoothed(feed: Callable[..., RunFeed]) -> None:
    long = feed(*({"current_steps": n, "loss": 1.0 + n % 2} for n in range(6, 9000)))
    data = chart_data(long, LOSS)
    sizes = data.groupby("series").size()
    assert max(sizes) <= POINTS and min(sizes) > POINTS / 3


def test_only_what_was_recorded_is_drawn(feed: Callable[..., RunFeed]) -> None:
    drawn = [chart.name for chart in CHARTS if chart.tab == "curves" and holds(feed(), chart.lines[0])]
    assert drawn == ["learning_rate"]


def test_the_losses_on_each_of_several_datasets_are_one_chart(feed: Callable[..., RunFeed]) -> None:
    assert each_eval(feed().frame.each_eval) == ()
    told = feed(history=[{"step": 2, "eval_a_b_loss": 3.0}, {"step": 4, "eval_c_loss": 2.0}])
    (chart,) = each_eval(told.frame.each_eval)
    data = chart_data(told, chart)
    assert data.to_dict("list") == {"step": [2, 4], "value": [3.0, 2.0], "series": ["a_b", "c"]}
    (one,) = each_eval(("eval_c_loss",))
    assert chart_data(told, one)["value"].tolist() == [2.0] and spec(one)["height"] == one.height
