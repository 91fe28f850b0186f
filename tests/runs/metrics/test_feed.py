"""What a run has logged becomes columns: real logs of every stage, resumes, what the console and the state add."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lfdash.runs.log_reader import read_last
from lfdash.runs.metrics import feed as feed_module
from lfdash.runs.metrics import followed
from lfdash.runs.metrics import state as state_module
from lfdash.runs.metrics.feed import RunFeed
from lfdash.runs.metrics.frame import MetricFrame, Segment
from lfdash.runs.metrics.progress import progress
from lfdash.runs.metrics.rows import Block
from lfdash.runs.paths import RunPaths
from tests.support.feeds import fed, written
from tests.support.runs import FIXTURES


def rows_of(name: str) -> list[dict[str, Any]]:
    return read_last(FIXTURES / name)


def resumed(number: int) -> list[dict[str, Any]]:
    return rows_of(f"resume/R{number}.trainer_log.jsonl")


def to_frame(folder: Path, rows: list[dict[str, Any]]) -> MetricFrame:
    return fed(folder, rows).frame


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run"



def test_train_eval_and_closing_lines_of_one_step_are_one_row(folder: Path) -> None:
    frame = to_frame(folder, rows_of("logs/sft.jsonl"))
    assert frame["step"].tolist() == list(range(1, 15))
    assert np.isfinite(frame["loss"]).all()
    steps, values = frame.series("eval_loss")
    assert steps.tolist() == [10, 14] and values[0] == pytest.approx(5.66944169)
    assert "eval_loss" in frame and "reward" not in frame
    assert np.isnan(frame["reward"]).all() and len(frame["reward"]) == 14
    with pytest.raises(KeyError):
        frame["no_such_column"]


def test_tokens_that_nobody_counted_are_no_column(folder: Path, tmp_path: Path) -> None:
    rows = [
        {"current_steps": step, "total_steps": 9, "loss": 2.0, "total_tokens": 0, "throughput": 0.0,
         "elapsed_time": f"0:00:{step:02d}"}
        for step in range(1, 10)
    ]
    frame = to_frame(folder, rows)
    assert "tokens" not in frame and "tokens_per_s" not in frame and frame["seconds"].tolist() == list(range(1, 10))
    assert progress(rows[:1]).tokens_per_s is None
    rows[4:] = [{**row, "total_tokens": 100 * place} for place, row in enumerate(rows[4:], 5)]
    assert to_frame(tmp_path / "counted", rows).series("tokens")[1].tolist() == [500, 600, 700, 800, 900]


def test_stages_bring_their_own_columns(folder: Path) -> None:
    assert to_frame(folder, rows_of("logs/dpo.jsonl")).series("accuracy")[1][-1] == 1.0
    assert to_frame(folder, rows_of("logs/ppo.jsonl")).series("reward")[1][-1] == pytest.approx(0.401)
    assert len(to_frame(folder, [])) == 0


def test_a_null_overwrites_nothing_and_older_names_count(folder: Path) -> None:
    """LLaMA-Factory until 0.8: every key in every line, the evaluation's without a loss."""
    frame = to_frame(folder, rows_of("plain/old_nulls.trainer_log.jsonl"))
    assert [np.isfinite(frame[name]).sum() for name in ("loss", "eval_loss", "learning_rate")] == [6, 3, 6]
    assert fed(folder, rows_of("plain/old_nulls.trainer_log.jsonl")).dead_since is None


def test_lines_of_several_evaluations_at_the_last_step_begin_no_launch(folder: Path) -> None:
    rows = rows_of("plain/each_dataset.trainer_log.jsonl")
    one = [{**row, "total_steps": 2} for row in rows[:3]]
    assert to_frame(folder, one)["loss"].tolist() == [2.0]


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
    tail = RunFeed(paths)
    assert tail.poll() and tail.frame.each_eval == ("eval_a_b_loss", "eval_loss_c_loss")
    assert [list(values) for values in tail.frame.series("eval_a_b_loss")] == [[2, 4], [5, 7]]
    assert [list(values) for values in tail.frame.series("eval_loss_c_loss")] == [[2, 4], [8, 10]]
    history = [{"step": step, "epoch": epoch, f"eval_{name}_loss": step + 0.5} for name, _, _, epoch in evaluated
               for step in [round(epoch * 3)]]
    before = {"step": 1, "grad_norm": 2.0, "eval_a_b_loss": 9.0}  # of the run whose checkpoint it went on from
    paths.trainer_state.write_text(json.dumps({"log_history": [before, *history, {"step": 6, "eval_loss": 1.0}]}))
    assert tail.poll() and tail.frame.series("eval_a_b_loss")[1].tolist() == [2.5, 4.5, 6.5]
    assert [list(values) for values in tail.frame.series("eval_loss")] == [[6], [1.0]]
    assert tail.frame["step"].tolist() == [2, 4, 6]


def test_a_long_console_is_matched_in_one_pass(tmp_path: Path) -> None:
    """200,000 lines took minutes when each looked through all the rest."""
    paths, count = RunPaths(tmp_path), 60_000
    losses = [f"{2 + n % 97 / 100:.4f}" for n in range(count)]
    row = '{{"current_steps": {}, "total_steps": 60000, "epoch": {}, "loss": {}}}\n'
    paths.trainer_log.write_text("".join(row.format(n + 1, n / count, loss) for n, loss in enumerate(losses)))
    said = "{{'loss': '{}', 'grad_norm': '0.5', 'epoch': '{:.4g}'}}\n"
    paths.console.write_text("".join(said.format(loss, n / count) for n, loss in enumerate(losses)))
    tail, begin = RunFeed(paths), time.process_time()
    tail.poll()
    assert np.isfinite(tail.frame["grad_norm"]).all() and time.process_time() - begin < 6


@pytest.mark.parametrize(
    ("number", "steps", "trained"),
    [(0, 8, 8), (1, 8, 8), (2, 12, 12), (3, 8, 8), (5, 8, 8), (6, 5, 5), (9, 12, 12)],
)
def test_a_resumed_log_gives_one_value_a_step(number: int, steps: int, trained: int, folder: Path) -> None:
    frame = to_frame(folder, resumed(number))
    first = 4 if number == 6 else 1
    assert frame["step"].tolist() == list(range(first, first + steps))
    assert len(frame.series("loss")[0]) == trained


def test_a_resume_with_nothing_to_do_keeps_the_curve(folder: Path) -> None:
    """R4: the closing line of a stale checkpoint stands alone at step 12."""
    frame = to_frame(folder, resumed(4))
    assert frame["step"].tolist() == [*range(1, 9), 12]
    assert math.isnan(frame["loss"][-1])


def test_a_start_over_replaces_what_was_there(folder: Path) -> None:
    old = [{"current_steps": step, "total_steps": 50, "loss": 9.0} for step in range(1, 40)]
    new = [{"current_steps": step, "total_steps": 50, "loss": 1.0} for step in range(1, 4)]
    assert to_frame(folder, old + new)["loss"].tolist() == [1.0, 1.0, 1.0]


def test_a_resume_replaces_the_steps_it_trains_again(folder: Path) -> None:
    old = [{"current_steps": step, "total_steps": 9, "loss": 9.0} for step in (1, 3, 5, 7)]
    new = [{"current_steps": step, "total_steps": 9, "loss": 1.0} for step in (4, 5, 6)]
    frame = to_frame(folder, old + new)
    assert frame["step"].tolist() == [1, 3, 4, 5, 6]
    assert frame["loss"].tolist() == [9.0, 9.0, 1.0, 1.0, 1.0]
    assert frame.segments == (Segment(2, 4),)


def test_a_quantity_whose_values_a_resume_cut_off_is_no_column_until_it_is_logged_again(folder: Path) -> None:
    old = [{"current_steps": step, "total_steps": 9, "loss": 9.0, "lr": 1.0} for step in (1, 2, 3, 4)]
    old[2]["reward"] = 7.0
    feed = fed(folder, old)
    assert "reward" in feed.frame and feed.draw("reward").y.tolist() == [7.0]

    def more(step: int, **values: float) -> None:
        with feed.paths.trainer_log.open("a") as log:
            log.write(json.dumps({"current_steps": step, "total_steps": 9, "loss": 1.0, **values}) + "\n")
        assert feed.poll()

    more(3)
    assert feed.frame["step"].tolist() == [1, 2, 3]
    assert set(feed.frame.columns) == {"step", "loss", "learning_rate"}, "the same as whoever reads it now sees"
    assert np.isnan(feed.frame["reward"]).all() and not len(feed.draw("reward").y)
    more(4, reward=5.0)
    assert feed.frame.series("reward")[1].tolist() == [5.0] == feed.draw("reward").y.tolist()
    more(1)
    assert set(feed.frame.columns) == {"step", "loss"}, "a start over"


def test_tokens_a_second_are_told_between_lines_also_after_a_resume(folder: Path) -> None:
    """R1 and R6 log throughputs of millions: all tokens since step 0 over the time of the last launch."""
    logged = max(row["throughput"] for row in resumed(1) if "throughput" in row)
    assert logged > 1e6
    assert np.nanmax(to_frame(folder, resumed(2))["tokens_per_s"]) < 20_000
    first = {"current_steps": 1, "total_steps": 1, "loss": 1.0, "total_tokens": 1000, "throughput": 500.0}
    closing = {key: value for key, value in first.items() if key != "loss"}
    slower = {"current_steps": 2, "total_steps": 2, "loss": 1.0, "total_tokens": 1100, "throughput": 220.0}
    assert np.isnan(to_frame(folder, [first, closing, slower])["tokens_per_s"]).all()  # nothing between launches
    row = {"current_steps": 1, "total_steps": 2, "loss": 1.0, "total_tokens": 1000, "throughput": 100.0}
    later = {**row, "current_steps": 2, "total_tokens": 2000, "throughput": 125.0}
    assert to_frame(folder, [row, later])["tokens_per_s"].tolist()[1] == pytest.approx(1000 / 6)


def test_values_that_are_no_numbers_are_gaps(folder: Path) -> None:
    frame = to_frame(folder, [{"current_steps": 1, "loss": "abc"}, {"current_steps": 2, "loss": 2.0}, {"loss": 3.0}])
    assert math.isnan(frame["loss"][0]) and frame["loss"][1] == 2.0 and len(frame) == 2


# -- following a run ------------------------------------------------------------------------------------


def test_a_tail_follows_log_and_console(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    tail = RunFeed(paths)
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


def test_a_last_row_without_its_newline_is_there_once(folder: Path) -> None:
    """Wherever the line is cut: a row is whole as soon as it is JSON, and its newline adds nothing."""
    rows = [{"current_steps": step, "total_steps": 3, "loss": 1.0 / step, "epoch": step / 3} for step in (1, 2, 3)]
    text, last = written(rows[:2]), written(rows[2:])
    feed = fed(folder, [])
    for cut in range(len(last) + 1):
        feed.paths.trainer_log.write_text(text + last[:cut])
        whole = cut >= len(last) - 1
        feed.poll()
        assert feed.frame["step"].tolist() == ([1, 2, 3] if whole else [1, 2]), last[:cut]
        assert read_last(feed.paths.trainer_log) == (rows if whole else rows[:2])
    with feed.paths.trainer_log.open("a") as file:
        file.write(written([{"current_steps": 3, "total_steps": 3, "epoch": 1.0}])[:-1])
    assert feed.poll() and feed.frame["step"].tolist() == [1, 2, 3] and feed.frame["loss"][-1] == 1 / 3
    assert feed._log.cursor.bad == 0 and not feed.frame.segments


def test_a_long_log_is_read_a_piece_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And gives the same: also when pieces end within rows, and when another log takes its place."""
    monkeypatch.setattr(followed, "PIECE", 100)
    read = feed_module.read_block
    sizes: list[int] = []

    def watched(data: bytes) -> tuple[Block, int]:
        block, bad = read(data)
        sizes.append(len(block))
        return block, bad

    monkeypatch.setattr(feed_module, "read_block", watched)
    paths = RunPaths(tmp_path)
    tail = RunFeed(paths)
    for loss in (1.0, 2.0):
        rows = [{"current_steps": n, "total_steps": 500, "loss": loss, "lr": loss} for n in range(1, 501)]
        paths.trainer_log.write_text("".join(json.dumps(row) + "\n" for row in rows))
        assert tail.poll() and not tail.poll()
        assert tail.frame["step"].tolist() == list(range(1, 501)) and set(tail.frame["loss"]) == {loss}
    assert max(sizes) <= 2
    paths.trainer_log.unlink()
    os.mkfifo(paths.trainer_log)
    assert tail.poll() and len(tail.frame) == 0 and not tail.poll()


def test_a_state_of_gigabytes_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = RunPaths(tmp_path)
    paths.trainer_log.write_text('{"current_steps": 1, "total_steps": 9, "loss": 1.0}\n')
    paths.trainer_state.parent.mkdir(parents=True, exist_ok=True)
    with paths.trainer_state.open("w") as file:
        file.write('{"log_history": [{"step": 1, "grad_norm": 2.0}]}')
        file.truncate(state_module.LARGEST_STATE + 1)
    monkeypatch.setattr(state_module, "parsed", lambda _data: pytest.fail("it was read"))
    tail = RunFeed(paths)
    assert tail.poll() and "grad_norm" not in tail.frame


def test_the_state_at_the_end_tells_the_gradient_norms_by_step(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    paths.trainer_log.write_text('{"current_steps": 5, "total_steps": 5, "loss": 1.0}\n')
    paths.trainer_state.write_text(json.dumps({"log_history": [{"step": 5, "grad_norm": 0.25, "loss": 1.0}]}))
    tail = RunFeed(paths)
    tail.poll()
    assert tail.frame["grad_norm"].tolist() == [0.25]


# -- a loss that is no number ---------------------------------------------------------------------------


def follow(folder: Path, log: str, console: str | None = None, state: str | None = None) -> RunFeed:
    """A tail that has read what a run wrote, by the names of recorded files."""
    paths = RunPaths(folder)
    for name, path in ((log, paths.trainer_log), (console, paths.console), (state, paths.trainer_state)):
        if name is not None:
            path.write_bytes((FIXTURES / "logs" / name).read_bytes())
    tail = RunFeed(paths)
    tail.poll()
    return tail


def test_a_loss_that_is_no_number_is_told_from_console_or_state_of_a_real_run(tmp_path: Path) -> None:
    """A learning rate of 1e30: the log says loss 0.0 from step 4 on, which may be true; the gradient norm is not."""
    console, state = "sft_overflow_console.txt", "sft_overflow_state.json"
    for number, known in enumerate([{"console": console}, {"state": state}, {"console": console, "state": state}, {}]):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert follow(folder, "sft_overflow.jsonl", **known).dead_since == (4 if known else None)


def test_the_loss_ends_where_it_was_a_number_last(tmp_path: Path) -> None:
    """Smoothed as well: the zeros after it would be the best of all."""
    rows = [{"current_steps": step, "total_steps": 9, "loss": 5.0 - step, "epoch": step / 9} for step in range(1, 5)]
    dead = [{"current_steps": step, "total_steps": 9, "loss": 0.0, "epoch": step / 9} for step in range(5, 10)]
    said = "".join(f"{{'loss': '0', 'grad_norm': 'nan', 'epoch': '{step / 9:.4g}'}}\n" for step in range(5, 10))
    feed = fed(tmp_path, [*rows, *dead], said)
    assert feed.dead_since == 5 and feed.frame["loss"][-1] == 0
    for span in (0.0, 2.0):
        curve = feed.draw("loss", span=span)
        assert curve.x.tolist() == [1, 2, 3, 4] and curve.y.min() >= 1
        assert len(feed.draw("loss", span=span, lo=6.0)) == 1 and len(feed.draw("loss", span=span, points=2)) == 2
    assert feed.draw("epoch").x.tolist() == [*range(1, 10)]


def test_an_evaluation_whose_loss_is_no_number_is_told_until_one_has_one(folder: Path) -> None:
    rows = [
        {"current_steps": step, "total_steps": 9, key: loss, "epoch": step / 9}
        for step, key, loss in ((4, "loss", 1.0), (4, "eval_loss", 2.0), (8, "loss", 1.0), (8, "eval_loss", math.nan))
    ]
    assert fed(folder, rows[:2]).frame.eval_nan is None
    assert fed(folder, [*rows, {"current_steps": 9, "total_steps": 9, "epoch": 1.0}]).frame.eval_nan == 8
    assert fed(folder, [*rows, {"current_steps": 9, "total_steps": 9, "eval_loss": 1.5}]).frame.eval_nan is None
    assert fed(folder, [*rows, {"current_steps": 8, "total_steps": 9, "eval_loss": 1.5}]).frame.eval_nan is None


@pytest.mark.parametrize("name", ["dpo", "eval_loss", "ppo", "predict", "sft"])
def test_other_real_runs_are_not_called_dead(tmp_path: Path, name: str) -> None:
    console = "sft_console.txt" if name == "sft" else None
    assert follow(tmp_path, f"{name}.jsonl", console).dead_since is None


@pytest.mark.parametrize("by", ["plan", "closing line", "state", "nothing"])
def test_at_the_end_of_a_run_one_loss_that_is_no_number_is_enough(tmp_path: Path, by: str) -> None:
    """No step comes any more that could mend the weights; as long as one may, three are wanted."""
    assert follow(tmp_path, "nan.jsonl", None).dead_since == 2
    total = {"plan": 40, "closing line": 45}.get(by, 99)
    rows = [
        {"current_steps": 10 * n, "total_steps": total, "loss": loss, "epoch": n / 4}
        for n, loss in enumerate((2.1, math.nan, 1.9, math.nan), 1)
    ]
    closing = [{"current_steps": 45, "total_steps": 45, "epoch": 1.1}] if by == "closing line" else []
    history = [{"step": 40, "epoch": 1.0, "train_runtime": 9.0}] if by == "state" else None
    folder = tmp_path / "run"
    folder.mkdir()
    assert fed(folder, [*rows, *closing], history=history).dead_since == (None if by == "nothing" else 40)


def test_the_state_of_an_earlier_training_is_not_the_end_of_this_one(tmp_path: Path) -> None:
    rows = [{"current_steps": n, "total_steps": 99, "loss": loss} for n, loss in ((30, 2.0), (31, math.nan))]
    history = [{"step": 30, "loss": 2.0}, {"step": 40, "train_runtime": 9.0}]
    assert fed(tmp_path, rows, history=history).dead_since is None
    whole = [{"current_steps": n, "total_steps": 3, "loss": loss} for n, loss in ((1, 2.0), (2, math.nan), (3, 1.0))]
    assert fed(tmp_path, whole).dead_since is None, "in the middle it was one step"


@pytest.mark.parametrize(
    ("steps", "since"),
    [
        ("1.0 nan nan nan", 2), ("nan nan nan", 1), ("1.0 inf nan -inf", 2), ("nan nan", None),
        ("nan nan nan 1.0", None), ("0 0 0 0", None), ("0/1.5 0/0 0/2", None), ("0/nan 0/inf 0/nan", 1),
        ("7/nan 7/inf 7/nan 7/inf", None), ("1 0/nan 0/nan 0/3", None), ("1 0/nan nan 0/inf", 2),
    ],
)
def test_when_a_run_counts_as_dead(folder: Path, steps: str, since: float | None) -> None:
    """Each step as loss, or loss/gradient norm. fp16 overflows while it looks for its scale: its loss is a number."""
    words = [word.partition("/") for word in steps.split()]
    rows = [
        {"current_steps": step, "total_steps": 99, "loss": float(loss)} for step, (loss, _, _) in enumerate(words, 1)
    ]
    norms = [{"step": step, "grad_norm": float(norm)} for step, (_, _, norm) in enumerate(words, 1) if norm]
    assert fed(folder, rows, history=norms).dead_since == since


def test_a_log_that_starts_again_empties_the_frame(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    paths.trainer_log.write_bytes((FIXTURES / "logs" / "sft.jsonl").read_bytes())
    tail = RunFeed(paths)
    tail.poll()
    paths.trainer_log.write_text('{"current_steps": 3, "total_steps": 9, "loss": 2.5}\n')
    assert tail.poll()
    assert tail.frame["loss"].tolist() == [2.5]


# -- files that fail, and files that are gone ------------------------------------------------------------


def whole_run(folder: Path) -> RunFeed:
    """A run that ended an hour ago, with a log, a console that tells one gradient norm, and a state that tells all."""
    folder.mkdir(exist_ok=True)
    paths = RunPaths(folder)
    history = [{"step": step, "loss": 1.0 / step, "grad_norm": 2.0} for step in range(1, 6)]
    paths.trainer_log.write_text("".join(
        json.dumps({"current_steps": step, "total_steps": 5, "epoch": step / 5, "loss": 1.0 / step}) + "\n"
        for step in range(1, 6)
    ))
    paths.console.write_text("{'loss': 1.0, 'other': 7.0, 'epoch': 0.2}\n")
    paths.trainer_state.write_text(json.dumps({"log_history": history}))
    for path in (paths.trainer_log, paths.console, paths.trainer_state):
        os.utime(path, (time.time() - 3600,) * 2)
    return RunFeed(paths)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("name", ["trainer_log.jsonl", "console.log", "trainer_state.json"])
@pytest.mark.parametrize("way", ["open", "stat"])
def test_a_file_that_fails_once_is_read_the_next_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: int, name: str, way: str
) -> None:
    tail = whole_run(folder)
    called = "open" if way == "open" else "stat"
    original = getattr(os, called)

    def fails(path: Any, *args: Any, **named: Any) -> Any:
        if str(path).endswith(name):
            raise OSError(number, os.strerror(number), path)
        return original(path, *args, **named)

    with monkeypatch.context() as broken:
        broken.setattr(os, called, fails)
        for _ in range(3):
            tail.poll()
        assert tail.reading is not None or name == "trainer_state.json"
    tail.poll()
    assert len(tail.frame) == 5 and tail.reading is None
    assert set(tail.frame["grad_norm"]) == {2.0} and tail.frame["other"][0] == 7.0


def test_nobody_waits_for_ever_for_a_file_that_cannot_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tail = whole_run(folder)

    def fails(*_args: Any, **_more: Any) -> None:
        raise PermissionError(errno.EACCES, "no")

    with monkeypatch.context() as broken:
        broken.setattr(followed, "read_whole", fails)
        for _ in range(followed.TRIES + 1):
            tail.poll()
        assert tail.reading is None and len(tail.frame) == 0
    assert tail.poll() and len(tail.frame) == 5


def test_a_checkpoint_is_looked_for_again_when_the_folder_could_not_be_listed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tail = whole_run(folder)
    (folder / "checkpoint-5").mkdir()
    tail.paths.trainer_state.rename(folder / "checkpoint-5" / "trainer_state.json")
    tail.paths.console.unlink()
    with monkeypatch.context() as broken:
        broken.setattr(os, "scandir", lambda _path: (_ for _ in ()).throw(OSError(errno.EMFILE, "many")))
        assert tail.poll() and "grad_norm" not in tail.frame
    assert tail.poll() and set(tail.frame["grad_norm"]) == {2.0}


def test_a_log_that_is_gone_takes_its_curves_along(folder: Path) -> None:
    tail = whole_run(folder)
    tail.poll()
    version = tail.version
    tail.paths.trainer_log.unlink()
    assert tail.poll() and len(tail.frame) == 0 and tail.version > version
    assert not tail.poll()
    whole_run(folder)
    assert tail.poll() and len(tail.frame) == 5 and set(tail.frame["grad_norm"]) == {2.0}


def test_another_folder_in_the_place_of_a_run_is_another_run(folder: Path) -> None:
    tail = whole_run(folder)
    tail.poll()
    shutil.rmtree(folder)
    folder.mkdir()
    assert tail.poll() and len(tail.frame) == 0 and "grad_norm" not in tail.frame and not tail.poll()


def test_what_a_console_told_goes_with_it(folder: Path) -> None:
    tail = whole_run(folder)
    tail.poll()
    tail.paths.console.unlink()
    assert tail.poll() and "other" not in tail.frame and len(tail.frame) == 5
    assert set(tail.frame["grad_norm"]) == {2.0} and not tail.poll()
    tail.paths.console.write_text("{'loss': 1.0, 'another': 7.0, 'epoch': 0.2}\n")
    assert tail.poll() and tail.frame["another"][0] == 7.0


def test_what_a_state_told_goes_with_it(folder: Path) -> None:
    tail = whole_run(folder)
    tail.poll()
    tail.paths.trainer_state.unlink()
    assert tail.poll() and "grad_norm" not in tail.frame and tail.frame["other"][0] == 7.0 and not tail.poll()


def test_a_log_rewritten_in_place_with_the_same_beginning_is_not_mixed_with_the_old(folder: Path) -> None:
    same = [{"current_steps": n, "total_steps": 99, "loss": 1.0, "lr": 0.00001, "epoch": 0.1} for n in range(1, 9)]
    old = [{"current_steps": step, "total_steps": 99, "loss": 2.0} for step in range(10, 30)]
    new = [{"current_steps": step, "total_steps": 99, "loss": 3.0} for step in range(40, 80)]
    tail = fed(folder, same + old)
    tail.paths.trainer_log.write_text(written(same + new))
    assert tail.poll() and tail.frame["step"].tolist() == [*range(1, 9), *range(40, 80)]
