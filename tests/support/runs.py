"""Helpers of the tests that start runs: a stand-in for llamafactory-cli, plans, and waiting for a condition."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from lfdash.engine.registry import ProcessRegistry
from lfdash.launchers.base import Launched, Launcher
from lfdash.launchers.fake import FakeLauncher
from lfdash.launchers.local import LocalLauncher
from lfdash.runs.paths import marker
from lfdash.runs.plan import LaunchPlan, make_plan
from lfdash.runs.record import TERMINAL, Handle, RunRecord
from lfdash.runs.view import RunView
from lfdash.supervisor.processes import marked
from tests.support import FIXTURES

T = TypeVar("T")


class Elsewhere(FakeLauncher):
    """A launcher whose runs go on on other machines; a test puts it into the table (`ELSEWHERE`)."""

    def __init__(self) -> None:
        super().__init__("elsewhere", local=False)


ELSEWHERE = ("elsewhere", f"{__name__}:Elsewhere")


def fake_cli(folder: Path) -> str:
    """Makes an executable llamafactory-cli in `folder`; its path."""
    path = folder / "bin" / "llamafactory-cli"
    if not path.exists():  # not written again: somebody may be starting it
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{os.getpid()}.{threading.get_ident()}.new")
        draft.write_text(f"#!{sys.executable} -IS\n" + (FIXTURES / "fake_cli.py").read_text(encoding="utf-8"))
        draft.chmod(draft.stat().st_mode | stat.S_IXUSR)
        draft.rename(path)
    return str(path)


def plan_for(
    workspace: Path, *, name: str = "r1", cli: str | None = None, secrets: tuple[str, ...] = (),
    env: dict[str, str] | None = None, output_dir: str | None = None, **args: Any,
) -> LaunchPlan:
    """The plan of a run `saves/m/lora/<name>` with id `id-<name>`; `args` tell the stand-in what to do."""
    return make_plan(
        run_id=f"id-{name}", args=args, env=env or {}, secrets=secrets, files={}, cwd=str(workspace),
        cli=cli or fake_cli(workspace.parent), output_dir=output_dir or f"saves/m/lora/{name}",
    )


def record_for(plan: LaunchPlan, launcher: str = "") -> RunRecord:
    """A record for a plan."""
    name = plan.run_id.removeprefix("id-")
    return RunRecord.new(plan, kind="train", name=name, model="m", stage="sft", method="lora", launcher=launcher)


def launch(registry: ProcessRegistry, plan: LaunchPlan) -> Handle:
    """Starts a run that must not be refused."""
    outcome = registry.launch(plan, record_for(plan))
    assert isinstance(outcome, Launched), outcome
    return outcome.handle


def shim_of(registry: ProcessRegistry, handle: Handle) -> subprocess.Popen[bytes]:
    """The supervisor of a run that a registry with the local launcher started."""
    launcher = registry.launchers.default
    assert isinstance(launcher, LocalLauncher)
    shim = launcher.shim(handle)
    assert isinstance(shim, subprocess.Popen)
    return shim


def wait_for(look: Callable[[], T], seconds: float = 20.0) -> T:
    """The first true value of `look`; fails when there is none in time."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, f"not within {seconds} s: {look}"
        time.sleep(0.02)
    return found


def wait_end(registry: ProcessRegistry, run_id: str, seconds: float = 20.0) -> RunView:
    """The run once it is over."""

    def over_now() -> RunView | None:
        view = registry.get(run_id)
        return view if view is not None and view.state in TERMINAL else None

    view = wait_for(over_now, seconds)
    assert view is not None
    return view


def wait_ready(handle: Handle, word: str = "ready", count: int = 1) -> None:
    """Until the run's output has the line `word` that often."""

    def said() -> bool:
        try:
            return handle.paths.console.read_text().split("\n").count(word) >= count
        except OSError:
            return False

    wait_for(said)


def members(handle: Handle) -> list[int]:
    """Live processes of a run."""
    return marked(marker(handle.paths, handle.attempt))


def over(workspace: Path, name: str = "r1") -> tuple[ProcessRegistry, FakeLauncher, Handle]:
    """A registry with a fake run that failed."""
    fake = FakeLauncher()
    registry = ProcessRegistry(workspace, fake, interval=60)
    handle = launch(registry, plan_for(workspace, name=name))
    fake.begin(handle)
    fake.end(handle, 1)
    registry.refresh()
    return registry, fake, handle


def ended(launcher: Launcher, handle: Handle) -> bool:
    """Whether a launcher says that a run is over."""
    return launcher.poll(handle).phase == "ended"
