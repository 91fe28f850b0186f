"""Waiting jobs are moved, held, released, cancelled and taken back."""

from __future__ import annotations

import errno
import fcntl
import os
from dataclasses import replace
from pathlib import Path

import pytest

from lfdash.outcomes import Refused
from lfdash.queue.commands import LaunchLock
from lfdash.runs.paths import private
from tests.support.bench import Bench
from tests.support.runs import plan_for, record_for


def test_jobs_are_moved_held_released_and_cancelled(bench: Bench) -> None:
    for name in "abcd":
        bench.add(name)
    queue = bench.registry.queue
    assert queue.move("id-d", -9) is None and queue.move("id-a", 1) is None
    assert [view.name for view in bench.registry.snapshot()] == ["d", "b", "a", "c"]
    assert queue.hold("id-d") is None
    bench.tick()
    assert bench.states == {"d": "HELD", "b": "RUNNING", "a": "QUEUED", "c": "QUEUED"}
    assert queue.cancel("id-a") is None
    assert "a" not in bench.states
    assert queue.take_back("id-a") is None
    assert [view.name for view in bench.registry.snapshot()] == ["d", "a", "c", "b"]
    assert queue.release("id-d") is None
    bench.end("b")
    assert bench.states["d"] == "RUNNING"
    assert queue.cancel("id-d") == Refused("not_waiting")
    assert queue.hold("nobody") == Refused("not_waiting")


def test_moving_for_ever_keeps_the_order(bench: Bench) -> None:
    for name in "abc":
        bench.add(name)
    for _ in range(200):
        assert bench.registry.queue.move("id-c", -1) is None  # between a and b, ever closer
        assert [view.name for view in bench.registry.snapshot()] == ["a", "c", "b"]
        assert bench.registry.queue.move("id-b", -1) is None
        assert [view.name for view in bench.registry.snapshot()] == ["a", "b", "c"]


def test_a_name_that_waits_is_taken(bench: Bench) -> None:
    bench.add("a")
    plan = plan_for(bench.registry.workspace, name="a")
    other = replace(plan, run_id="other")
    assert bench.registry.enqueue(other, record_for(other)) == Refused("exists", {"path": plan.output_dir})
    assert bench.registry.launch(other, record_for(other)) == Refused("exists", {"path": plan.output_dir})


def test_a_file_system_without_locks_is_no_other_dashboard(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", none)
    with pytest.raises(OSError, match=os.strerror(errno.ENOLCK)), LaunchLock(private(workspace)).held(timeout=0.1):
        pass
