"""How far a run is, by the last rows of its log, and how it steps."""

from __future__ import annotations

import math
from typing import Any

import pytest

from lfdash.runs.log_reader import read_last
from lfdash.runs.metrics.launches import last_launch
from lfdash.runs.metrics.line import seconds
from lfdash.runs.metrics.progress import Progress, Rhythm, progress, rhythm_of
from tests.support.runs import FIXTURES


def rows_of(name: str) -> list[dict[str, Any]]:
    return read_last(FIXTURES / name)


def resumed(number: int) -> list[dict[str, Any]]:
    return rows_of(f"resume/R{number}.trainer_log.jsonl")


@pytest.mark.parametrize(
    ("times", "rhythm"),
    [
        ([1, 2, 3], None),  # too few to tell
        ([1, 2, 3, 4], Rhythm(0.5, 1.0, 1.0, 4.0)),
        ([1, 2, 3, 63, 64, 65], Rhythm(0.5, 1.0, 60.0, 65.0)),  # an evaluation changes nothing of what is usual
        ([1, 1, 1, 1, 2, 2, 2, 2, 3], Rhythm(0.125, 0.25, 1.0, 3.0)),  # whole seconds
        ([1, 1, 1, 1], Rhythm(0.125, 0.25, 0.0, 1.0)),
    ],
)
def test_how_a_launch_steps(times: list[int], rhythm: Rhythm | None) -> None:
    rows = [
        {"current_steps": 2 * n, "total_steps": 99, "loss": 1.0, "elapsed_time": f"0:{when // 60:02d}:{when % 60:02d}"}
        for n, when in enumerate(times, 1)
    ]
    beside = {**rows[0], "elapsed_time": "0:59:59"}
    del beside["loss"]
    assert rhythm_of([*rows, {**beside, "eval_loss": 1.0}, {**beside, "epoch": 1.0}]) == rhythm


def test_time_is_read_from_tokens_and_else_from_the_clock() -> None:
    assert seconds({"total_tokens": 800, "throughput": 948.09, "elapsed_time": "0:00:00"}) == pytest.approx(
        0.8438, 1e-3
    )
    assert seconds({"elapsed_time": "1 day, 2:03:04"}) == 93784
    assert math.isnan(seconds({"elapsed_time": "soon"}))
    for spoiled in ("9" * 400 + " days, 2:03:04", "9" * 5000 + ":00:01"):
        assert math.isnan(seconds({"elapsed_time": spoiled}))


def test_progress_of_a_finished_training() -> None:
    found = progress(rows_of("logs/sft.jsonl"))
    assert (found.step, found.total, found.percent, found.epoch, found.remaining_s) == (14, 14, 100.0, 2.0, 0.0)
    assert found.loss == pytest.approx(5.67798, 1e-4)
    assert found.tokens_per_s == pytest.approx(1235.8, 1e-2)


def test_progress_half_way_tells_what_remains() -> None:
    rows = [
        {
            "current_steps": s,
            "total_steps": 100,
            "loss": 3.0,
            "epoch": s / 50,
            "total_tokens": 10 * s,
            "throughput": 20.0,
        }
        for s in range(1, 41)
    ]
    found = progress(rows)
    assert found == Progress(40, 100, 40.0, 0.8, 20.0, 30.0, 3.0, 20.0, Rhythm(0.5, 0.5, 0.5, 20.0))


def test_progress_after_a_resume_is_that_of_the_last_launch() -> None:
    rows = resumed(2)[:-2]  # steps 1..8, 8, 8, 9..11
    found = progress(rows)
    assert (found.step, found.total) == (11, 12)
    assert found.remaining_s is not None and 0.02 < found.remaining_s < 1
    assert progress(resumed(1)).step == 8


def test_an_evaluation_that_ends_at_nought_counts_as_far_as_it_came() -> None:
    found = progress(rows_of("logs/eval_loss.jsonl"))
    assert (found.step, found.total) == (10, 12)


def test_progress_of_nothing() -> None:
    assert progress([]) == Progress()
    assert progress([{"loss": 1.0}]) == Progress()


def test_nan_is_shown_as_what_it_is() -> None:
    loss = progress(rows_of("logs/nan.jsonl")).loss
    assert loss is not None and math.isnan(loss)


def test_lines_of_several_evaluations_at_the_last_step_begin_no_launch() -> None:
    rows = rows_of("plain/each_dataset.trainer_log.jsonl")
    assert last_launch(rows) == rows and progress(rows).loss == 1.8


def test_the_first_line_after_a_resume_tells_no_speed() -> None:
    """LLaMA-Factory divides all tokens since step 0 by the time of this launch."""
    whole = resumed(2)
    begun = [row for row in whole if row["current_steps"] <= 9]
    assert begun[-1]["throughput"] > 10_000 and progress(begun).step == 9
    assert progress(begun).tokens_per_s is None
    assert progress(begun[:1]).tokens_per_s == begun[0]["throughput"]


def lines_at(*steps: float, total: float = 10) -> list[dict[str, Any]]:
    """Lines at these steps."""
    return [{"current_steps": step, "total_steps": total, "loss": 1.0, "epoch": 1.0} for step in steps]


def test_steps_below_nought_or_beyond_the_total_are_not_known() -> None:
    assert progress(lines_at(-5)) == Progress()
    found = progress(lines_at(5, 10, 20))
    assert (found.step, found.total, found.percent) == (10, 10, 100.0)
    assert progress(lines_at(20, 21)) == Progress()
    found = progress(lines_at(5, total=-10))
    assert (found.step, found.total, found.percent) == (5, None, None)


def test_the_one_step_of_a_checkpoint_beyond_the_end_is_known() -> None:
    found = progress(rows_of("plain/past_total.trainer_log.jsonl"))
    assert (found.step, found.total) == (3, 2)
