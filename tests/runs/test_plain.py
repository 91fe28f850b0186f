"""A run of the plain CLI is judged by what it left; one that may go on is never called finished."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lfdash.runs import plain
from lfdash.runs.log_reader import LogRow, read_last
from lfdash.runs.metrics.progress import Progress
from lfdash.runs.paths import RunPaths
from lfdash.runs.plain import YOUNG_S, Traces, judge_plain, traces_of
from lfdash.runs.record import RunState, Status
from lfdash.runs.scan import RunScan, look
from lfdash.runs.view import view_plain
from tests.support import FIXTURES

DAY = 86400.0
ENDING: LogRow = {"current_steps": 20, "total_steps": 20, "epoch": 2.0, "elapsed_time": "0:00:21"}
PREDICTING = [{"current_steps": step, "total_steps": 512, "elapsed_time": "0:10:00"} for step in (500, 505, 510)]


def steps(last: int, total: int = 20, each_s: float = 1.0) -> list[LogRow]:
    """A line a step."""
    return [
        {"current_steps": n, "total_steps": total, "loss": 2.0, "epoch": n / 10, "elapsed_time": clock(n * each_s)}
        for n in range(1, last + 1)
    ]


def clock(seconds: float) -> str:
    return f"{int(seconds) // 3600}:{int(seconds) % 3600 // 60:02d}:{int(seconds) % 60:02d}"


def rows_of(name: str) -> list[LogRow]:
    return read_last(FIXTURES / "plain" / f"{name}.trainer_log.jsonl")


@pytest.mark.parametrize("name", ["old_nulls", "early_stop", "each_dataset", "past_total"])
def test_a_real_log_tells_that_its_training_ended_once_it_is_quiet(name: str) -> None:
    assert judge_plain(Traces(rows_of(name), log_age=DAY)) is RunState.SUCCEEDED
    assert judge_plain(Traces(rows_of(name), log_age=1.0)) is RunState.RUNNING
    assert judge_plain(Traces(rows_of(name)[:1], log_age=DAY)) is RunState.LOST


def test_the_evaluations_of_several_datasets_are_no_end() -> None:
    """Each writes a line that looks like the one which ends a training."""
    rows = rows_of("each_dataset")
    assert [judge_plain(Traces(rows[:count], log_age=DAY)) for count in (5, 6, 7)] == [RunState.LOST] * 3
    stopped_early = [*rows[:6], {**rows[5]}]  # one more at its last step than at the steps before
    assert judge_plain(Traces(stopped_early, log_age=DAY)) is RunState.SUCCEEDED


@pytest.mark.parametrize(
    ("traces", "state"),
    [
        (Traces([*steps(20), ENDING], log_age=5.0), RunState.RUNNING),  # it saves, or evaluates once more
        (Traces([*steps(20), ENDING], log_age=-5.0), RunState.RUNNING),  # by a clock that was set back
        (Traces([*steps(20), ENDING], log_age=5.0, results_age=1.0), RunState.SUCCEEDED),
        (Traces([*steps(20), ENDING], log_age=5.0, results_age=900.0, results_epoch=2.0), RunState.SUCCEEDED),  # copied
        (Traces([*steps(20), ENDING], log_age=5.0, results_age=900.0, results_epoch=9.0), RunState.RUNNING),
        (Traces(steps(20), log_age=5.0, saved_step=20), RunState.SUCCEEDED),  # a log that was touched
        (Traces(steps(20, 40), log_age=5.0, saved_step=20), RunState.RUNNING),  # resumed for longer
        (Traces([], log_age=1.0, results_age=0.5), RunState.RUNNING),
        (Traces(steps(8), log_age=5.0, results_age=900.0), RunState.RUNNING),  # resumed where another had ended
        (Traces(steps(8), log_age=DAY, results_age=DAY + 900.0), RunState.LOST),  # and lost then
        (Traces(steps(8), log_age=DAY, results_age=DAY - 1.0, results_epoch=2.0), RunState.LOST),  # copied together
        (Traces(steps(8), log_age=DAY, results_age=DAY + 900.0, results_epoch=0.8), RunState.SUCCEEDED),
        (Traces(steps(8), log_age=DAY, results_age=DAY - 1.0), RunState.SUCCEEDED),
        (Traces(steps(8), log_age=DAY, saved_step=8), RunState.SUCCEEDED),
        (Traces(steps(8), log_age=DAY, saved_step=20), RunState.LOST),  # of the training before
        (Traces(steps(8, each_s=300.0), log_age=800.0), RunState.RUNNING),  # a line each five minutes
        (Traces(steps(8, each_s=300.0), log_age=1000.0), RunState.LOST),
        (Traces(PREDICTING, log_age=YOUNG_S + 1), RunState.SUCCEEDED),  # a line each fifth step
        (Traces(PREDICTING[:2], log_age=YOUNG_S + 1), RunState.LOST),
        (Traces([], log_age=DAY), RunState.LOST),
        (Traces([], log_age=1.0), RunState.RUNNING),
    ],
)
def test_what_counts(traces: Traces, state: RunState) -> None:
    assert judge_plain(traces) is state


@pytest.mark.parametrize(
    ("traces", "state"),
    [
        (Traces([*steps(20), ENDING], log_age=5.0, copied=True), RunState.SUCCEEDED),
        (Traces(rows_of("early_stop"), log_age=5.0, copied=True), RunState.SUCCEEDED),
        (Traces(steps(8), log_age=5.0, results_age=900.0, results_epoch=0.8, copied=True), RunState.SUCCEEDED),
        (Traces(PREDICTING, log_age=5.0, copied=True), RunState.SUCCEEDED),
        (Traces(steps(8), log_age=5.0, copied=True), RunState.RUNNING),  # fetched again and again from where it trains
        (Traces(steps(20), log_age=5.0, copied=True), RunState.RUNNING),  # so is this one, which saves
        (Traces([], log_age=5.0, copied=True), RunState.RUNNING),
        (Traces(steps(8), log_age=DAY, copied=True), RunState.LOST),
    ],
)
def test_a_copied_log_is_judged_by_its_end(traces: Traces, state: RunState) -> None:
    assert judge_plain(traces) is state


def test_a_log_that_was_made_in_less_time_than_it_took_was_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = RunPaths(tmp_path)
    ending = {**ENDING, "elapsed_time": "0:20:10"}
    paths.trainer_log.write_text("".join(json.dumps(row) + "\n" for row in [*steps(20, each_s=60.0), ending]))
    if plain.born(paths.trainer_log) is None:
        pytest.skip("this file system does not tell when a file was made")
    assert view_plain(tmp_path, paths).state is RunState.SUCCEEDED
    for made in (None, time.time() - 1200.0):  # not known; as long ago as its lines took
        monkeypatch.setattr(plain, "born", lambda _, made=made: made)
        assert view_plain(tmp_path, paths).state is RunState.RUNNING
    monkeypatch.undo()
    short = {**ENDING, "elapsed_time": "0:00:03"}
    paths.trainer_log.write_text("".join(json.dumps(row) + "\n" for row in [*steps(20, each_s=0.1), short]))
    assert view_plain(tmp_path, paths).state is RunState.RUNNING, "a training of seconds may just have been written"


def test_the_traces_of_a_folder(tmp_path: Path) -> None:
    paths, now = RunPaths(tmp_path), time.time()
    assert traces_of(paths, []) == Traces([])
    files = {
        "trainer_log.jsonl": "", "all_results.json": json.dumps({"epoch": 3.0}), "predict_results.json": "{}",
        "trainer_state.json": json.dumps({"global_step": 7, "max_steps": 9}),
    }
    for age, (name, text) in enumerate(files.items(), 1):
        (tmp_path / name).write_text(text)
        os.utime(tmp_path / name, (now - 100 * age,) * 2)
    found = traces_of(paths, [])
    assert found.log_age == pytest.approx(100, abs=5) and found.results_age == pytest.approx(200, abs=5)
    assert replace(found, log_age=None, results_age=None) == Traces([], results_epoch=3.0, saved_step=7)


@pytest.mark.parametrize(
    ("state", "older_s", "found"),
    [
        ({}, 0.0, RunState.SUCCEEDED),
        ({}, 900.0, RunState.LOST),  # of a training before, which began alike
        ({"log_history": [{"step": 8, "loss": 2.5}]}, 0.0, RunState.LOST),  # of another training
        ({"log_history": [{"step": 7, "loss": 2.0}, "?"]}, 0.0, RunState.LOST),
        ({"global_step": 10, "max_steps": 10}, 0.0, RunState.LOST),
        ({"global_step": 19}, 0.0, RunState.LOST),  # stopped
    ],
)
def test_a_log_whose_rest_is_not_here_ended_where_the_state_tells_its_end(
    tmp_path: Path, state: dict[str, Any], older_s: float, found: RunState
) -> None:
    """A real run was published with a log that ends at step 500 of 560."""
    paths, at = RunPaths(tmp_path), time.time() - DAY
    paths.trainer_log.write_text("".join(json.dumps(row) + "\n" for row in steps(8)))
    history = {"global_step": 20, "log_history": [{"step": 8, "loss": 2.0}, {"step": 20, "train_loss": 2.0}]}
    (tmp_path / "trainer_state.json").write_text(json.dumps({**history, "max_steps": 20} | state))
    (tmp_path / "all_results.json").write_text(json.dumps({"epoch": 2.0, "train_loss": 2.0}))
    for path in tmp_path.iterdir():
        os.utime(path, (at - older_s * (path != paths.trainer_log),) * 2)
    view = view_plain(tmp_path, paths)
    assert view.state is found and not view.ended_early
    assert found is not RunState.SUCCEEDED or view.shown_percent == 100.0


@pytest.mark.parametrize(("last", "percent"), [(0, 0.0), (7, 35.0), (20, 100.0)])
def test_a_training_that_was_stopped_is_not_done(tmp_path: Path, last: int, percent: float) -> None:
    """A stopped training of the plain CLI saves and exits as a finished one does, even before its first step."""
    paths, at = RunPaths(tmp_path), time.time() - DAY
    rows = [*steps(last), {"current_steps": last, "total_steps": 20, "epoch": last / 10, "elapsed_time": clock(last)}]
    paths.trainer_log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "trainer_state.json").write_text(json.dumps({"global_step": last, "max_steps": 20}))
    for path in tmp_path.iterdir():
        os.utime(path, (at, at))
    view = view_plain(tmp_path, paths)
    assert (view.state, view.ended_early, view.shown_percent) == (RunState.SUCCEEDED, last < 20, percent)


def test_a_pointer_of_git_lfs_is_no_log(tmp_path: Path) -> None:
    """The same at each look, whatever the times of its files."""
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:9f\nsize 45778\n"
    for name in ("trainer_log.jsonl", "all_results.json", "trainer_state.json"):
        (tmp_path / name).write_text(pointer)
    for age in (0.0, DAY):
        os.utime(tmp_path / "trainer_log.jsonl", (time.time() - age,) * 2)
        view = view_plain(tmp_path, RunPaths(tmp_path))
        assert (view.state, view.lost, view.progress) == (RunState.LOST, "pointer", Progress())
    (tmp_path / "trainer_log.jsonl").write_text(json.dumps(steps(1)[0]) + "\n")  # fetched
    assert view_plain(tmp_path, RunPaths(tmp_path)).lost is None


STATE_OF_14 = json.dumps({"global_step": 14, "max_steps": 20})
BEGUN = {"training_args.yaml": "stage: sft\ndo_train: true\n", "running_log.txt": "[INFO] loading\n"}


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"trainer_state.json": STATE_OF_14, "adapter_model.safetensors": ""}, (RunState.SUCCEEDED, 14, 20, None)),
        ({"trainer_state.json": STATE_OF_14, "model.safetensors.index.json": ""}, (RunState.SUCCEEDED, 14, 20, None)),
        ({**BEGUN, "trainer_state.json": STATE_OF_14}, (RunState.SUCCEEDED, 14, 20, None)),
        (BEGUN, (RunState.LOST, None, None, "unlogged")),
    ],
)
def test_a_training_without_a_log_is_listed(
    tmp_path: Path, files: dict[str, str], found: tuple[RunState, int | None, int | None, str | None]
) -> None:
    """Its state tells where it ended; of one that logged nothing nobody knows it."""
    folder = tmp_path / "saves" / "m" / "lora" / "one"
    for place in (folder, folder / "checkpoint-14"):
        place.mkdir(parents=True)
        for name, text in files.items():
            (place / name).write_text(text)
            os.utime(place / name, (time.time() - DAY,) * 2)
    scan = RunScan(tmp_path, lambda paths, record: Status("lost"))
    scan.look()
    (view,) = scan.views
    assert (view.state, view.progress.step, view.progress.total, view.lost) == found
    assert view.name == "one" and view.started is None and view.ended is None
    assert view.ended_early is (view.state is RunState.SUCCEEDED)


def test_a_training_that_has_just_begun_may_go_on(tmp_path: Path) -> None:
    for name, text in BEGUN.items():
        (tmp_path / name).write_text(text)
    assert look(tmp_path, tmp_path, lambda paths, record: Status("lost")).state is RunState.RUNNING  # type: ignore[union-attr]


@pytest.mark.parametrize("names", [["trainer_state.json"], ["adapter_model.safetensors"], ["training_args.yaml"], []])
def test_a_folder_with_less_is_no_run(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).write_text(STATE_OF_14)
    assert look(tmp_path, tmp_path, lambda paths, record: Status("lost")) is None
