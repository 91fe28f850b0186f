"""The dashboard is killed, at every named point and at any moment: no run is lost, none is started twice."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from lfdash import shim
from lfdash.failpoints import POINTS
from lfdash.launchers import folder
from lfdash.launchers.base import Machine
from lfdash.launchers.local import STARTUP_S, LocalLauncher
from lfdash.registry import ProcessRegistry
from lfdash.run import TERMINAL, RunPaths, RunState
from lfdash.store import RunView
from tests.faults.dashboards import Zygote
from tests.faults.table import LONG, Row, fault
from tests.runs import fake_cli, launch, plan_for, wait_for

STEPS = {"steps": 12, "delay": 0.02}
SIGNALS = ("kill", "term", "int", "hup") if LONG else ("kill", "term")
OF_SHIM = [point for point in POINTS if point.startswith("shim.")]
# points at which the run is not there yet, and those at which it is there and nobody will start it
BEFORE = [*POINTS[: POINTS.index("folder.after_rename")]]
UNSTARTED = ("folder.after_rename", "launch.before_popen")


def starts(paths: RunPaths) -> int:
    """How often the stand-in was started for a run: each start says so in the one log."""
    return len(re.findall(r"^started$", paths.console.read_text(), re.M)) if paths.console.exists() else 0


def alive(paths: RunPaths, attempt: int = 1) -> int:
    """How many main processes of a run there are."""
    return len(shim.marked(folder.marker(paths, attempt)))




def new(workspace: Path, *, later: float = 0.0) -> ProcessRegistry:
    """A new dashboard's registry, to which the clock is ahead by `later` seconds."""
    launcher = LocalLauncher(Machine(clock=lambda: shim.boot_clock() + later))
    return ProcessRegistry(workspace, launcher, interval=0.02)


def over(registry: ProcessRegistry, count: int = 1) -> list[RunView]:
    """The runs once `count` are there and over."""

    def look() -> list[RunView]:
        registry.refresh()
        views = list(registry.snapshot())
        return views if len(views) == count and all(view.state in TERMINAL for view in views) else []

    return wait_for(look, 30)


def adopt(zygote: Zygote, workspace: Path, row: Row, *, port: int = 0) -> dict[str, str]:
    """What a new dashboard's process knows when it is up, before any page; then that one is killed, too."""
    dash = zygote.dashboard(workspace, port=port)
    up = dash.wait("up")
    assert up["seconds"] < 1.0
    assert dash.kill() == -signal.SIGKILL
    row.note(f"found in {up['seconds'] * 1000:.0f} ms", restarts=1)
    return dict(up["found"])


def check_one_run(workspace: Path, row: Row, cli: str) -> RunView | None:
    """Whether the click led to nothing at all, or to one run that was started once and whose end is told."""
    root = workspace / "saves/m/lora/r1"
    paths = RunPaths(root)
    if not root.exists():
        assert ProcessRegistry(workspace, LocalLauncher()).snapshot() == ()
        row.note("nothing was made")
        return None
    assert alive(paths) <= 1
    registry = new(workspace)
    registry.refresh()
    view = registry.get("id-r1")
    assert view is not None
    if starts(paths) == 0 and shim_of(paths) == 0 and view.state is RunState.STARTING and not paths.exit.exists():
        registry = new(workspace, later=STARTUP_S + 1)
    (view,) = over(registry)
    assert starts(paths) <= 1 and alive(paths) == 0
    return view


def shim_of(paths: RunPaths) -> int:
    """How many shims there are for a run."""
    own = str(paths.attempt(1).root).encode()
    found = 0
    for pid in shim.descendants(1):
        try:
            found += own in Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
    return found


@pytest.mark.parametrize("action", SIGNALS)
@pytest.mark.parametrize("point", [point for point in POINTS if point.startswith(("launch.", "folder."))])
@fault(
    "dashboard killed while it starts a run", how="failpoint in the code; TERM, INT to the whole server",
    expected="no run, or one that goes on; the name can be used; never a second copy",
)  # fmt: skip
def test_killed_while_starting(zygote: Zygote, workspace: Path, row: Row, point: str, action: str) -> None:
    cli = fake_cli(workspace.parent)
    does = ["launch", {"name": "r1", "cli": cli, **STEPS}]
    serve = action in ("term", "int")  # the server has handlers of its own
    dash = zygote.dashboard(workspace, does, env={"LFDASH_FAILPOINTS": f"{point}={action}"}, port=8800 if serve else 0)
    dash.wait("up")
    code = dash.wait_dead()
    assert code == -getattr(signal, f"SIG{action.upper()}") or serve
    found = adopt(zygote, workspace, row)
    view = check_one_run(workspace, row, cli)
    if not serve:  # it died there and then
        assert (view is None) is (point in BEFORE) is (found == {})
        if point in UNSTARTED:
            assert view is not None and (view.state, view.exit_code) == (RunState.FAILED, None)
            row.note("FAILED: never started")
    if view is not None and point not in UNSTARTED:
        assert (view.state, view.exit_code, view.progress.step) == (RunState.SUCCEEDED, 0, 12)
        row.note("it went on; SUCCEEDED, 0")
    if view is None or view.state is RunState.FAILED:  # the name can be used
        registry = new(workspace, later=STARTUP_S + 1)
        if view is not None:
            registry.refresh()
            assert registry.discard("id-r1") is None
        launch(registry, plan_for(workspace, cli=cli, **STEPS))
        assert over(registry)[0].state is RunState.SUCCEEDED
    row.note("", faults=1)
