"""The table of charts: rows that there are words for, and columns that no row names."""

from __future__ import annotations

import json
import os

import pytest

from lfdash.ui.shared import charts
from lfdash.ui.shared.charts import CHARTS, COLOURS, LENGTHS, Chart
from tests.support import GOLDEN

SPECS = GOLDEN / "charts"


def test_golden_specification_of_the_histogram() -> None:
    golden = SPECS / "lengths.json"
    text = json.dumps(charts.spec(LENGTHS), indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("LFDASH_GOLDEN") == "write":
        golden.write_text(text, encoding="utf-8")
    assert golden.read_text(encoding="utf-8") == text


def test_rows_are_told_apart() -> None:
    assert len({chart.name for chart in CHARTS}) == len(CHARTS)
    assert CHARTS[0].name == charts.MAIN


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.name)
def test_a_row_has_words_and_colours(chart: Chart) -> None:
    assert chart.words
    assert all(line.colour in COLOURS for line in chart.lines)
    labels = [line.label for line in chart.lines]
    assert len(set(labels)) == len(labels) and (len(labels) == 1 or all(labels))


def test_the_losses_on_each_of_several_datasets_are_one_chart() -> None:
    (chart,) = charts.each_eval(("eval_a_b_loss", "eval_c_loss"))
    assert [(line.column, line.label, line.points) for line in chart.lines] == [
        ("eval_a_b_loss", "a_b", True), ("eval_c_loss", "c", True),
    ]
    assert charts.each_eval(()) == ()


def test_what_no_row_knows_has_a_chart_of_its_own_name() -> None:
    columns = (
        "step", "epoch", "loss", "eval_runtime", "eval_a_loss", "entropy", "eval_bleu", "rewards/chosen", "accuracy",
    )
    found = charts.others(columns, drawn=("eval_a_loss",))
    assert [chart.words for chart in found] == ["entropy", "eval_bleu"]
    entropy, bleu = (chart.lines[0] for chart in found)
    assert (entropy.smooth, entropy.points, bleu.smooth, bleu.points) == (True, False, False, True)
