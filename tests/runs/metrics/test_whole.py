"""Time and speed of the whole training: the same from the columns and row by row, also of resumes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lfdash.runs.log_reader import read_last
from lfdash.runs.metrics.merge import Merge
from lfdash.runs.metrics.rows import read_block
from lfdash.runs.metrics.whole import Whole, whole_frame
from lfdash.runs.summary import Digest
from tests.runs.metrics.test_launches import shared_log
from tests.support.feeds import written
from tests.support.runs import FIXTURES

Row = dict[str, Any]


def lines(begin: int, end: int, *, pause: float = 2.0, first: float = 0.0) -> list[Row]:
    """A launch that logs each step: 100 tokens a step, `pause` seconds each; first: seconds more of the first one."""
    return [
        {
            "current_steps": step, "total_steps": 99, "loss": 1.0, "total_tokens": 100 * step,
            "throughput": 100 * step / (pause * (step - begin + 1) + first),
        }
        for step in range(begin, end + 1)
    ]


def wholes(rows: list[Row]) -> tuple[Whole, Whole]:
    merge, digest = Merge(), Digest()
    merge.add(read_block(written(rows).encode())[0])
    digest.add([json.loads(line) for line in written(rows).splitlines()])
    return whole_frame(merge.frame()), digest.summary().whole


@pytest.mark.parametrize(
    ("rows", "seconds", "steps", "tokens"),
    [
        (lines(1, 10), 20.0, 0.5, 50.0),
        (lines(1, 10, first=20.0), 40.0, 0.25, 25.0),  # the slow start counts
        (lines(1, 10)[:1], 2.0, 0.5, 50.0),
        ([*lines(1, 10), *lines(8, 10, pause=4.0)], 26.0, 10 / 26, 1000 / 26),  # steps trained again count once
        (lines(51, 60, first=7.0), 27.0, 0.5, 50.0),  # gone on from another run's checkpoint
        ([*lines(1, 10), {"current_steps": 10, "elapsed_time": "0:01:00"}], 60.0, 10 / 60, 1000 / 60),
        ([{"current_steps": 3, "total_steps": 9, "loss": 1.0}], None, None, None),
        ([{"current_steps": 3, "loss": 1.0, "elapsed_time": "0:00:06"}], 6.0, 0.5, None),
        ([], None, None, None),
    ],
)
def test_the_whole(rows: list[Row], seconds: float | None, steps: float | None, tokens: float | None) -> None:
    for whole in wholes(rows):
        assert (whole.seconds, whole.steps_per_s, whole.tokens_per_s) == pytest.approx((seconds, steps, tokens))


@pytest.mark.parametrize("name", ["logs/sft", "logs/dpo", "resume/R1.trainer_log", "resume/R2.trainer_log"])
def test_of_a_real_run_it_is_what_its_last_line_says_where_that_is_true(name: str) -> None:
    """Of a resumed one LLaMA-Factory's own is wrong."""
    rows = read_last(FIXTURES / f"{name}.jsonl")
    columns, digest = wholes(rows)
    assert columns == digest and columns.tokens_per_s is not None
    said = rows[-1]["throughput"]
    assert columns.tokens_per_s < said / 2 if name.startswith("resume") else columns.tokens_per_s == pytest.approx(said)


def test_a_log_of_two_processes_tells_the_time_of_one() -> None:
    for whole in wholes(shared_log()):
        assert whole.seconds == 90 * 150 and whole.steps_per_s == pytest.approx(10 / 150)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 20), st.integers(1, 20), st.sampled_from([0.5, 2.0, 30.0])), max_size=4),
    st.booleans(),
)
def test_columns_and_rows_tell_the_same(launches: list[tuple[int, int, float]], evaluated: bool) -> None:
    rows: list[Row] = []
    for begin, count, pause in launches:
        rows += lines(begin, begin + count - 1, pause=pause)
        if evaluated:
            rows.append({**rows[-1], "eval_loss": 2.0})
            del rows[-1]["loss"]
    columns, digest = wholes(rows)
    for one, other in zip(vars(columns).values(), vars(digest).values(), strict=True):
        assert one == pytest.approx(other)
