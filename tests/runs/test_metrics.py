"""Rows of real logs become columns, progress and few points."""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lfdash.runs import metrics
from lfdash.runs.log_reader import Cursor, LogRow, read_last
from lfdash.runs.metrics import (
    MetricFrame,
    MetricTable,
    Progress,
    Rhythm,
    RunTail,
    downsample,
    progress,
    rhythm_of,
    seconds,
    smooth,
)
from lfdash.runs.paths import RunPaths
from tests.support.runs import FIXTURES


def rows_of(name: str) -> list[dict[str, Any]]:
    return read_last(FIXTURES / name)


def resumed(number: int) -> list[dict[str, Any]]:
    return rows_of(f"resume/R{number}.trainer_log.jsonl")


def to_frame(rows: list[dict[str, Any]]) -> MetricFrame:
    table = MetricTable()
    table.add(rows)
    return table.frame()


# -- columns --------------------------------------------------------------------------------------------


def test_train_eval_and_closing_lines_of_one_step_are_one_row() -> None:
    frame = to_frame(rows_of("logs/sft.jsonl"))
    assert frame["step"].tolist() == list(range(1, 15))
    assert np.isfinite(frame["loss"]).all()
    steps, values = frame.series("eval_loss")
    assert steps.tolist() == [10, 14] and values[0] == pytest.approx(5.66944169)
    assert "eval_loss" in frame and "reward" not in frame
    assert np.isnan(frame["reward"]).all() and len(frame["reward"]) == 14
    with pytest.raises(KeyError):
        frame["no_such_column"]


def test_stages_bring_their_own_columns() -> None:
    assert to_frame(rows_of("logs/dpo.jsonl")).series("accuracy")[1][-1] == 1.0
    assert to_frame(rows_of("logs/ppo.jsonl")).series("reward")[1][-1] == pytest.approx(0.401)
    assert len(to_frame([])) == 0


def test_a_null_overwrites_nothing_and_older_names_count() -> None:
    """LLaMA-Factory until 0.8: every key in every line, the evaluation's without a loss."""
    frame = to_frame(rows_of("plain/old_nulls.trainer_log.jsonl"))
    assert [np.isfinite(frame[name]).sum() for name in ("loss", "eval_loss", "learning_rate")] == [6, 3, 6]
    table = MetricTable()
    table.add(rows_of("plain/old_nulls.trainer_log.jsonl"))
    assert table.dead_since() is None


def test_lines_of_several_evaluations_at_the_last_step_begin_no_launch() -> None:
    rows = rows_of("plain/each_dataset.trainer_log.jsonl")
    assert metrics.last_segment(rows) == rows and progress(rows).loss == 1.8
    one = [{**row, "total_steps": 2} for row in rows[:3]]
    assert to_frame(one)["loss"].tolist() == [2.0]


def test_the_losses_on_each_of_several_datasets_are_read_from_console_and_state(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    rows = [
        {"current_steps": step, "total_steps": 6, "epoch": step / 3, **more}
        for step in (2, 4, 6) for more in ({"loss": 3.0 - step / 10}, {}, {})
    ]
    paths.trainer_log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = "{{'eval_{}_loss': '{}', 'eval_{}_runtime': '0.1', 'epoch': '{:.4g}'}}\n"
    evaluated = [(name, step + len(name), name, step / 3) for step in (2, 4, 6) for name in ("a_b", "loss_c")]
    paths.console.write_text("".join(said.format(*values) for values in evaluated[:4]))
    tail = RunTail(paths)
    assert tail.poll() and tail.frame.each_eval == ("eval_a_b_loss", "eval_loss_c_loss")
    assert [list(values) for values in tail.frame.series("eval_a_b_loss")] == [[2, 4], [5, 7]]
    assert [list(values) for values in tail.frame.series("eval_loss_c_loss")] == [[2, 4], [8, 10]]
    history = [{"step": step, "epoch": epoch, f"eval_{name}_loss": step + 0.5} for name, _, _, epoch in evaluated
               for step in [round(epoch * 3)]]
    before = {"step": 1, "grad_norm": 2.0, "eval_a_b_loss": 9.0}  # of the run whose checkpoint it went on from
    paths.trainer_state.write_text(json.dumps({"log_history": [before, *history, {"step": 6, "eval_loss": 1.0}]}))
    assert tail.poll() and tail.frame.series("eval_a_b_loss")[1].tolist() == [2.5, 4.5, 6.5]
    assert "eval_loss" not in tail.frame and tail.frame["step"].tolist() == [2, 4, 6]


def test_a_long_console_is_matched_in_one_pass(tmp_path: Path) -> None:
    """200,000 lines took minutes when each looked through all the rest."""
    paths, count = RunPaths(tmp_path), 60_000
    losses = [f"{2 + n % 97 / 100:.4f}" for n in range(count)]
    row = '{{"current_steps": {}, "total_steps": 60000, "loss": {}}}\n'
    paths.trainer_log.write_text("".join(row.format(n + 1, loss) for n, loss in enumerate(losses)))
    paths.console.write_text("".join(f"{{'loss': '{loss}', 'grad_norm': '0.5', 'epoch': '1'}}\n" for loss in losses))
    tail, begin = RunTail(paths), time.process_time()
    tail.poll()
    assert np.isfinite(tail.frame["grad_norm"]).all() and time.process_time() - begin < 6


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


@pytest.mark.parametrize(
    ("number", "steps", "trained"),
    [(0, 8, 8), (1, 8, 8), (2, 12, 12), (3, 8, 8), (5, 8, 8), (6, 5, 5), (9, 12, 12)],
)
def test_a_resumed_log_gives_one_value_a_step(number: int, steps: int, trained: int) -> None:
    frame = to_frame(resumed(number))
    first = 4 if number == 6 else 1
    assert frame["step"].tolist() == list(range(first, first + steps))
    assert len(frame.series("loss")[0]) == trained


def test_a_resume_with_nothing_to_do_keeps_the_curve() -> None:
    """R4: the closing line of a stale checkpoint stands alone at step 12."""
    frame = to_frame(resumed(4))
    assert frame["step"].tolist() == [*range(1, 9), 12]
    assert math.isnan(frame["loss"][-1])


def test_a_start_over_replaces_what_was_there() -> None:
    old = [{"current_steps": step, "total_steps": 50, "loss": 9.0} for step in range(1, 40)]
    new = [{"current_steps": step, "total_steps": 50, "loss": 1.0} for step in range(1, 4)]
    assert to_frame(old + new)["loss"].tolist() == [1.0, 1.0, 1.0]


def test_a_resume_replaces_the_steps_it_trains_again() -> None:
    old = [{"current_steps": step, "total_steps": 9, "loss": 9.0} for step in (1, 3, 5, 7)]
    new = [{"current_steps": step, "total_steps": 9, "loss": 1.0} for step in (4, 5, 6)]
    frame = to_frame(old + new)
    assert frame["step"].tolist() == [1, 3, 4, 5, 6, 7]
    assert frame["loss"].tolist() == [9.0, 9.0, 1.0, 1.0, 1.0, 9.0]


def test_tokens_a_second_are_told_between_lines_also_after_a_resume() -> None:
    """R1 and R6 log throughputs of millions: all tokens since step 0 over the time of the last launch."""
    logged = max(row["throughput"] for row in resumed(1) if "throughput" in row)
    assert logged > 1e6
    assert np.nanmax(to_frame(resumed(2))["tokens_per_s"]) < 20_000
    first = {"current_steps": 1, "total_steps": 1, "loss": 1.0, "total_tokens": 1000, "throughput": 500.0}
    closing = {key: value for key, value in first.items() if key != "loss"}
    slower = {"current_steps": 2, "total_steps": 2, "loss": 1.0, "total_tokens": 1100, "throughput": 220.0}
    assert np.isnan(to_frame([first, closing, slower])["tokens_per_s"]).all()  # two launches: nothing between them
    row = {"current_steps": 1, "total_steps": 2, "loss": 1.0, "total_tokens": 1000, "throughput": 100.0}
    later = {**row, "current_steps": 2, "total_tokens": 2000, "throughput": 125.0}
    assert to_frame([row, later])["tokens_per_s"].tolist()[1] == pytest.approx(1000 / 6)


def test_time_is_read_from_tokens_and_else_from_the_clock() -> None:
    assert seconds({"total_tokens": 800, "throughput": 948.09, "elapsed_time": "0:00:00"}) == pytest.approx(
        0.8438, 1e-3
    )
    assert seconds({"elapsed_time": "1 day, 2:03:04"}) == 93784
    assert math.isnan(seconds({"elapsed_time": "soon"}))
    for spoiled in ("9" * 400 + " days, 2:03:04", "9" * 5000 + ":00:01"):
        assert math.isnan(seconds({"elapsed_time": spoiled}))


def test_values_that_are_no_numbers_are_gaps() -> None:
    frame = to_frame([{"current_steps": 1, "loss": "abc"}, {"current_steps": 2, "loss": 2.0}, {"loss": 3.0}])
    assert math.isnan(frame["loss"][0]) and frame["loss"][1] == 2.0 and len(frame) == 2


def test_a_table_of_many_steps_stays_small() -> None:
    table = MetricTable()
    table.add([{"current_steps": step, "total_steps": 10**6, "loss": 1.0, "lr": 1.0} for step in range(1, 20_001)])
    assert len(table.frame()) == 20_000


# -- following a run ------------------------------------------------------------------------------------


def test_a_tail_follows_log_and_console(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    tail = RunTail(paths)
    assert not tail.poll()
    log = (FIXTURES / "logs" / "sft.jsonl").read_bytes()
    console = (FIXTURES / "logs" / "sft_console.txt").read_bytes()
    half = log.index(b'"current_steps": 8')
    paths.trainer_log.write_bytes(log[:half])
    paths.console.write_bytes(console)
    assert tail.poll()
    assert tail.frame["step"].tolist() == list(range(1, 8))
    with paths.trainer_log.open("ab") as file:
        file.write(log[half:])
    assert tail.poll() and not tail.poll()
    assert np.isfinite(tail.frame["grad_norm"]).all()
    assert tail.frame["grad_norm"][[0, 1, -1]].tolist() == [0.289, 0.3596, 0.3256]


def test_a_long_log_is_read_a_piece_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And gives the same: also when pieces end within rows, and when another log takes its place."""
    monkeypatch.setattr(metrics, "PIECE", 100)
    read = metrics.read_new
    sizes: list[int] = []

    def watched(path: Path, cursor: Cursor, limit: int) -> tuple[list[LogRow], Cursor]:
        rows, after = read(path, cursor, limit)
        sizes.append(len(rows))
        return rows, after

    monkeypatch.setattr(metrics, "read_new", watched)
    paths = RunPaths(tmp_path)
    tail = RunTail(paths)
    for loss in (1.0, 2.0):
        rows = [{"current_steps": n, "total_steps": 500, "loss": loss, "lr": loss} for n in range(1, 501)]
        paths.trainer_log.write_text("".join(json.dumps(row) + "\n" for row in rows))
        assert tail.poll() and not tail.poll()
        assert tail.frame["step"].tolist() == list(range(1, 501)) and set(tail.frame["loss"]) == {loss}
    assert max(sizes) <= 2
    paths.trainer_log.unlink()
    os.mkfifo(paths.trainer_log)
    assert not tail.poll()


def test_a_state_of_gigabytes_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = RunPaths(tmp_path)
    paths.trainer_log.write_text('{"current_steps": 1, "total_steps": 9, "loss": 1.0}\n')
    paths.trainer_state.parent.mkdir(parents=True, exist_ok=True)
    with paths.trainer_state.open("w") as file:
        file.write('{"log_history": [{"step": 1, "grad_norm": 2.0}]}')
        file.truncate(metrics.LARGEST_STATE + 1)
    monkeypatch.setattr(metrics, "read_json", lambda _path: pytest.fail("it was read"))
    tail = RunTail(paths)
    assert tail.poll() and "grad_norm" not in tail.frame


def test_the_state_at_the_end_tells_the_gradient_norms_by_step(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    paths.trainer_log.write_text('{"current_steps": 5, "total_steps": 5, "loss": 1.0}\n')
    paths.trainer_state.write_text(json.dumps({"log_history": [{"step": 5, "grad_norm": 0.25, "loss": 1.0}]}))
    tail = RunTail(paths)
    tail.poll()
    assert tail.frame["grad_norm"].tolist() == [0.25]


# -- a loss that is no number ---------------------------------------------------------------------------


def follow(folder: Path, log: str, console: str | None = None, state: str | None = None) -> RunTail:
    """A tail that has read what a run wrote, by the names of recorded files."""
    paths = RunPaths(folder)
    for name, path in ((log, paths.trainer_log), (console, paths.console), (state, paths.trainer_state)):
        if name is not None:
            path.write_bytes((FIXTURES / "logs" / name).read_bytes())
    tail = RunTail(paths)
    tail.poll()
    return tail


def test_a_loss_that_is_no_number_is_told_from_console_or_state_of_a_real_run(tmp_path: Path) -> None:
    """A learning rate of 1e30: the log says loss 0.0 from step 4 on, which may be true; the gradient norm is not."""
    console, state = "sft_overflow_console.txt", "sft_overflow_state.json"
    for number, known in enumerate([{"console": console}, {"state": state}, {"console": console, "state": state}, {}]):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert follow(folder, "sft_overflow.jsonl", **known).dead_since == (4 if known else None)


@pytest.mark.parametrize("name", ["dpo", "eval_loss", "nan", "ppo", "predict", "sft"])
def test_other_real_runs_are_not_called_dead(tmp_path: Path, name: str) -> None:
    console = "sft_console.txt" if name == "sft" else None
    assert follow(tmp_path, f"{name}.jsonl", console).dead_since is None  # nan.jsonl has one such step only


@pytest.mark.parametrize(
    ("steps", "since"),
    [
        ("1.0 nan nan nan", 2), ("nan nan nan", 1), ("1.0 inf nan -inf", 2), ("nan nan", None),
        ("nan nan nan 1.0", None), ("0 0 0 0", None), ("0/1.5 0/0 0/2", None), ("0/nan 0/inf 0/nan", 1),
        ("7/nan 7/inf 7/nan 7/inf", None), ("1 0/nan 0/nan 0/3", None), ("1 0/nan nan 0/inf", 2),
    ],
)
def test_when_a_run_counts_as_dead(steps: str, since: float | None) -> None:
    """Each step as loss, or loss/gradient norm. fp16 overflows while it looks for its scale: its loss is a number."""
    table = MetricTable()
    for step, (loss, _, norm) in enumerate((word.partition("/") for word in steps.split()), 1):
        table.add([{"current_steps": step, "total_steps": 9, "loss": float(loss)}])
        if norm:
            table.set(step, "grad_norm", float(norm))
    assert table.dead_since() == since


def test_a_log_that_starts_again_empties_the_frame(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    paths.trainer_log.write_bytes((FIXTURES / "logs" / "sft.jsonl").read_bytes())
    tail = RunTail(paths)
    tail.poll()
    paths.trainer_log.write_text('{"current_steps": 3, "total_steps": 9, "loss": 2.5}\n')
    assert tail.poll()
    assert tail.frame["loss"].tolist() == [2.5]


# -- progress -------------------------------------------------------------------------------------------


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


# -- drawing --------------------------------------------------------------------------------------------


def test_smoothing_follows_the_known_weights() -> None:
    values = np.array([4.0, 2.0, 3.0, 1.0])
    weight = 1.8 * (1 / (1 + math.exp(-0.2)) - 0.5)
    expected, last = [], 4.0
    for value in values:
        last = weight * last + (1 - weight) * value
        expected.append(last)
    assert smooth(values).tolist() == pytest.approx(expected)
    assert len(smooth(np.array([]))) == 0
    noisy = np.sin(np.arange(500))  # a mean with weight 0.9 lets 0.1 / |1 - 0.9 exp(-i)| = 10.9 % of it through
    assert smooth(noisy)[100:].std() / noisy[100:].std() == pytest.approx(0.1093, rel=0.01)


@pytest.mark.parametrize("size", [1, 7, 100, 101, 1999, 100_000])
def test_downsampling_keeps_the_extremes_and_the_order(size: int) -> None:
    x = np.arange(size, dtype=float)
    y = np.random.default_rng(1).normal(size=size)
    if size > 500:
        y[size // 3], y[size // 2] = 99.0, -99.0
    few, values = downsample(x, y, 100)
    assert len(few) <= 100 and len(few) == len(values)
    assert (np.diff(few) > 0).all()
    assert values.max() == y.max() and values.min() == y.min()
    assert (y[few.astype(int)] == values).all()
    if size <= 100:
        assert len(few) == size
