"""Where launches begin in a trainer log, also in one that several processes wrote."""

from __future__ import annotations

import random
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lfdash.runs.metrics.frame import Segment
from lfdash.runs.metrics.launches import Kind, Launches, last_launch
from lfdash.runs.metrics.line import NAN
from lfdash.runs.metrics.progress import progress
from lfdash.runs.summary import Digest
from tests.support.feeds import fed

Row = dict[str, Any]


def launch(begin: int, end: int, *, late: float, pause: float, loss: float = 0.0, total: int = 900) -> list[Row]:
    """The lines of one process of a launch that logs every tenth step. late: share by which it is slower than `pause`
    seconds a line."""
    return [
        {
            "current_steps": step, "total_steps": total, "loss": loss + 1 / step, "epoch": step / 100,
            "elapsed_time": str(timedelta(seconds=int((step - begin + 10) / 10 * pause * (1 + late) + late * 100))),
            "at": (step - begin + 10) / 10 * pause * (1 + late),
        }
        for step in range(begin, end + 1, 10)
    ]


def shared_log(*, pause: float = 150.0) -> list[Row]:
    """A run of two machines: each step twice, the second ever later, a step back at almost each line at last, clocks
    that differ by a second; resumed once, further back."""
    chance = random.Random(7)
    rows = []
    for begin, end in ((10, 610), (510, 900)):
        both = launch(begin, end, late=0.0, pause=pause) + launch(begin, end - 10, late=0.03, pause=pause, loss=1e-4)
        rows += sorted(both, key=lambda row: row["at"] + chance.uniform(-1.5, 1.5))
    return [{key: value for key, value in row.items() if key != "at"} for row in rows]


@pytest.mark.parametrize("pause", [150.0, 20.0])
def test_a_log_of_two_processes_has_each_step_once(tmp_path: Path, pause: float) -> None:
    rows = shared_log(pause=pause)
    back = sum(now["current_steps"] < old["current_steps"] for old, now in pairwise(rows))
    assert back > 20
    frame = fed(tmp_path, rows).frame
    assert frame["step"].tolist() == [*range(10, 901, 10)] and frame.segments == (Segment(50, 510),)
    assert frame["seconds"].tolist() == [pause * line for line in range(1, 91)]
    assert frame["loss"].tolist() == [1 / step for step in range(10, 901, 10)]  # of each step that which came first


def test_the_newest_launch_of_two_processes_is_found_in_the_last_lines() -> None:
    rows = shared_log()
    assert [row["current_steps"] for row in last_launch(rows)] == [*range(510, 901, 10)]
    for count in (3, 10, 50):
        found = progress(rows[-count:])
        assert (found.step, found.elapsed_s) == (900, 6000)
        assert found.rhythm is None or found.rhythm.line_s == 150


def test_evaluations_of_the_late_process_do_not_come_twice(tmp_path: Path) -> None:
    rows = shared_log()
    evaluated = {"current_steps": 300, "total_steps": 900, "epoch": 3.0, "elapsed_time": "1:20:00"}
    at = next(place for place, row in enumerate(rows) if row["current_steps"] == 330)
    rows[at:at] = [evaluated | {"eval_loss": 0.5}, evaluated | {"eval_loss": 0.6}]
    frame = fed(tmp_path, rows).frame
    assert [list(values) for values in frame.series("eval_loss")] == [[300], [0.5]] and len(frame.segments) == 1


def kinds_of(lines: list[tuple[float, float]]) -> list[Kind]:
    """The kinds of lines with a loss. lines: step and clock."""
    launches = Launches()
    return [launches.take(step, 1000, when, True, False) for step, when in lines]


@pytest.mark.parametrize(
    ("lines", "begin"),
    [
        ([(10, 60), (20, 120), (30, 180), (20, 70)], True),  # a resume
        ([(10, 60), (20, 120), (30, 180), (20, 170)], True),  # a resume whose first steps took long
        ([(10, 60), (20, 120), (30, 180), (40, 65)], True),  # from the very last step
        ([(1, 0), (2, 1), (3, 1), (4, 1), (5, 1), (6, 2), (3, 2)], True),  # a training of two seconds
        ([(1, 1), (2, 2), (2, 1)], True),
        ([(1, NAN), (2, NAN), (1, NAN)], True),  # nobody knows when
        ([(10, 132), (10, 133)], False),  # the first step of two processes
        ([(10, 50_000), (20, 50_100), (10, 50_170)], False),
        ([(20, 132), (20, 131)], False),
        ([(step, 10 * step) for step in range(10, 200, 10)] + [(170, 1900)], False),
    ],
)
def test_a_step_back_is_a_launch_where_the_clock_began_anew(lines: list[tuple[float, float]], begin: bool) -> None:
    *before, last = kinds_of(lines)
    assert {*before} == {Kind.NEXT} and last is (Kind.BEGINS if begin else Kind.BESIDE)


def test_once_there_are_two_processes_a_quick_one_is_known_too() -> None:
    assert kinds_of([(1, 1), (1, 1), (2, 2), (3, 3), (2, 3), (4, 4)]) == [
        Kind.NEXT, Kind.BESIDE, Kind.NEXT, Kind.NEXT, Kind.BESIDE, Kind.NEXT,
    ]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 9), max_size=9))
def test_lines_without_a_clock_begin_a_launch_only_by_their_steps(steps: list[int]) -> None:
    assert kinds_of([(step, NAN) for step in steps]) == [
        Kind.BEGINS if number and step < steps[number - 1] else Kind.NEXT for number, step in enumerate(steps)
    ]


EVALUATED: Row = {
    "current_steps": 30, "total_steps": 30, "loss": None, "eval_loss": 0.25, "learning_rate": None, "epoch": 1.0,
    "percentage": 100.0, "elapsed_time": "0:17:30",
}
PREDICTED: list[Row] = [
    {"current_steps": step, "total_steps": 250, "elapsed_time": f"0:17:{step // 10:02d}"} for step in range(5, 251, 5)
]


@pytest.mark.parametrize(
    "after",
    [
        [EVALUATED], PREDICTED, [*PREDICTED, EVALUATED], [EVALUATED, {**PREDICTED[-1], "elapsed_time": "0:17:30"}],
    ],
)
@pytest.mark.parametrize("closed", [True, False])
def test_what_counts_its_own_batches_after_a_training_is_no_step_of_it(
    tmp_path: Path, after: list[Row], closed: bool
) -> None:
    """As versions before 0.9 wrote it, with a null for what a line has not."""
    rows = launch(10, 100, late=0.0, pause=100.0, total=101)
    ending = {"current_steps": 101, "total_steps": 101, "epoch": 1.0, "elapsed_time": "0:16:50"}
    rows = [{key: value for key, value in row.items() if key != "at"} for row in rows] + [ending] * closed
    lines = [{key: value for key, value in row.items() if value is not None} for row in after]
    seconds = 1050.0 if lines[-1]["elapsed_time"] == "0:17:30" else 1045.0
    frame, digest = fed(tmp_path, rows + lines).frame, Digest()
    assert frame["step"].tolist() == [*range(10, 101, 10), *[101] * closed] and not frame.segments
    assert frame["seconds"][-1] == seconds and not frame.series("eval_loss")[0].size
    digest.add(rows + lines)
    summary = digest.summary()
    assert (summary.last, summary.last_eval, summary.whole.seconds) == (0.01, None, seconds)
    found = progress(rows + lines)
    assert (found.step, found.total, found.loss, found.elapsed_s) == (101 if closed else 100, 101, 0.01, seconds)
    assert found.epoch == 1.0


@pytest.mark.parametrize(
    "row",
    [
        EVALUATED | {"epoch": 0.3},  # of an earlier epoch: it is trained again
        EVALUATED | {"elapsed_time": "0:03:00"},  # its clock began anew
        EVALUATED | {"total_steps": 101, "elapsed_time": "0:03:00"},
    ],
)
def test_the_evaluation_of_a_resume_is_a_step(row: Row) -> None:
    rows = launch(10, 100, late=0.0, pause=100.0, total=101)
    assert progress([*rows, row]).step == 30


def test_a_training_of_more_steps_whose_first_line_has_no_loss_goes_on(tmp_path: Path) -> None:
    rows = launch(10, 100, late=0.0, pause=1.0, total=100)
    more = {"current_steps": 150, "total_steps": 200, "eval_loss": 0.5, "epoch": 1.5, "elapsed_time": "0:01:00"}
    assert progress([*rows, more]).step == 150 and fed(tmp_path, [*rows, more]).frame["step"][-1] == 150
