"""What a look writes down: how a run ended, once, and never over what another process has written since."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lfdash.engine.registry import ProcessRegistry
from lfdash.engine.watcher import settled
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


def test_an_end_is_written_down_once(registry: ProcessRegistry) -> None:
    paths = ended(registry)
    registry.refresh(everything=False)
    first = paths.record.stat()
    assert RunRecord.from_json(paths.record.read_text()).last.state is RunState.SUCCEEDED
    for _ in range(3):
        registry.refresh(everything=False)
    assert paths.record.stat() == first
    registry.refresh()
    (view,) = registry.snapshot()
    assert (view.state, view.record and view.record.last.state) == (RunState.SUCCEEDED, RunState.SUCCEEDED)


def test_an_attempt_that_another_process_began_is_not_written_over(
    registry: ProcessRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dashboard has seen the end and is about to write it down; meanwhile the run is resumed from a terminal."""
    paths = ended(registry)
    plan = replace(plan_for(registry.workspace, steps=3, delay=30), attempt=2)
    record = RunRecord.from_json(paths.record.read_text())
    texts: list[str] = []

    def resume(point: str) -> None:
        if point == "registry.before_noted" and not texts:
            other = ProcessRegistry(registry.workspace, LocalLauncher())
            monkeypatch.setattr("lfdash.engine.watcher.failpoints.hit", lambda _point: None)
            outcome = other.launch(plan, record.resumed(plan))
            texts.append(paths.record.read_text())
            assert other.stop(outcome.handle.run_id, "kill") is None

    monkeypatch.setattr("lfdash.engine.watcher.failpoints.hit", resume)
    registry.refresh(everything=False)
    assert texts and paths.record.read_text() == texts[0]
    assert len(RunRecord.from_json(texts[0]).attempts) == 2
    wait_for(lambda: registry.refresh() or registry.snapshot()[0].state is RunState.STOPPED)
    assert registry.snapshot()[0].attempt == 2


def test_who_only_looks_writes_nothing_and_sees_the_same(registry: ProcessRegistry) -> None:
    """A command that read the record a while ago must not write it over a newer one."""
    paths = ended(registry)
    before = paths.record.read_bytes()
    registry.watcher.notes_ends = False
    registry.refresh()
    (view,) = registry.snapshot()
    assert (view.state, view.record and view.record.last.state) == (RunState.SUCCEEDED, RunState.SUCCEEDED)
    assert paths.record.read_bytes() == before


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
