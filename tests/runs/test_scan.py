"""Runs are found from their folders, and looked at again only when they changed."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter
from pathlib import Path

import pytest

from lfdash.launchers.local import LocalLauncher
from lfdash.runs.paths import RunPaths
from lfdash.runs.places import Places
from lfdash.runs.record import ELSEWHERE_UNSEEN, RunState, Status
from lfdash.runs.scan import TURNS, RunScan
from tests.support.asked import Asked, asked_below
from tests.support.crowd import crowd
from tests.support.world import World


def test_newest_first_and_runs_that_are_over_are_not_asked_again(world: World) -> None:
    handles = [world.add(name) for name in ("r1", "r2", "r3")]
    for handle in handles:
        world.fake.end(handle, 0)
    assert [view.name for view in world.scan()] == ["r3", "r2", "r1"]
    asked = world.asked
    world.scan()
    assert world.asked == asked
    (handles[0].paths.root / "checkpoint-5").mkdir()
    view = next(view for view in world.scan() if view.name == "r1")
    assert view.saved.checkpoints == (5,)


def test_a_removed_run_is_gone(world: World) -> None:
    handle = world.add("r1")
    assert len(world.scan()) == 1
    handle.paths.record.unlink()
    assert world.scan() == []


def test_a_record_of_a_newer_version_is_shown_with_the_reason(world: World) -> None:
    handle = world.add("r1")
    handle.paths.record.write_text(json.dumps({"version": 99}))
    view = world.scan()[0]
    assert view.record is None and view.error is not None and "version 99" in view.error


def test_half_made_and_deep_folders_are_passed_over(workspace: Path) -> None:
    (workspace / "saves/m/lora/r1/attempts").mkdir(parents=True)
    for name in ("m/lora/.r1.abc.new", "m/lora/r1", "m/lora/r1/checkpoint-5", "a/b/c/d/e/f/too-deep"):
        (workspace / "saves" / name).mkdir(parents=True, exist_ok=True)
        (workspace / "saves" / name / "run.json").touch()
    assert [Path(path).name for path in Places(workspace).find().runs] == ["r1"]
    assert Places(workspace / "missing").find().runs == {}


# -- what a look costs ------------------------------------------------------------------------------------


class Crowd:
    """A workspace of runs that are over, and a clock that is turned on."""

    def __init__(self, workspace: Path) -> None:
        self.workspace, self.saves, self.time = workspace, workspace / "saves", 0.0
        crowd(workspace, models=2, ways=3, each=4)
        launcher = LocalLauncher()
        self.scan = RunScan(workspace, lambda paths, record: launcher.poll(launcher.adopt(paths, record)),
                            clock=lambda: self.time)

    def look(self) -> Asked:
        """A look at everything some seconds later; what it asked for."""
        self.time += 5.0
        with asked_below(self.saves) as asked:
            self.scan.look()
        return asked

    def settle(self) -> list[str]:
        """Until nothing is fresh any more; the folders of the runs."""
        for _ in range(4):
            self.look()
        return [str(view.path) for view in self.scan.views]


@pytest.fixture
def many(tmp_path: Path) -> Crowd:
    (tmp_path / "workspace").mkdir()
    return Crowd(tmp_path / "workspace")


def test_a_first_look_opens_every_file_of_a_run_once(many: Crowd) -> None:
    opened = many.look().opened
    assert len(many.scan.views) == 24 and {view.state.name for view in many.scan.views} >= {"SUCCEEDED", "FAILED"}
    assert {path for path, count in opened.items() if count > 1 and not path.endswith("trainer_state.json")} == set()
    assert max(opened.values()) <= 2
    for view in many.scan.views:
        mine = {path for path in opened if path.startswith(f"{view.path}/")}
        assert len(mine) <= 7, mine  # of some twenty


def test_a_look_at_runs_that_are_over_opens_nothing_and_asks_for_each_folder_once(many: Crowd) -> None:
    folders, views = many.settle(), many.scan.views
    files: Counter[str] = Counter()
    for _ in range(TURNS):
        asked = many.look()
        assert not asked.opened and not asked.listed
        assert all(asked.seen.pop(folder) == 1 for folder in folders)
        files += asked.seen
    files = Counter({path: count for path, count in files.items() if not Path(path).is_dir()})
    assert len(files) == 3 * len(folders) and set(files.values()) == {1}  # each run's turn came once
    assert many.scan.views is views


def test_what_changed_is_read_and_nothing_else(many: Crowd) -> None:
    folders = many.settle()
    before = many.scan.views
    (many.saves / folders[7] / "checkpoint-9").mkdir()
    asked = many.look()
    assert {str(Path(path)) for path in asked.listed} <= {folders[7], f"{folders[7]}/attempts"}
    assert asked.opened and all(path.startswith(f"{folders[7]}/") for path in asked.opened)
    changed = [place for place, (a, b) in enumerate(zip(before, many.scan.views, strict=True)) if a is not b]
    assert changed == [7] and 9 in many.scan.views[7].saved.checkpoints


def test_a_look_at_the_alive_ones_asks_for_nothing_of_those_that_are_over(many: Crowd) -> None:
    many.settle()
    with asked_below(many.workspace) as asked:
        many.scan.look(everything=False)
    assert not asked.opened and not asked.listed and not asked.seen


def test_a_file_that_is_written_in_its_place_is_seen_when_its_turn_comes(many: Crowd) -> None:
    """Such a change does not show in the folder's time."""
    folders = many.settle()
    record = RunPaths(Path(folders[3])).record
    with record.open("r+", encoding="utf-8") as file:
        text = file.read().replace('"name": "sft', '"name": "SFT')
        file.seek(0)
        file.write(text)
    looks = 0
    while not many.look().opened:
        looks += 1
        assert looks < TURNS
    changed = next(view for view in many.scan.views if str(view.path) == folders[3])
    assert changed.record is not None and changed.record.name.startswith("SFT")


def test_a_change_within_the_tick_of_a_coarse_clock_is_seen(many: Crowd) -> None:
    """The folder's time is the same before and after: only that it is new tells that more may have come."""
    many.look()
    view = many.scan.views[5]
    mark = os.stat(view.path).st_mtime_ns
    with view.paths.trainer_log.open("a", encoding="utf-8") as file:
        file.write('{"current_steps": 100, "total_steps": 777, "loss": 1.0}\n')
    os.utime(view.path, ns=(mark, mark))
    many.look()
    assert many.scan.views[5].progress.total == 777


def test_a_run_that_comes_and_one_that_goes(many: Crowd) -> None:
    folders = many.settle()
    shutil.copytree(folders[2], f"{folders[2]}-b")
    shutil.rmtree(folders[4])
    asked = many.look()
    assert asked.opened and all(path.startswith((f"{folders[2]}-b/", f"{folders[2]}/")) for path in asked.opened)
    now = [str(view.path) for view in many.scan.views]
    assert sorted(now) == sorted([*folders[:4], *folders[5:], f"{folders[2]}-b"])
    ids = [view.run_id for view in many.scan.views]
    assert len(set(ids)) == len(ids)


def test_a_run_that_is_lost_is_asked_for_again_at_each_look(world: World) -> None:
    handle = world.add("r1")
    world.lose = True
    assert world.scan()[0].state is RunState.LOST
    asked = world.asked
    world.scan()
    assert world.asked == asked + 1
    world.lose = False
    assert world.scan()[0].state is RunState.RUNNING and handle.paths.record.exists()


def test_a_log_that_was_touched_is_no_news_one_that_grew_is(tmp_path: Path) -> None:
    folder = tmp_path / "saves" / "m" / "lora" / "copied"
    folder.mkdir(parents=True)
    log, row = folder / "trainer_log.jsonl", {"current_steps": 3, "total_steps": 4, "loss": 2.0, "epoch": 0.3}
    log.write_text(json.dumps(row) + "\n" + json.dumps({"current_steps": 4, "total_steps": 4, "epoch": 0.4}) + "\n")
    os.utime(log, (time.time() - 9000,) * 2)
    scan = RunScan(tmp_path, lambda paths, record: Status("lost"))
    scan.look()
    (ended,) = scan.views
    assert ended.state is RunState.SUCCEEDED
    os.utime(log)
    scan.look()
    assert scan.views == (ended,)
    log.write_text(log.read_text() + json.dumps({**row, "current_steps": 1}) + "\n")
    scan.look()
    assert [view.state for view in scan.views] == [RunState.RUNNING]


def test_a_run_of_which_nobody_tells_at_the_first_look_is_that_run_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its record can be read, so it keeps its id, and can be stopped; what it does is not known."""
    handle = world.add("r1")

    def silent(paths: RunPaths, record: object) -> Status:
        raise OSError(ELSEWHERE_UNSEEN, "Slurm has not answered")

    monkeypatch.setattr(world, "poll", silent)
    world.runs = RunScan(world.workspace, lambda paths, record: world.poll(paths, record))
    view, = world.scan()
    assert (view.run_id, view.state, view.attempt) == (handle.run_id, RunState.UNKNOWN, 1)
    assert view.record is not None and "Slurm has not answered" in str(view.unseen)
    monkeypatch.undo()
    view, = world.scan()
    assert view.state is RunState.RUNNING and view.unseen is None
    monkeypatch.setattr(world, "poll", silent)
    view, = world.scan()
    assert view.state is RunState.RUNNING and view.unseen
