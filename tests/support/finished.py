"""Runs that are over, in a workspace, for the tests of what is done to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lfdash.engine.registry import ProcessRegistry
from lfdash.launchers.fake import FakeLauncher
from lfdash.outcomes import Refused
from lfdash.runs.paths import RunPaths
from lfdash.runs.view import RunView
from lfdash.workspace.allowed_paths import Roots
from tests.support.runs import launch, plan_for

CONTENT = "weights" * 1000


class Runs:
    """A workspace with runs that are over."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.fake = FakeLauncher()
        roots = Roots.of(root, [root.parent / "disk", Path("/dev/shm")])
        self.registry = ProcessRegistry(root, self.fake, interval=60, roots=roots)
        self.trash = self.registry.archive.trash

    def add(self, name: str = "r1", output_dir: str | None = None) -> RunPaths:
        handle = launch(self.registry, plan_for(self.root, name=name, output_dir=output_dir))
        self.fake.begin(handle)
        self.fake.end(handle, 0)
        handle.paths.root.joinpath("checkpoint-5").mkdir()
        handle.paths.root.joinpath("checkpoint-5", "model.bin").write_text(CONTENT)
        self.registry.refresh()
        return handle.paths

    def view(self, run_id: str = "id-r1") -> Any:
        self.registry.refresh()
        return self.registry.get(run_id)

    def again(self) -> Runs:
        """The same workspace, seen by a process that was just started."""
        return Runs(self.root)


def code(answer: object) -> str:
    """The code of a refusal; empty for any other answer."""
    return answer.code if isinstance(answer, Refused) else ""


def renamed(runs: Runs, name: str, run_id: str = "id-r1") -> RunView:
    """A run once it was given another name, which must not be refused."""
    found = runs.registry.archive.rename(run_id, name)
    assert isinstance(found, RunView), found
    return found
