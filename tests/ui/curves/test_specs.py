"""The whole specification of each chart of the table, and of what else can be drawn."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace

import pytest
import vl_convert

from lfdash.ui.curves.draw import chart_part
from lfdash.ui.curves.lines import RUN_COLOURS, CurveRun, Picture, styled
from lfdash.ui.curves.settings import AXES, CurveSettings
from lfdash.ui.curves.specs import Line, built
from lfdash.ui.shared.charts import CHARTS, Chart, each_eval
from tests.support import GOLDEN
from tests.support.pseudo import titles
from tests.ui.curves.feeds import feed

SPECS = GOLDEN / "charts"
BY_NAME = {chart.name: chart for chart in (*CHARTS, *each_eval(("eval_a_loss", "eval_b_loss")))}
CASES = {name: (name, CurveSettings(), 1) for name in BY_NAME} | {
    "loss_log": ("loss", CurveSettings(log=True), 1),
    "loss_time": ("loss", CurveSettings(x="seconds"), 1),
    "loss_runs": ("loss", CurveSettings(), 2),
}


def picture(chart: Chart, runs: int) -> Picture:
    """The chart with all its lines."""
    drawn = Picture(chart)
    for place in range(runs):
        run = CurveRun(f"run {place}", RUN_COLOURS[place], feed())
        for line in chart.lines:
            many = place if runs > 1 else None
            if line.smooth and many is None:
                drawn.lines.append(styled(chart, run, line, line.column, many, faint=True))
            own = f"{line.column}~" if line.smooth else line.column
            drawn.lines.append(styled(chart, run, line, own, many, faint=False))
    return drawn


@pytest.mark.parametrize("case", CASES)
def test_golden_specification(case: str) -> None:
    name, settings, runs = CASES[case]
    golden = SPECS / f"{case}.json"
    spec = chart_part(picture(BY_NAME[name], runs), settings, 190)["spec"]
    text = json.dumps(spec, indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("LFDASH_GOLDEN") == "write":
        golden.write_text(text, encoding="utf-8")
    assert golden.read_text(encoding="utf-8") == text


def test_every_golden_specification_is_of_a_row() -> None:
    assert {path.stem for path in SPECS.glob("*.json")} == {*CASES, "lengths"}


def test_the_scale_follows_the_row_and_the_settings() -> None:
    def kind(scale: str, log: bool) -> object:
        chart = replace(BY_NAME["reward"], scale=scale)
        part = chart_part(picture(chart, 1), CurveSettings(log=log), 190)
        kinds = {layer["encoding"]["y"].get("scale", {}).get("type") for layer in part["spec"]["layer"][1:3]}
        return part["log"], *kinds

    assert [kind("linear", True), kind("switch", False), kind("switch", True)] == [
        (False, None), (False, None), (True, "log"),
    ]


@pytest.mark.parametrize("axis", AXES)
def test_the_axis_has_its_word(axis: str) -> None:
    spec = chart_part(picture(BY_NAME["kl"], 1), CurveSettings(x=axis), 190)["spec"]  # type: ignore[arg-type]
    assert {"step": "step", "epoch": "epoch", "tokens": "tokens", "seconds": "training time"}[axis] in titles(spec)


def test_what_is_emphasised_is_the_smoothed_line() -> None:
    spec = chart_part(picture(BY_NAME["grad_norm"], 1), CurveSettings(), 190)["spec"]
    faint, smoothed = (layer["mark"] for layer in spec["layer"][1:3])
    (opacity,) = (param["value"] for param in spec["params"] if param["name"] == faint["opacity"]["expr"])
    assert opacity < 0.5 < smoothed["opacity"] and faint["strokeWidth"] < smoothed["strokeWidth"]


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [(0, 2, "012"), (0, 1, "01"), (0, 3, "0123"), (1, 2, "12"), (0.9, 2.1, "12"), (0, 1.5, "01"), (2.2, 4.9, "34")],
)
def test_the_axis_of_a_few_steps_has_whole_ones_each_once(low: float, high: float, labels: str) -> None:
    spec = json.loads(json.dumps(built((Line("a", "loss", "#000000"),), "", "step", "Step")))
    ends = {"x_lo": low, "x_hi": high, "y_lo": 10, "y_hi": 30}  # labels below 10 are those of steps
    for parameter in spec["params"]:
        parameter["value"] = ends.get(parameter["name"], parameter["value"])
    spec["datasets"] = {"a": [{"x": low, "y": 12}, {"x": high, "y": 20}], "dots": [], "marks": [], "ticks": []}
    svg = vl_convert.vegalite_to_svg(spec)
    assert "".join(re.findall(r">(\d(?:\.\d+)?)</text>", svg)) == labels
