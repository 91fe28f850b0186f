"""The table of charts: each row's whole specification, its words, and columns that there are."""

from __future__ import annotations

import json
import os

import pytest

from lfdash.runs.metrics.merge import Merge
from lfdash.ui.shared import charts
from lfdash.ui.shared.charts import CHARTS, Chart, Series
from tests.support import GOLDEN
from tests.support.pseudo import titles

SPECS = GOLDEN / "charts"
CASES = [(chart, log) for chart in CHARTS for log in (False, True) if chart.scale == "switch" or not log]
IDS = [chart.name + ("_log" if log else "") for chart, log in CASES]


@pytest.mark.parametrize(("chart", "log"), CASES, ids=IDS)
def test_golden_specification(chart: Chart, log: bool) -> None:
    golden = SPECS / f"{chart.name}{'_log' if log else ''}.json"
    text = json.dumps(charts.spec(chart, log=log), indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("LFDASH_GOLDEN") == "write":
        golden.write_text(text, encoding="utf-8")
    assert golden.read_text(encoding="utf-8") == text


def test_every_golden_specification_is_of_a_row() -> None:
    assert {path.stem for path in SPECS.glob("*.json")} == set(IDS)
    assert len({chart.name for chart in CHARTS}) == len(CHARTS)


@pytest.mark.parametrize("chart", [chart for chart in CHARTS if chart.tab is not None], ids=lambda chart: chart.name)
def test_a_run_has_the_columns(chart: Chart) -> None:
    frame = Merge().frame()
    assert all(len(frame[line.column]) == 0 for line in chart.lines)


def test_a_chart_above_the_tabs_can_be_zoomed() -> None:
    for chart in charts.of_tab(""):
        assert [param["name"] for param in charts.spec(chart)["params"]] == [charts.ZOOM]
    assert all("params" not in charts.spec(chart) for chart in charts.of_tab("curves"))


def test_the_scale_follows_the_row_and_the_switch() -> None:
    def kind(scale: str, log: bool) -> object:
        chart = Chart("reward", scale=scale)  # type: ignore[arg-type]
        return charts.spec(chart, log=log)["encoding"]["y"]["scale"].get("type")

    assert [kind("linear", True), kind("log", False), kind("switch", False), kind("switch", True)] == [
        None, "log", None, "log",
    ]


def test_lines_of_one_chart_are_told_apart() -> None:
    two = Chart("both", "ui.loss", (Series("loss", "ui.series_raw"), Series("eval_loss", "ui.series_eval")))
    made = charts.spec(two)
    assert two.labels == ("loss", "evaluation") and len(made["layer"]) == 2
    assert {"loss", "evaluation"} <= set(titles(made))
