"""A workspace whose runs a fake launcher holds, looked at without a registry."""

from __future__ import annotations

from pathlib import Path

from lfdash.launchers.base import Launched
from lfdash.launchers.fake import FakeLauncher
from lfdash.runs.paths import RunPaths
from lfdash.runs.record import Handle, RunRecord, Status
from lfdash.runs.scan import RunScan
from lfdash.runs.view import RunView
from tests.support.runs import plan_for, record_for


class World:
    """A workspace whose runs a fake launcher holds; counts how often it is asked."""

    def __init__(self, workspace: Path) -> None:
        self.workspace, self.fake = workspace, FakeLauncher()
        self.runs = RunScan(workspace, self.poll)
        self.asked = 0
        self.lose = False  # what is asked for is lost

    def add(self, name: str) -> Handle:
        plan = plan_for(self.workspace, name=name)
        outcome = self.fake.submit(plan, record_for(plan), {})
        assert isinstance(outcome, Launched)
        self.fake.begin(outcome.handle)
        return outcome.handle

    def poll(self, paths: RunPaths, record: RunRecord) -> Status:
        self.asked += 1
        if self.lose:
            return Status("lost", why="gone")
        return self.fake.poll(self.fake.adopt(paths, record))

    def scan(self) -> list[RunView]:
        self.runs.look()
        return list(self.runs.views)
