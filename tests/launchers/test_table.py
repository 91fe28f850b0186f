"""The table of launchers: each row's launcher is made when it is asked for; one that is not known does nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lfdash.launchers import table
from lfdash.launchers.fake import FakeLauncher
from lfdash.launchers.table import Launchers
from lfdash.launchers.unknown import UnknownLauncher
from lfdash.outcomes import Refused
from lfdash.runs.record import Status
from tests.support import ROOT
from tests.support.runs import plan_for, record_for

REFUSED = Refused("launcher_unknown", {"name": "slurm"})


@pytest.mark.parametrize("name", table.TABLE)
def test_a_launcher_is_called_as_its_row(name: str) -> None:
    launcher = table.get(name)
    assert launcher.name == name and isinstance(launcher.local, bool)
    assert table.get(name) is not launcher


def test_only_what_is_asked_for_is_loaded() -> None:
    script = """
import sys
from lfdash.launchers import table
before = "lfdash.launchers.local" in sys.modules
table.get("local")
print(before, "lfdash.launchers.local" in sys.modules)
"""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=env, timeout=60)
    assert done.stdout == "False True\n", done.stderr


def test_a_registry_makes_each_once_and_has_a_default() -> None:
    first = FakeLauncher()
    launchers = Launchers(first)
    assert launchers.get("") is launchers.get("fake") is launchers.default is first
    assert launchers.get("local") is launchers.get("local") is not first
    launchers.reap()


@pytest.mark.parametrize("row", [None, "no_such_package.slurm:Slurm"], ids=["no row", "a package is missing"])
def test_a_launcher_that_is_not_known_touches_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: str | None
) -> None:
    if row is not None:
        monkeypatch.setitem(table.TABLE, "slurm", row)
    launcher = table.get("slurm")
    assert isinstance(launcher, UnknownLauncher) and not launcher.local
    plan = plan_for(tmp_path)
    assert launcher.plan(plan) is plan and launcher.submit(plan, record_for(plan), {}) == REFUSED
    assert not (tmp_path / plan.output_dir).exists()


def test_a_run_of_a_launcher_that_is_not_known_is_told_by_its_exit_record(tmp_path: Path) -> None:
    fake, launcher = FakeLauncher(), UnknownLauncher("slurm")
    plan = plan_for(tmp_path)
    outcome = fake.submit(plan, record_for(plan), {})
    assert not isinstance(outcome, Refused)
    handle = launcher.adopt(outcome.handle.paths, record_for(plan))
    control = handle.paths.attempt(1)
    fake.stop(handle, "term")  # a wish says nothing of what became of it
    before = sorted(path.name for path in control.root.iterdir())
    assert launcher.poll(handle) == Status("lost", why="launcher")
    assert launcher.stop(handle, "kill") == REFUSED
    launcher.reap()
    launcher.release(handle, 0)
    assert sorted(path.name for path in control.root.iterdir()) == before
    handle.paths.exit.write_text(json.dumps({"run_id": handle.run_id, "attempt": 1, "code": 3}))
    status = launcher.poll(handle)
    assert status.phase == "ended" and status.exit is not None and status.exit.code == 3
