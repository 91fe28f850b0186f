"""What is drawn of a run's metrics: the lines of each chart, smoothed, without what cannot be drawn."""

from __future__ import annotations

import numpy as np

from lfdash.runs.metrics import MetricTable, smooth
from lfdash.ui.shared.charts import CHARTS, each_eval, spec
from lfdash.ui.train.charts import POINTS, chart_data, holds

LOSS, RATE = CHARTS[0], CHARTS[1]
ROWS = [{"current_steps": n, "loss": 9.0 / n, "lr": 1e-4} for n in range(1, 6)]


def frame(*rows: dict[str, object]):  # type: ignore[no-untyped-def]
    table = MetricTable()
    table.add([*ROWS, *rows])
    return table.frame()


def test_the_lines_of_the_loss_stand_below_each_other() -> None:
    data = chart_data(frame({"current_steps": 5, "eval_loss": 2.0}), LOSS)
    assert list(data.columns) == ["step", "value", "series"]
    assert (data["step"].dtype, data["value"].dtype) == ("int32", "float32")
    raw, smoothed, evaluation = (data[data["series"] == label] for label in LOSS.labels)
    assert list(raw["step"]) == list(smoothed["step"]) == [1, 2, 3, 4, 5]
    assert np.allclose(smoothed["value"], smooth(np.array([9.0 / n for n in range(1, 6)])))
    assert (list(evaluation["step"]), list(evaluation["value"])) == ([5], [2.0])


def test_a_chart_of_one_line_has_its_column() -> None:
    data = chart_data(frame(), RATE)
    assert list(data.columns) == ["step", "value"] and np.allclose(data["value"], 1e-4)


def test_what_cannot_be_drawn_is_left_out() -> None:
    data = chart_data(frame({"current_steps": 6, "loss": 1e300}, {"current_steps": 2**40, "loss": 1.0}), LOSS)
    assert set(data["step"]) == {1, 2, 3, 4, 5}


def test_a_long_run_is_thinned_after_it_was_smoothed() -> None:
    long = frame(*({"current_steps": n, "loss": 1.0 + n % 2} for n in range(6, 9000)))
    data = chart_data(long, LOSS)
    sizes = data.groupby("series").size()
    assert max(sizes) <= POINTS and min(sizes) > POINTS / 3


def test_only_what_was_recorded_is_drawn() -> None:
    drawn = [chart.name for chart in CHARTS if chart.tab == "curves" and holds(frame(), chart.lines[0])]
    assert drawn == ["learning_rate"]


def test_the_losses_on_each_of_several_datasets_are_one_chart() -> None:
    table = MetricTable()
    table.add(ROWS)
    table.set(2, "eval_a_b_loss", 3.0)
    table.set(4, "eval_c_loss", 2.0)
    (chart,) = each_eval(table.frame().each_eval)
    data = chart_data(table.frame(), chart)
    assert data.to_dict("list") == {"step": [2, 4], "value": [3.0, 2.0], "series": ["a_b", "c"]}
    (one,) = each_eval(("eval_c_loss",))
    assert chart_data(table.frame(), one)["value"].tolist() == [2.0] and spec(one)["height"] == one.height
    assert each_eval(frame().each_eval) == ()
