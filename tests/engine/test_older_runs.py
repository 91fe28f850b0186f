"""A run that the version before started goes on under its own supervisor: the new dashboard shows and stops it.

The folder was recorded from version 0.1.0 (tests/fixtures/run_0_1; what names a machine is filled in), and so was the
supervisor that runs it here (tests/programs/supervisor_0_1).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lfdash.engine.registry import ProcessRegistry
from lfdash.launchers.local import LocalLauncher
from lfdash.runs.paths import RunPaths
from lfdash.runs.record import RunState
from lfdash.supervisor.processes import boot_clock, boot_id, marked
from tests.support import FIXTURES, PROGRAMS
from tests.support.runs import fake_cli, wait_end, wait_for

RUN_ID = "id-r1"


@pytest.fixture
def older_run(tmp_path: Path) -> Iterator[RunPaths]:
    """A workspace with a run of version 0.1.0 that trains."""
    workspace = tmp_path / "workspace"
    paths = RunPaths(workspace / "saves/m/lora/r1")
    shutil.copytree(FIXTURES / "run_0_1", paths.root)
    here = {
        "@WORKSPACE@": str(workspace), "@CLI@": fake_cli(tmp_path), "@BOOT@": boot_id(), "@HOST@": os.uname().nodename,
        "@CLOCK@": str(boot_clock()),
    }
    control = paths.attempt(1)
    for file in (paths.record, control.spec):
        text = file.read_text(encoding="utf-8")
        for mark, value in here.items():
            text = text.replace(mark, value)
        file.write_text(text, encoding="utf-8")
    for reserve in (control.reserve, control.child_reserve):
        reserve.write_text(" " * 4096)
    control.armed.touch()
    env = {**os.environ, "LLAMABOARD_ENABLED": "1", "LLAMABOARD_WORKDIR": "saves/m/lora/r1"}
    supervisor = subprocess.Popen(
        [sys.executable, "-I", "-S", str(PROGRAMS / "supervisor_0_1" / "shim.py"), str(control.root)],
        cwd="/", env=env, stdin=subprocess.DEVNULL, start_new_session=True,
    )
    wait_for(lambda: control.child.exists() and paths.trainer_log.exists())
    yield paths
    if supervisor.poll() is None:
        control.armed.rename(control.stop("kill")) if control.armed.exists() else None
    supervisor.wait(30)


@pytest.mark.parametrize(("level", "code"), [("graceful", 0), ("kill", -9)])
def test_it_is_adopted_shown_and_stopped(older_run: RunPaths, level: str, code: int) -> None:
    registry = ProcessRegistry(older_run.root.parents[3], LocalLauncher(), interval=0.05)
    registry.start()
    try:
        view = registry.get(RUN_ID)
        assert view is not None and view.state is RunState.RUNNING and view.name == "r1", view
        step = view.progress.step or 0
        wait_for(lambda: (now := registry.get(RUN_ID)) and (now.progress.step or 0) > step)
        assert registry.stop(RUN_ID, level) is None  # type: ignore[arg-type]
        view = wait_end(registry, RUN_ID)
        assert (view.state, view.exit_code, view.attempt) == (RunState.STOPPED, code, 1), view
        assert view.saved.model == ("adapter" if level == "graceful" else None)
        assert marked(f"1:{older_run.root}") == []
    finally:
        registry.close()


def test_the_next_version_learns_how_it_ended_without_a_dashboard(older_run: RunPaths) -> None:
    """It ends by itself while nobody looks; its record is noted by whoever comes next."""
    older_run.attempt(1).armed.rename(older_run.attempt(1).stop("term"))
    wait_for(older_run.exit.exists)
    registry = ProcessRegistry(older_run.root.parents[3], LocalLauncher())
    registry.refresh()
    view = registry.get(RUN_ID)
    assert view is not None and view.state is RunState.STOPPED and view.record is not None
    assert view.record.last.state is RunState.STOPPED and view.record.last.exit is not None
