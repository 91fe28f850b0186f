"""What a look writes down: how a run ended, once, and never over what another process has written since."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lfdash.engine.registry import ProcessRegistry
from lfdash.engine.watcher import settled
from lfdash.launchers.base import Launched
from lfdash.launchers.local import LocalLauncher
from lfdash.runs.paths import RunPaths
from lfdash.runs.record import RunRecord, RunState
from tests.support.runs import launch, plan_for, wait_for
from tests.support.world import World


@pytest.fixture
def registry(tmp_path: Path) -> ProcessRegistry:
    """Without its thread: it looks when it is told to."""
    (tmp_path / "workspace").mkdir()
    return ProcessRegistry(tmp_path / "workspace", LocalLauncher())


@pytest.fixture
def world(tmp_path: Path) -> World:
    (tmp_path / "workspace").mkdir()
    return World(tmp_path / "workspace")


def ended(registry: ProcessRegistry) -> RunPaths:
    """The folder of a run that is over, which nobody has looked at since."""
    handle = launch(registry, plan_for(registry.workspace, steps=1))
    wait_for(handle.paths.exit.exists)
    return handle.paths


def test_a_look_writes_nothing_and_the_record_that_is_shown_has_the_end(registry: ProcessRegistry) -> None:
    """A dashboard that slept between reading a record and writing it would write it over a newer one."""
    paths = ended(registry)
    before = paths.record.stat()
    for everything in (True, False, True):
        registry.refresh(everything=everything)
    assert paths.record.stat() == before
    (view,) = registry.snapshot()
    assert view.state is RunState.SUCCEEDED and view.record is not None
    assert (view.record.last.state, view.record.last.exit and view.record.last.exit.code) == (RunState.SUCCEEDED, 0)


def test_the_end_of_an_attempt_is_written_down_when_the_next_begins(registry: ProcessRegistry) -> None:
    """exit.json will be the next one's, and nothing else tells how the first ended."""
    paths = ended(registry)
    registry.refresh()
    (view,) = registry.snapshot()
    plan = replace(plan_for(registry.workspace, steps=1), attempt=2)
    assert view.record is not None
    stale = view.record.with_last(exit=None, state=RunState.RUNNING)  # as a page that was left open has it
    launched = registry.launch(plan, stale.resumed(plan))
    assert isinstance(launched, Launched)
    first, second = RunRecord.from_json(paths.record.read_text()).attempts
    assert (first.state, first.exit and first.exit.code) == (RunState.SUCCEEDED, 0)
    assert (second.number, second.exit) == (2, None)
    wait_for(lambda: registry.refresh() or registry.snapshot()[0].state is RunState.SUCCEEDED)


def test_a_look_between_two_writes_changes_nothing(world: World) -> None:
    world.add("r1")
    now = world.scan()[0]
    stopping = replace(now, state=RunState.STOPPING)
    assert settled(stopping, now).state is RunState.STOPPING
    assert settled(now, stopping).state is RunState.STOPPING
    assert settled(None, now).state is RunState.RUNNING
    assert settled(stopping, replace(now, attempt=2)).state is RunState.RUNNING
    failed = replace(now, state=RunState.FAILED, exit_code=1)
    assert settled(failed, now).state is RunState.FAILED
    assert settled(replace(failed, exit_code=None), now).state is RunState.RUNNING  # nobody saw that end
    assert settled(failed, replace(now, run_id="another")).state is RunState.RUNNING  # in the place of the first
