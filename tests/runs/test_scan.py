"""Runs are found from their folders, and looked at again only when they changed."""

from __future__ import annotations

import json
import time
from pathlib import Path

from lfdash.runs.paths import RunPaths
from lfdash.runs.places import Places
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


def test_a_thousand_runs_are_looked_at_in_little_time(world: World) -> None:
    """The bound is wide (a warm look takes some 20 ms): it is to catch a look that reads every file."""
    handle = world.add("first")
    world.fake.end(handle, 0)
    record = handle.paths.record.read_text()
    ended = handle.paths.exit.read_text()
    for number in range(1000):
        paths = RunPaths(handle.paths.root.with_name(f"r{number}"))
        paths.root.mkdir()
        paths.record.write_text(record.replace("id-first", f"id-{number}"))
        paths.exit.write_text(ended.replace("id-first", f"id-{number}"))
    assert len(world.scan()) == 1001
    asked, began = world.asked, time.perf_counter()
    world.scan()
    assert world.asked == asked
    assert time.perf_counter() - began < 1.0
