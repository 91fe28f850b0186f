"""A run as a page shows it: judged from what lies in its folder and what the launcher says."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lfdash.files import file_mark
from lfdash.runs.log_reader import read_last
from lfdash.runs.metrics.progress import Progress, progress
from lfdash.runs.metrics.whole import Whole
from lfdash.runs.notes import Notes, save
from lfdash.runs.paths import RunPaths
from lfdash.runs.record import Exit, RunRecord, RunState, Status
from lfdash.runs.view import RunView, Saved, is_complete, judge, read_progress, read_saved, shown_name
from tests.support import FIXTURES
from tests.support.world import World

# -- judging --------------------------------------------------------------------------------------------

STOP = ("graceful",)


@pytest.mark.parametrize(
    ("phase", "code", "stop", "wish", "complete", "state"),
    [
        ("pending", None, (), None, False, RunState.STARTING),
        ("pending", None, (), "graceful", False, RunState.STOPPING),
        ("starting", None, (), None, False, RunState.STARTING),
        ("running", None, (), None, False, RunState.RUNNING),
        ("starting", None, (), "graceful", False, RunState.STOPPING),
        ("running", None, (), "kill", False, RunState.STOPPING),
        ("ended", 0, (), None, True, RunState.SUCCEEDED),
        ("ended", 0, (), None, False, RunState.SUCCEEDED),  # an evaluation has no steps to reach
        ("ended", 0, STOP, "graceful", False, RunState.STOPPED),
        ("ended", 0, STOP, "graceful", True, RunState.SUCCEEDED),  # the wish came too late
        ("ended", 0, (), "graceful", False, RunState.SUCCEEDED),  # later still: nobody acted on it
        ("ended", 1, (), "graceful", False, RunState.FAILED),
        ("ended", 1, STOP, "graceful", False, RunState.STOPPED),
        ("ended", -15, STOP, "term", True, RunState.STOPPED),
        ("ended", -11, (), None, False, RunState.FAILED),
        ("ended", 1, (), None, True, RunState.FAILED),
        ("lost", None, (), None, False, RunState.LOST),
        ("lost", None, (), "kill", False, RunState.STOPPED),
        ("lost", None, (), None, True, RunState.SUCCEEDED),
    ],
)
def test_judging(
    phase: str, code: int | None, stop: tuple[str, ...], wish: str | None, complete: bool, state: RunState
) -> None:
    ended = Exit("a", 1, code, None, stop) if phase == "ended" else None
    assert judge(Status(phase, ended, wish), complete=complete) is state  # type: ignore[arg-type]


def test_an_old_result_does_not_complete_a_new_attempt(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    control = paths.attempt(2)
    control.root.mkdir(parents=True)
    assert not is_complete(paths, paths.attempt(2).beginning())
    paths.trainer_state.write_text('{"global_step": 8, "max_steps": 8}')
    control.spec.write_text(json.dumps({"before": {"trainer_state.json": file_mark(paths.trainer_state)}}))
    assert not is_complete(paths, paths.attempt(2).beginning())
    control.spec.write_text(json.dumps({"before": {"trainer_state.json": None}}))
    os.utime(paths.trainer_state, (1, 1))  # by a clock that was set back
    assert is_complete(paths, paths.attempt(2).beginning())
    for text in ('{"global_step": 7, "max_steps": 8}', '{"global_step": "8", "max_steps": 8}', "{", "[]"):
        paths.trainer_state.write_text(text)
        assert not is_complete(paths, paths.attempt(2).beginning()), text


# -- what was saved -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "saved"),
    [
        ([], Saved(None, 14)),
        (["adapter_model.safetensors"], Saved("adapter", 14)),
        (["model.safetensors.index.json"], Saved("model", 14)),
        (["pytorch_model.bin"], Saved("model", 14)),
        (["checkpoint-9/x", "checkpoint-10/x", "checkpoint-final/x"], Saved(None, 14, (9, 10))),
    ],
)
def test_what_was_saved(tmp_path: Path, files: list[str], saved: Saved) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "trainer_state.json").write_text('{"global_step": 14, "max_steps": 20}')
    assert read_saved(RunPaths(tmp_path)) == saved
    assert read_saved(RunPaths(tmp_path / "missing")) == Saved()


def test_weights_without_a_state_have_no_step(tmp_path: Path) -> None:
    (tmp_path / "adapter_model.bin").touch()
    assert read_saved(RunPaths(tmp_path)) == Saved("adapter", None)


# -- views ----------------------------------------------------------------------------------------------


def test_a_run_from_its_start_to_its_failure(world: World) -> None:
    handle = world.add("r1")
    view = world.scan()[0]
    assert (view.run_id, view.name, view.output_dir) == ("id-r1", "r1", "saves/m/lora/r1")
    assert (view.state, view.awaiting, view.progress.step) == (RunState.RUNNING, None, None)
    world.fake.stop(handle, "graceful")
    assert world.scan()[0].awaiting == "data"
    world.fake.log(handle, {"current_steps": 1, "total_steps": 2, "loss": 3.0})
    assert world.scan()[0].awaiting == "save"
    world.fake.log(handle, {"current_steps": 2, "total_steps": 2, "loss": 3.0})
    assert world.scan()[0].awaiting == "evaluation"
    world.fake.stop(handle, "kill")
    assert world.scan()[0].awaiting == "kill"
    handle.paths.attempt(1).stop("kill").unlink()
    handle.paths.attempt(1).stop("graceful").unlink()
    handle.paths.console.write_text("one\nno trace\n")
    world.fake.end(handle, 4)
    view = world.scan()[0]
    assert (view.state, view.exit_code, view.error, view.awaiting) == (RunState.FAILED, 4, "no trace", None)
    assert view.progress.step == 2 and view.progress.remaining_s is None and view.ended is not None


@pytest.mark.parametrize("log", sorted((FIXTURES / "logs").glob("*.jsonl")), ids=lambda path: path.stem)
def test_the_last_lines_of_a_log_tell_as_much_as_many(tmp_path: Path, log: Path) -> None:
    """Also of a long one, and of one whose end has no losses."""
    rows = log.read_text()
    long = tmp_path / "long.jsonl"
    line = {"total_steps": 900, "elapsed_time": "9:00:00"}  # so late that what follows is a launch
    step = [{"current_steps": n, "loss": 9 / n, **line} for n in range(1, 901)]
    long.write_text("".join(json.dumps(row) + "\n" for row in step) + rows)
    quiet = tmp_path / "quiet.jsonl"
    quiet.write_text(rows + '{"current_steps": 3, "total_steps": 4, "percentage": 75.0}\n' * 300)
    for path in (log, long, quiet):
        assert repr(read_progress(path)) == repr(progress(read_last(path)))  # repr: NaN is not NaN
        few, many = read_progress(path, over=True), read_progress(path)  # of a run that is over: all but its speed
        assert repr((few.step, few.total, few.epoch, few.loss)) == repr((many.step, many.total, many.epoch, many.loss))
    assert read_progress(long).total == read_progress(log).total
    assert read_progress(tmp_path / "none") == Progress()


def test_a_log_of_the_attempt_before_is_not_this_ones_progress(world: World) -> None:
    handle = world.add("r1")
    world.fake.log(handle, {"current_steps": 1, "total_steps": 2, "loss": 3.0})
    spec = handle.paths.attempt(1).spec
    spec.write_text(json.dumps({"before": {"trainer_log.jsonl": file_mark(handle.paths.trainer_log)}}))
    assert world.scan()[0].progress.step is None
    world.fake.log(handle, {"current_steps": 2, "total_steps": 2, "loss": 3.0})
    assert world.scan()[0].progress.step == 2


def test_runs_of_the_plain_cli_are_listed_by_what_their_log_shows(world: World) -> None:
    finished = world.workspace / "saves" / "a" / "lora" / "finished"
    broken = world.workspace / "saves" / "a" / "lora" / "broken"
    fresh = world.workspace / "saves" / "fresh"
    for folder in (finished, broken, fresh):
        folder.mkdir(parents=True)
    log = (FIXTURES / "logs" / "sft.jsonl").read_text()
    (finished / "trainer_log.jsonl").write_text(log)
    (finished / "adapter_model.safetensors").touch()
    (finished / "all_results.json").write_text('{"epoch": 2.0}')
    (broken / "trainer_log.jsonl").write_text("\n".join(log.split("\n")[:3]) + "\n")
    os.utime(broken / "trainer_log.jsonl", (time.time() - 999, time.time() - 999))
    (fresh / "trainer_log.jsonl").write_text("\n".join(log.split("\n")[:3]) + "\n")
    views = {view.name: view for view in world.scan()}
    assert {name: view.state for name, view in views.items()} == {
        "finished": RunState.SUCCEEDED, "broken": RunState.LOST, "fresh": RunState.RUNNING,
    }
    assert views["finished"].record is None and views["finished"].saved.model == "adapter"
    assert views["broken"].progress.step == 3 and views["broken"].output_dir == "saves/a/lora/broken"
    assert len({view.run_id for view in views.values()}) == 3 and world.asked == 0
    assert views["fresh"].run_id == next(view for view in world.scan() if view.name == "fresh").run_id


def test_a_folder_that_was_moved_by_hand_is_named_by_its_folder(world: World) -> None:
    handle = world.add("r1")
    world.fake.end(handle, 0)
    moved = handle.paths.root.with_name("moved")
    handle.paths.root.rename(moved)
    view = world.scan()[0]
    assert (view.name, view.run_id, view.state) == ("moved", "id-r1", RunState.SUCCEEDED)
    record = RunRecord.from_json((moved / "run.json").read_text())
    names = {"mo ved": "mo ved", "/data/disk/moved": "/data/disk/moved", "moved2": "moved"}
    assert {name: shown_name(replace(record, name=name), moved) for name in names} == names


def test_notes_are_part_of_the_view_of_any_run(world: World) -> None:
    handle = world.add("r1")
    world.fake.end(handle, 0)
    plain = world.workspace / "saves" / "plain"
    plain.mkdir(parents=True)
    (plain / "trainer_log.jsonl").touch()
    assert {view.notes for view in world.scan()} == {Notes()}
    for folder in (handle.paths.root, plain):
        assert save(RunPaths(folder), Notes("n", ("t",))) is None
    assert {view.notes for view in world.scan()} == {Notes("n", ("t",))}


@pytest.mark.parametrize(
    ("log", "attempt", "state", "past"),
    [
        ("plain/past_total", 1, RunState.SUCCEEDED, True),
        ("plain/past_total", 1, RunState.FAILED, False),
        ("resume/R4", 2, RunState.SUCCEEDED, True),  # resumed at its end: the last launch has no loss
        ("resume/R4", 1, RunState.SUCCEEDED, False),  # as a first launch: it logs more seldom than it has steps
        ("resume/R2", 2, RunState.SUCCEEDED, False),
    ],
)
def test_a_checkpoint_that_stood_at_the_end_is_told(log: str, attempt: int, state: RunState, past: bool) -> None:
    found = progress(read_last(FIXTURES / f"{log}.trainer_log.jsonl"))
    view = RunView("id", "r1", Path("r1"), "saves/r1", state, attempt=attempt, progress=found)
    assert view.past_end is past


def test_what_is_known_of_the_whole_counts_for_a_run_that_is_over_or_has_no_record(tmp_path: Path) -> None:
    whole = Whole(seconds=900.0, steps_per_s=2.0, tokens_per_s=50.0)
    view = RunView("a", "a", tmp_path, "a", RunState.RUNNING, progress=Progress(elapsed_s=60.0, tokens_per_s=70.0))
    plain = view.with_whole(whole)
    assert (plain.elapsed_s, plain.progress.tokens_per_s) == (900.0, 70.0)
    over = replace(view, state=RunState.SUCCEEDED).with_whole(whole)
    assert (over.elapsed_s, over.progress.tokens_per_s) == (900.0, 50.0)
    assert replace(view, state=RunState.LOST).with_whole(Whole()).progress.tokens_per_s is None  # not yet read
    assert view.with_whole(Whole()) is view


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_a_log_that_is_no_file_tells_of_no_run_that_goes_on(world: World, make: Callable[[Path], object]) -> None:
    folder = world.workspace / "saves" / "m" / "lora" / "odd"
    folder.mkdir(parents=True)
    for name in ("training_args.yaml", "running_log.txt"):
        (folder / name).touch()
    make(folder / "trainer_log.jsonl")
    (view,) = world.scan()
    assert view.state is RunState.UNKNOWN and view.error == "trainer_log.jsonl is not a plain file"
    assert not view.spoiled
