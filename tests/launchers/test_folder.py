"""The folder of a run is made and taken back."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from lfdash.launchers.folder import undo
from lfdash.runs.paths import RunPaths
from tests.support.runs import plan_for


@pytest.mark.parametrize("attempt", [1, 2])
def test_what_is_taken_back_is_gone_before_it_is_taken_apart(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, attempt: int
) -> None:
    """A look at a folder of which half is left would find a run that failed."""
    plan = replace(plan_for(workspace), attempt=attempt)
    paths = RunPaths(workspace / plan.output_dir)
    control = paths.attempt(attempt).root
    control.mkdir(parents=True)
    (control / "spec.json").touch()
    root, seen = (paths.root if attempt == 1 else control), []
    remove = shutil.rmtree
    monkeypatch.setattr(shutil, "rmtree", lambda path, **how: (seen.append(root.exists()), remove(path, **how)))
    undo(paths, plan)
    assert seen[-1] is False and not list(root.parent.iterdir())
