"""The charts of a run's machine, from their rows to their lines."""

from __future__ import annotations

from typing import Any

import numpy as np

from lfdash.engine.machine_feed import MachineFeed
from lfdash.machine.history import columns_of
from lfdash.runs.metrics.frame import MetricFrame
from lfdash.ui.curves.lines import RUN_COLOURS, CurveRun, Picture, picture
from lfdash.ui.curves.settings import CurveSettings
from lfdash.ui.shared.charts import of_machine

RUN = MetricFrame({"step": np.array([1.0, 2.0, 3.0])})
SETTINGS = CurveSettings()


def drawn(devices: int, **known: Any) -> dict[str, Picture]:
    """The charts of a machine with so many GPUs, of which `known` is known."""
    told = {f"nvidia:{number}": known for number in range(devices)}
    rows = [{"time": at * 5.0, "attempt": 1, "step": at, "cpu": 7.0, "devices": told} for at in (1, 2, 3)]
    machine = columns_of(rows)
    run = CurveRun("r", RUN_COLOURS[0], MachineFeed(machine, RUN, 3))
    charts = of_machine({key: device.label for key, device in machine.devices.items()})
    pictures = [picture(chart, [run], SETTINGS, span=5.0, points=100) for chart in charts]
    return {one.chart.name: one for one in pictures if one.lines}


def test_each_gpu_is_a_line_of_its_own_looks() -> None:
    found = drawn(8, load=50.0, power=300.0)
    assert list(found) == ["machine_load", "machine_power", "machine_host"]  # nothing else is known
    lines = found["machine_load"].lines
    assert [line.label for line in lines] == [f"GPU {number}" for number in range(8)]
    assert len({(line.colour, line.dash) for line in lines}) == 8
    assert all(points[0].tolist() == [1, 2, 3] for points in found["machine_load"].points.values())


def test_a_machine_without_a_gpu_has_processors_and_memory() -> None:
    assert list(drawn(0)) == ["machine_host"]


def test_every_chart_has_its_words() -> None:
    assert all(chart.words for chart in of_machine({"nvidia:0": "GPU 0"}))
