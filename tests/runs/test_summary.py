"""Best, last and a small curve, from rows of real logs and of made ones."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from lfdash.runs.log_reader import read_last
from lfdash.runs.paths import RunPaths
from lfdash.runs.summary import Digest, LogDigest, Summary
from tests.support.runs import FIXTURES


def row(step: int, loss: float | None = None, **more: Any) -> dict[str, Any]:
    return {"current_steps": step, "total_steps": 100, **({} if loss is None else {"loss": loss}), **more}


def summarize(rows: list[dict[str, Any]]) -> Summary:
    digest = Digest()
    digest.add(rows)
    return digest.summary()


def test_a_real_log_with_evaluations() -> None:
    rows = read_last(FIXTURES / "logs" / "sft.jsonl")
    found = summarize(rows)
    losses = {item["loss"]: item["current_steps"] for item in rows if "loss" in item}
    assert found.best == min(losses) and found.best_step == losses[min(losses)]
    assert found.last == rows[-3]["loss"]
    assert (found.best_eval, found.best_eval_step) == (pytest.approx(5.669255), 14)
    assert found.spark == tuple(float(f"{loss:.5g}") for loss in losses)


def test_logs_without_a_training() -> None:
    assert summarize([]) == Summary()
    assert summarize(read_last(FIXTURES / "logs" / "predict.jsonl")) == Summary()
    found = summarize(read_last(FIXTURES / "logs" / "eval_loss.jsonl"))
    assert (found.best, found.last, found.spark) == (None, None, ())
    assert found.best_eval == pytest.approx(5.676988) and found.best_eval_step == 0


def test_a_training_that_diverged_ends_in_nan_and_its_best_is_a_number() -> None:
    found = summarize(read_last(FIXTURES / "logs" / "nan.jsonl"))
    assert found.best == pytest.approx(5.673494) and found.best_step == 1
    assert found.last is not None and math.isnan(found.last)
    assert found.spark == (5.6735,)
    nothing = summarize([row(1, math.nan), row(2, math.inf)])
    assert (nothing.best, nothing.best_step, nothing.spark) == (None, None, ())


def test_the_curve_has_thirty_means_at_most() -> None:
    found = summarize([row(step, float(step)) for step in range(1, 91)])
    assert len(found.spark) == 30
    assert found.spark[0] == 2.0 and found.spark[-1] == 89.0
    assert found.best == 1.0 and found.last == 90.0


def test_what_is_trained_again_after_a_resume_does_not_count_twice() -> None:
    """Steps 6 to 8 reached the lowest loss, and were lost: the run went on from step 5."""
    first = [row(step, 9.0 - step) for step in range(1, 9)]
    again = [row(6, 5.0), row(7, 4.5)]
    found = summarize([*first, *again])
    assert (found.best, found.best_step, found.last) == (4.0, 5, 4.5)
    assert len(found.spark) == 7


def test_a_start_over_and_the_line_that_ends_an_evaluation() -> None:
    rows = [row(step, 1.0) for step in range(1, 6)]
    assert summarize([*rows, row(1, 3.0)]).best == 3.0
    found = summarize([*rows, row(0, eval_loss=2.0), row(6, 0.5)])
    assert (found.best, len(found.spark)) == (0.5, 6)
    # an evaluation after the closing line is of the same step and takes nothing away
    assert summarize([row(100, 0.25), row(100), row(100, eval_loss=2.0)]).last == 0.25


def test_the_newest_evaluation_is_not_the_best_one() -> None:
    rows = [row(2, eval_loss=1.5), row(4, eval_loss=1.0), row(6, eval_loss=1.25)]
    found = summarize(rows)
    assert (found.best_eval, found.last_eval) == (1.0, 1.25)
    assert summarize([*rows, row(4, 0.5)]).last_eval == 1.5  # gone on from step 2 or 3
    assert summarize([row(1, 0.5)]).last_eval is None


def test_odd_rows_are_passed_over() -> None:
    rows: list[dict[str, Any]] = [{}, {"loss": 1.0}, {"current_steps": "3", "loss": 1}, row(1, None, loss_scale=1)]
    assert summarize(rows) == Summary()
    odd = {"current_steps": 2, "loss": "0.1"}
    assert summarize([odd, {"current_steps": 3, "loss": None}, row(4, 0.5)]).best == 0.5


def test_a_log_that_grows_is_read_piece_by_piece_and_anew_when_it_was_replaced(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    digest = LogDigest(paths)
    assert digest.read(1000) and digest.summary == Summary()
    lines = [json.dumps(row(step, 10.0 / step)) + "\n" for step in range(1, 201)]
    paths.trainer_log.write_text("".join(lines))
    reads = 1
    while not digest.read(1000):
        reads += 1
    assert reads == math.ceil(len("".join(lines)) / 1000)
    assert digest.summary == summarize([json.loads(line) for line in lines])
    same = digest.summary
    assert digest.read(1000) and digest.summary is same
    with paths.trainer_log.open("a") as file:
        file.write('{"current_steps": 201, "loss": 0.0')
    assert digest.read(1000) and digest.summary.last == 0.05  # a line counts when it is whole
    with paths.trainer_log.open("a") as file:
        file.write("1}\n")
    assert digest.read(1000) and digest.summary.last == 0.01
    paths.trainer_log.write_text('{"current_steps": 1, "loss": 7.0}\n')
    assert digest.read(1000) and digest.summary == summarize([row(1, 7.0)])


def test_one_loss_that_is_no_number_at_the_end_is_told(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    paths.trainer_log.write_bytes((FIXTURES / "logs" / "nan.jsonl").read_bytes())
    digest = LogDigest(paths)
    assert digest.read(1 << 20) and (digest.summary.dead_step, digest.summary.best_step) == (2, 1)
    rows = [row(30, 1.0), row(40, math.nan)]  # of 100
    paths.trainer_log.write_text("".join(json.dumps(one) + "\n" for one in rows))
    assert digest.read(1 << 20) and digest.summary.dead_step is None
    assert math.isnan(digest.summary.last or 0)


def test_a_loss_that_is_no_number_is_told_with_its_step(tmp_path: Path) -> None:
    """Of the real run whose log says 0 the gradient norm tells, from its console."""
    paths = RunPaths(tmp_path)
    paths.trainer_log.write_bytes((FIXTURES / "logs" / "sft_overflow.jsonl").read_bytes())
    digest = LogDigest(paths)
    assert digest.read(1 << 20) and digest.summary.dead_step is None, "a loss of 0 may be true"
    paths.console.write_bytes((FIXTURES / "logs" / "sft_overflow_console.txt").read_bytes())
    assert digest.summary.dead_step == 4, "the console came later"
    assert digest.summary.best_step in (1, 2, 3) and math.isnan(digest.summary.last or 0), "a 0 from then on is no loss"
    with paths.trainer_log.open("a") as file:
        file.write('{"current_steps": 99, "total_steps": 99, "loss": 1.5}\n')
    assert digest.read(1 << 20) and digest.summary.dead_step is None
