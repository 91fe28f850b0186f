"""What is said of a run whose job lfdash does not cancel."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lfdash.engine.scheduler_words import not_ours_in
from lfdash.runs.record import RunRecord, RunState, Scheduled
from lfdash.runs.view import RunView
from tests.support.runs import plan_for, record_for


class Launcher:
    def __init__(self, ours: bool) -> None:
        self.ours = ours

    def is_ours(self, handle: Any, spec: Any) -> bool:
        return self.ours


def words(tmp_path: Path, state: RunState, launcher: object, by: str = "slurm") -> str:
    record: RunRecord = record_for(plan_for(tmp_path), f"{by}:lab")
    view = RunView(
        "id-r1", "r1", tmp_path / "saves/m/lora/r1", "saves/m/lora/r1", state, record,
        scheduled=Scheduled(by, "42", "RUNNING", "", None, "n1"),
    )
    registry = SimpleNamespace(
        launchers=SimpleNamespace(get=lambda name: launcher), watcher=SimpleNamespace(handle=lambda *_: None)
    )
    services: Any = SimpleNamespace(registry=registry)
    return not_ours_in(services, "en", view)


@pytest.mark.parametrize(("by", "command"), [("slurm", "scancel 42"), ("ray", "ray job stop 42")])
def test_a_stop_that_cannot_cancel_says_how_that_is_done_by_hand(tmp_path: Path, by: str, command: str) -> None:
    assert words(tmp_path, RunState.STOPPING, Launcher(False), by).endswith(command)


def test_nothing_is_said_where_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert words(tmp_path, RunState.STOPPING, Launcher(True)) == ""
    assert words(tmp_path, RunState.RUNNING, Launcher(False)) == ""
    assert words(tmp_path, RunState.STOPPING, object()) == ""
