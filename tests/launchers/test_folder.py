"""The folder of a run is made and taken back."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from lfdash.launchers.folder import make, undo
from lfdash.outcomes import Refused
from lfdash.runs.paths import RunPaths
from tests.support.runs import plan_for, record_for


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


def test_an_attempt_that_another_dashboard_made_at_the_same_moment_stays(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the lock between them is gone: who comes second takes only its own away."""
    first, second = plan_for(workspace), replace(plan_for(workspace), attempt=2)
    paths = make(first, record_for(first))
    assert isinstance(paths, RunPaths)
    control, rename = paths.attempt(2).root, os.rename

    def late(source: str, target: str) -> None:
        monkeypatch.undo()
        shutil.copytree(source, target)
        (control / "other").touch()
        rename(source, target)

    monkeypatch.setattr(os, "rename", late)
    assert isinstance(make(second, record_for(second).with_last(number=2)), Refused)
    assert (control / "other").exists() and [path.name for path in control.parent.iterdir() if "new" in path.name] == []
