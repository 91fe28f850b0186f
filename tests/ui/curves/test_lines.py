"""The lines of a chart, from what runs have logged."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest

from lfdash.runs.compare.address import MOST_CURVES
from lfdash.ui.curves import lines
from lfdash.ui.curves.lines import HUES, RUN_COLOURS, STYLES, CurveRun, charts_of, picture, reach, span_of, ticks
from lfdash.ui.curves.settings import INITIAL, CurveSettings
from lfdash.ui.shared.charts import CHARTS, each_eval
from tests.ui.curves.feeds import feed

Array = npt.NDArray[np.float64]
LOSS = CHARTS[0]
ROWS = [
    {
        "current_steps": n, "total_steps": 200, "loss": 9.0 / n, "lr": 1e-4, "epoch": n / 10,
        "elapsed_time": f"0:00:{n:02d}",
    }
    for n in range(1, 41)
]
EVALS = [
    {"current_steps": n, "total_steps": 200, "eval_loss": 1 + abs(n - 20) / 10, "epoch": n / 10} for n in (10, 20, 30)
]


def run(*rows: dict[str, object], alive: bool = False, label: str = "a", place: int = 0, **more: object) -> CurveRun:
    every = sorted([*ROWS, *rows], key=lambda row: row["current_steps"])  # type: ignore[arg-type,return-value]
    return CurveRun(label, RUN_COLOURS[place], feed(every), alive, **more)  # type: ignore[arg-type]


def loss(runs: list[CurveRun], settings: CurveSettings = INITIAL, span: float = 5.0) -> lines.Picture:
    return picture(LOSS, runs, settings, span=span, points=1000)


def test_the_loss_raw_smoothed_and_evaluated() -> None:
    drawn = loss([run(*EVALS)])
    assert [(line.id, line.label, line.faint) for line in drawn.lines] == [
        ("loss/loss", "loss", True), ("loss/loss~", "smoothed", False), ("loss/eval_loss", "evaluation", False),
    ]
    raw, smooth, evaluation = (drawn.points[line.id] for line in drawn.lines)
    assert list(raw[1]) == [9.0 / n for n in range(1, 41)] and list(evaluation[0]) == [10, 20, 30]
    assert smooth[1][0] == 9.0 and np.all(smooth[1][5:] > raw[1][5:])


def test_only_series_that_exist() -> None:
    assert [line.label for line in loss([run()]).lines] == ["loss", "smoothed"]
    assert [line.label for line in loss([run()], span=0).lines] == ["loss"]
    assert [chart.name for chart in charts_of([run()])] == ["loss", "learning_rate"]
    assert loss([CurveRun("a", RUN_COLOURS[0], feed())]).lines == []


def test_the_best_is_of_the_evaluation_else_of_the_smoothed_loss() -> None:
    marks = loss([run(*EVALS)]).marks
    assert [(mark["kind"], mark["label"], mark["x"], mark["y"]) for mark in marks] == [
        ("last", "evaluation", 30, 2.0), ("best", "evaluation", 20, 1.0),
    ]
    assert {mark["label"] for mark in loss([run()]).marks} == {"smoothed"}
    assert {mark["label"] for mark in loss([run()], span=0).marks} == {"loss"}


def test_a_run_of_one_step_has_its_point() -> None:
    one = CurveRun("a", RUN_COLOURS[0], feed(ROWS[:1]))
    drawn = loss([one])
    assert all(list(points[0]) == [1] for points in drawn.points.values()) and drawn.lines
    assert [mark["kind"] for mark in drawn.marks] == ["last"]
    assert reach([one], [drawn], "step") == (1, 1)


def test_a_zoom_has_its_detail() -> None:
    long = [{"current_steps": n, "loss": float(n % 7), "total_steps": 9000} for n in range(1, 9001)]
    one = CurveRun("a", RUN_COLOURS[0], feed(long))
    settings = replace(INITIAL, zoom=(4000.0, 4300.0))
    drawn = picture(LOSS, [one], settings, span=0, points=700)
    assert len(drawn.points["loss/loss"][0]) <= 700
    x, y = drawn.points["loss/loss@"]
    assert list(x) == list(range(3999, 4302)) and list(y) == [n % 7 for n in range(3999, 4302)]


def test_what_cannot_be_drawn_is_left_out() -> None:
    spoiled = run({"current_steps": 41, "loss": 1e300}, {"current_steps": 2**60, "loss": 1.0})
    assert loss([spoiled], span=0).points["loss/loss"][0].max() == 40


def test_several_runs_have_a_line_each() -> None:
    runs = [run(*EVALS, label="a"), run(label="b", place=1)]
    drawn = loss(runs)
    assert [(line.id, line.label, line.colour) for line in drawn.lines] == [
        ("loss/0/loss~", "a", RUN_COLOURS[0].light), ("loss/0/eval_loss", "a · evaluation", RUN_COLOURS[0].light),
        ("loss/1/loss~", "b", RUN_COLOURS[1].light),
    ]
    assert [line.id for line in loss(runs, span=0).lines if not line.points] == ["loss/0/loss", "loss/1/loss"]
    assert {mark["kind"] for mark in drawn.marks} == {"best"}
    assert [mark["label"] for mark in drawn.marks] == ["a · evaluation", "b, smoothed"]


def matrix(*numbers: float) -> Array:
    return np.array(numbers).reshape(3, 3)


# what is left of linear RGB for whoever sees no red, no green, no blue (Machado, Oliveira, Fernandes 2009, severity 1)
SIGHTS = {
    "usual": np.eye(3),
    "protan": matrix(0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998),
    "deutan": matrix(0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.011820, 0.042940, 0.968881),
    "tritan": matrix(1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.303900),
}
TO_XYZ = matrix(0.4124564, 0.3575761, 0.1804375, 0.2126729, 0.7151522, 0.0721750, 0.0193339, 0.1191920, 0.9503041)
LUMINANCE = TO_XYZ[1]


def linear(colour: str) -> Array:
    """#rrggbb as linear RGB (IEC 61966-2-1)."""
    part = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)


def lab(rgb: Array) -> Array:
    """Linear RGB in CIELAB, whose distances are those that are seen."""
    x = TO_XYZ @ np.clip(rgb, 0, 1) / TO_XYZ.sum(axis=1)
    f = np.where(x > (6 / 29) ** 3, np.cbrt(x), x / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_twenty_runs_are_told_apart() -> None:
    assert len(RUN_COLOURS) == MOST_CURVES
    for look in ("dash", "shape"):  # of lines, of points
        for page in ("light", "dark"):
            assert len({(getattr(colour, page), getattr(colour, look)) for colour in RUN_COLOURS}) == MOST_CURVES
    assert not any(colour.dash for colour in RUN_COLOURS[: len(HUES)]) and len(dict(STYLES)) == len(STYLES)


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize(("page", "ground"), [(0, "#ffffff"), (1, "#15181d")])
def test_the_colours_of_runs_are_told_apart_by_everybody(sight: str, page: int, ground: str) -> None:
    """Lines of one style differ by their colour alone: by 15 of CIELAB, 2.3 of which are just seen."""
    seen = [lab(SIGHTS[sight] @ linear(hues[page])) for hues in HUES]
    assert min(np.linalg.norm(one - other) for one, other in combinations(seen, 2)) > 15
    for hues in HUES:  # against what is behind (WCAG 2.1, 1.4.11)
        dark, light = sorted(float(LUMINANCE @ linear(colour)) for colour in (hues[page], ground))
        assert (light + 0.05) / (dark + 0.05) > 3


def test_the_axis_goes_to_the_planned_end_while_a_run_goes_on() -> None:
    alive, over = run(alive=True), run()
    for axis, end, planned in (("step", 40, 200), ("epoch", 4, 20), ("seconds", 40, 40)):
        settings = CurveSettings(x=axis)  # type: ignore[arg-type]
        for one, high in ((alive, planned), (over, end)):
            found = reach([one], [loss([one], settings)], axis)  # type: ignore[arg-type]
            assert found is not None and np.isclose(found[1], high), axis
    assert reach([over], [], "step") is None


def test_launches_and_checkpoints_are_ticks_on_any_axis() -> None:
    again = [{"current_steps": n, "loss": 1.0, "epoch": n / 10, "total_steps": 200} for n in range(21, 30)]
    one = CurveRun("a", RUN_COLOURS[0], feed([*ROWS, *again]), checkpoints=(20,))
    assert ticks([one], "step") == [
        {"x": 21, "kind": "launch", "step": 21}, {"x": 20, "kind": "saved", "step": 20},
    ]
    assert [tick["x"] for tick in ticks([one], "epoch")] == [2.1, 2.0]
    assert ticks([one, one], "step") == []


def test_each_dataset_of_an_evaluation_is_a_chart() -> None:
    (chart,) = each_eval(("eval_a_loss",))
    assert chart.name == "eval_each"


def test_the_span_is_the_chosen_one_else_by_length() -> None:
    assert span_of([run()], INITIAL) == 5
    assert span_of([run()], replace(INITIAL, span=0.0)) == 0
    assert span_of([], INITIAL) == 0
