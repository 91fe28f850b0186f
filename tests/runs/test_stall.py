"""A graceful stop that does not come to its end is noticed, and a training that does not step; nothing else is."""

from __future__ import annotations

import errno
import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from lfdash.runs import stall
from lfdash.runs.metrics.progress import Rhythm
from lfdash.runs.paths import BESIDE_RUN
from lfdash.runs.record import RunState
from lfdash.runs.stall import BESIDE, LEAST_S, QUIET_S, TORN_S, StallDetector, limit_s
from lfdash.runs.view import RunView, Stall, read_progress
from tests.support.runs import plan_for, record_for


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def view(tmp_path: Path) -> RunView:
    return RunView("id", "r1", tmp_path, "saves/r1", RunState.STOPPING, awaiting="save")


@pytest.mark.parametrize(("ranks", "limit"), [(None, QUIET_S), ((2, 2), QUIET_S), ((1, 2), TORN_S)])
def test_a_stop_without_a_sign_of_life_is_stuck(view: RunView, ranks: tuple[int, int] | None, limit: float) -> None:
    clock = Clock()
    stall_detector, view = StallDetector(clock), replace(view, ranks=ranks)
    assert not stall_detector.look([view])[0].stalled
    clock.now += limit
    assert not stall_detector.look([view])[0].stalled
    clock.now += 1
    assert stall_detector.look([view])[0].stalled
    (view.path / "console.log").write_text("still here")
    assert not stall_detector.look([view])[0].stalled
    clock.now += limit + 1
    assert stall_detector.look([view])[0].stalled


def test_only_a_graceful_stop_is_waited_for(view: RunView) -> None:
    clock = Clock()
    stall_detector = StallDetector(clock)
    others = [replace(view, awaiting="term"), replace(view, awaiting="kill"), replace(view, state=RunState.RUNNING)]
    for other in others:
        stall_detector.look([other])
        clock.now += 10 * QUIET_S
        assert stall_detector.look([other]) == (other,)


def test_each_attempt_has_its_own_time(view: RunView) -> None:
    clock = Clock()
    stall_detector = StallDetector(clock)
    stall_detector.look([view])
    clock.now += 10 * QUIET_S
    again = replace(view, attempt=2)
    assert [one.stalled for one in stall_detector.look([view, again])] == [True, False]


# -- a training that does not step ----------------------------------------------------------------------

STEP = {"total_steps": 900, "loss": 2.0, "epoch": 0.1}


def logged(path: Path, steps: int, each_s: float = 1.0, begin: int = 1) -> None:
    with (path / "trainer_log.jsonl").open("a") as file:
        for step in range(begin, begin + steps):
            seconds = int(step * each_s)
            clock = f"{seconds // 3600}:{seconds % 3600 // 60:02d}:{seconds % 60:02d}"
            file.write(json.dumps({**STEP, "current_steps": step, "elapsed_time": clock}) + "\n")


class Training:
    """A run whose process is there, looked at by a detector with clocks of its own."""

    def __init__(self, path: Path, loading_s: float = 100.0) -> None:
        self.path, self.clock, self.wall, self.loading = path, Clock(), time.time(), loading_s
        self.began, self.offset = self.clock.now, 0.0
        self.stalls = self.another()
        plan = plan_for(path.parent)
        self.record = record_for(plan)

    def another(self) -> StallDetector:
        return StallDetector(self.clock, wall=lambda: self.wall)

    def pass_(self, seconds: float) -> None:
        self.clock.now += seconds
        self.wall += seconds

    def steps(self, count: int, each_s: float = 1.0, begin: int = 1) -> None:
        """Steps in their time: the log is as old as its last line."""
        self.pass_(count * each_s + (self.loading if begin == 1 else 0.0))
        logged(self.path, count, each_s, begin)
        os.utime(self.path / "trainer_log.jsonl", (self.wall, self.wall))

    def look(self, stalls: StallDetector | None = None, **changes: object) -> Stall | None:
        found = read_progress(str(self.path / "trainer_log.jsonl"), self.clock.now - self.began)
        view = RunView("id", "r1", self.path, "saves/r1", RunState.RUNNING, self.record, progress=found)
        view = replace(view, **changes)  # type: ignore[arg-type]
        return (stalls or self.stalls).look([view])[0].stall


@pytest.fixture
def training(tmp_path: Path) -> Training:
    (tmp_path / "run").mkdir()
    return Training(tmp_path / "run")


def test_a_training_without_a_step_for_long_is_stalled_until_the_next(training: Training) -> None:
    training.steps(30)
    assert training.look() is None
    training.pass_(LEAST_S - 1)
    assert training.look() is None
    training.pass_(9)
    assert training.look() == Stall(65.0, 1.0)
    training.pass_(900)
    assert training.look() == Stall(960.0, 1.0)
    training.steps(1, begin=31)
    assert training.look() is None


@pytest.mark.parametrize(
    ("rhythm", "limit"),
    [
        (Rhythm(0.25, 0.25, 0.3), 60.0), (Rhythm(20.0, 20.0, 25.0), 200.0),
        (Rhythm(1.0, 10.0, 90.0), 270.0),  # an evaluation of a minute and a half was among the newest
    ],
)
def test_how_long_is_long(rhythm: Rhythm, limit: float) -> None:
    assert limit_s(rhythm) == limit


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_a_training_whose_pace_is_not_known_yet_is_not_judged(training: Training, steps: int) -> None:
    """It may be loading, tokenizing or compiling."""
    if steps:
        training.steps(steps)
    for _ in range(3):
        training.pass_(3600)
        assert training.look() is None


def test_a_training_at_its_end_and_one_that_is_not_ours_are_not_judged(training: Training) -> None:
    training.steps(900)
    training.look()
    training.pass_(3600)
    assert training.look() is None
    training.steps(20, begin=800)  # of a resume
    training.look(record=None)
    training.pass_(3600)
    assert training.look(record=None) is None and training.look(state=RunState.STARTING) is None


def test_an_evaluation_or_a_checkpoint_that_is_written_is_a_sign_of_life(training: Training) -> None:
    training.steps(30)
    training.look()
    (training.path / "checkpoint-30").mkdir()
    for size in range(1, 20):
        training.pass_(50)
        file = training.path / "checkpoint-30" / "optimizer.pt"
        file.write_text("x" * size)
        os.utime(file, (training.wall, training.wall))
        assert training.look() is None
    for _ in range(2):
        training.pass_(50)
        said = training.look()
    assert said == Stall(1020.0, 1.0)  # counted from the last step


def test_what_the_dashboard_writes_beside_a_run_is_no_sign_of_life(training: Training) -> None:
    """The machine's samples come every five seconds, whatever the training does."""
    training.steps(30)
    training.look()
    for _ in range(20):
        training.pass_(5)
        for name in BESIDE_RUN:
            (training.path / name).write_text(f"{training.wall}")
            os.utime(training.path / name, (training.wall, training.wall))
        said = training.look()
    assert said == Stall(100.0, 1.0)


@pytest.mark.parametrize("last", ["***** Running Evaluation *****", "[INFO] >> Saving model checkpoint to saves/r1/x"])
def test_an_evaluation_without_a_progress_bar_is_given_more_time(training: Training, last: str) -> None:
    training.steps(30)
    (training.path / "console.log").write_text(f"{{'loss': '1.5', 'epoch': '1'}}\n{last}\n")
    os.utime(training.path / "console.log", (training.wall, training.wall))
    training.look()
    training.pass_(BESIDE * LEAST_S)
    assert training.look() is None
    training.pass_(60)
    assert training.look() == Stall(660.0, 1.0)
    with (training.path / "console.log").open("a") as file:
        file.write("{'loss': '1.4', 'epoch': '1'}\n")
    training.look()
    training.pass_(LEAST_S + 1)
    assert training.look() is not None, "a step came after"


def test_a_process_that_looks_once_knows_by_the_time_of_the_files(training: Training) -> None:
    training.steps(30)
    training.pass_(900)
    assert training.look(training.another()) == Stall(900.0, 1.0)
    (training.path / "console.log").write_text("evaluating")
    os.utime(training.path / "console.log", (training.wall - 5, training.wall - 5))
    assert training.look(training.another()) is None


@pytest.mark.parametrize("jump", [86400.0, -86400.0])
def test_a_clock_that_jumps_makes_no_stall(training: Training, jump: float) -> None:
    training.loading = 20.0
    training.steps(30)
    assert training.look() is None
    training.pass_(10)
    training.wall += jump
    assert training.look() is None and training.look(training.another()) is None
    training.pass_(120)
    training.look()  # a file from the future is one that has just changed
    training.pass_(65)
    assert training.look() == Stall(180.0, 1.0), "and hides none"


def test_without_the_time_of_its_start_only_what_was_seen_counts(training: Training) -> None:
    training.steps(30)
    training.pass_(900)
    found = read_progress(str(training.path / "trainer_log.jsonl"), None)
    assert training.look(progress=replace(found, elapsed_s=None)) is None
    training.pass_(900)
    assert training.look(progress=replace(found, elapsed_s=None)) == Stall(900.0, 1.0)


def test_a_look_that_fails_once_is_no_sign_of_life(training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    training.steps(30)
    training.look()
    training.pass_(120)
    assert training.look() is not None
    with monkeypatch.context() as broken:
        broken.setattr(stall, "look_mark", fails)
        broken.setattr(os, "scandir", fails)
        training.pass_(10)
        assert training.look() is not None
    training.pass_(10)
    assert training.look() is not None


def test_a_stop_is_stuck_though_its_folder_could_not_be_listed_once(
    view: RunView, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    stall_detector = StallDetector(clock)
    (view.path / "console.log").write_text("here")
    stall_detector.look([view])
    clock.now += QUIET_S
    with monkeypatch.context() as broken:
        broken.setattr(os, "scandir", fails)
        assert not stall_detector.look([view])[0].stalled
    clock.now += 1
    assert stall_detector.look([view])[0].stalled


def fails(*_args: object) -> None:
    raise OSError(errno.EMFILE, "too many open files")
