"""The dashboard is killed, at every named point and at any moment: no run is lost, none is started twice."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from lfdash.engine.registry import ProcessRegistry
from lfdash.launchers.local import STARTUP_S, LocalLauncher
from lfdash.runs.paths import RunPaths
from lfdash.runs.record import RunState
from lfdash.runs.view import RunView
from lfdash.supervisor.failpoints import POINTS
from tests.faults.dashboards import Zygote
from tests.faults.runs import alive, new, over, shims, starts
from tests.faults.table import LONG, Row, fault
from tests.support.runs import fake_cli, launch, plan_for, wait_for

SECONDS: list[float] = []  # until a new dashboard knew its runs
STEPS = {"steps": 12, "delay": 0.02}
SIGNALS = ("kill", "term", "int", "hup") if LONG else ("term",)  # test_crash_points.py kills at more points than these
OF_SHIM = [point for point in POINTS if point.startswith("shim.")]
# points at which the run is not there yet, and those at which it is there and nobody will start it
BEFORE = [*POINTS[: POINTS.index("folder.after_rename")]]
UNSTARTED = ("folder.after_rename", "launch.before_popen")


def adopt(zygote: Zygote, workspace: Path, row: Row, *, port: int = 0) -> dict[str, str]:
    """What a new dashboard's process knows when it is up, before any page; then that one is killed, too."""
    dash = zygote.dashboard(workspace, port=port)
    up = dash.wait("up")
    assert up["seconds"] < 1.0
    assert dash.kill() == -signal.SIGKILL
    row.note("", restarts=1)
    SECONDS.append(up["seconds"])
    return dict(up["found"])


def check_one_run(workspace: Path, row: Row) -> RunView | None:
    """Whether the click led to nothing at all, or to one run that was started once and whose end is told."""
    root = workspace / "saves/m/lora/r1"
    paths = RunPaths(root)
    if not root.exists():
        assert ProcessRegistry(workspace, LocalLauncher()).snapshot() == ()
        row.note("nothing was made")
        return None
    assert alive(paths) <= 1
    wait_for(lambda: shims(paths) == 0 or paths.attempt(1).child.exists())
    if shims(paths) == 0:
        wait_for(lambda: alive(paths) == 0)
    registry = new(workspace)
    registry.refresh()
    view = registry.get("id-r1")
    assert view is not None
    if view.state is RunState.STARTING and shims(paths) == 0 and not paths.exit.exists():  # nobody comes any more
        registry = new(workspace, later=STARTUP_S + 1)
    (view,) = over(registry)
    assert starts(paths) <= 1 and alive(paths) == 0
    return view


@pytest.mark.parametrize("action", SIGNALS)
@pytest.mark.parametrize("point", [point for point in POINTS if point.startswith(("launch.", "folder."))])
@fault(
    "dashboard killed while it starts a run", how="failpoint in the code; TERM, INT to the whole server",
    expected="no run, or one that goes on; the name can be used; never a second copy",
)
def test_killed_while_starting(zygote: Zygote, workspace: Path, row: Row, point: str, action: str) -> None:
    cli = fake_cli(workspace.parent)
    does = ["launch", {"name": "r1", "cli": cli, **STEPS}]
    serve = action in ("term", "int")  # the server has handlers of its own
    dash = zygote.dashboard(workspace, does, env={"LFDASH_FAILPOINTS": f"{point}={action}"}, port=8800 if serve else 0)
    dash.wait("up")
    code = dash.wait_dead()
    assert code == -getattr(signal, f"SIG{action.upper()}") or serve
    found = adopt(zygote, workspace, row)
    view = check_one_run(workspace, row)
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
            assert registry.archive.discard("id-r1") is None
        launch(registry, plan_for(workspace, cli=cli, **STEPS))
        assert over(registry)[0].state is RunState.SUCCEEDED
    row.note("", faults=1)


# -- while the shim works -------------------------------------------------------------------------------

SHIM_SIGNALS = ("kill", "term", "int", "hup") if LONG else ("kill", "term")
NEVER = OF_SHIM[: OF_SHIM.index("shim.after_start")]  # killed there, it starts nothing
DEAF = OF_SHIM[: OF_SHIM.index("shim.before_start")]  # any signal ends it there
TOLD = ("shim.exit_written", "shim.after_publish")  # killed there, it has written the code


@pytest.mark.parametrize("action", SHIM_SIGNALS)
@pytest.mark.parametrize("point", OF_SHIM)
@fault(
    "shim killed", how="failpoint in the shim",
    expected="the run goes on; the code is told where it was written, else judged by the results, or not started",
)
def test_shim_killed(zygote: Zygote, workspace: Path, row: Row, point: str, action: str) -> None:
    does = ["launch", {"name": "r1", "cli": fake_cli(workspace.parent), **STEPS}]
    dash = zygote.dashboard(workspace, does, env={"LFDASH_FAILPOINTS": f"{point}={action}"})
    dash.wait("launch")
    view = check_one_run(workspace, row)
    assert view is not None
    seen = (view.state.value, view.exit_code)
    if point == "shim.taken" and action == "kill":
        assert seen == ("LOST", None) and starts(view.paths) == 0  # it had used its right: nobody knows more
    elif point in NEVER and (action == "kill" or point in DEAF):
        assert seen == ("FAILED", None) and starts(view.paths) == 0
    elif action == "kill":
        assert seen == ("SUCCEEDED", 0 if point in TOLD else None)
    elif action == "term":  # a wish to stop: acted on where there is still somebody to stop
        assert seen in {("STOPPED", 0), ("STOPPED", -15), ("SUCCEEDED", 0)}
    else:
        assert seen == ("SUCCEEDED", 0)
    row.note(f"{seen[0]}, {seen[1]}", faults=1)
    dash.wait("up")
    dash.kill()


@pytest.mark.parametrize("point", ["shim.announced", "shim.child_ended", "shim.before_publish"])
@fault(
    "shim killed, and the run fails", how="kill -9 by failpoint; the child exits with 3",
    expected="LOST, exit code unknown: never a success",
)
def test_shim_killed_under_a_failing_run(zygote: Zygote, workspace: Path, row: Row, point: str) -> None:
    does = ["launch", {"name": "r1", "cli": fake_cli(workspace.parent), "load": 0.3, "fail": "exit:3"}]
    dash = zygote.dashboard(workspace, does, env={"LFDASH_FAILPOINTS": f"{point}=kill"})
    dash.wait("launch")
    view = check_one_run(workspace, row)
    assert view is not None and (view.state, view.exit_code, view.lost) == (RunState.LOST, None, "gone")
    row.note("LOST, None")
    dash.kill()


# -- while it stops, resumes and discards a run -----------------------------------------------------------


@pytest.mark.parametrize("action", SIGNALS)
@pytest.mark.parametrize("point", [point for point in POINTS if point.startswith("stop.")])
@fault(
    "dashboard killed while it stops a run", how="failpoint in the code",
    expected="before the wish is left the run goes on and can be stopped; after it, it saves and is STOPPED",
)
def test_killed_while_stopping(zygote: Zygote, workspace: Path, row: Row, point: str, action: str) -> None:
    run = {"name": "r1", "cli": fake_cli(workspace.parent), "steps": 3000, "delay": 0.02}
    does = [["launch", run], ["saw", {"name": "r1", "step": 2}], ["stop", {"name": "r1", "level": "graceful"}]]
    dash = zygote.dashboard(workspace, *does, env={"LFDASH_FAILPOINTS": f"{point}={action}"})
    dash.wait_dead()
    assert adopt(zygote, workspace, row)["r1"] in ("RUNNING", "STOPPING", "STOPPED")
    registry = new(workspace)
    registry.refresh()
    view = registry.get("id-r1")
    assert view is not None
    if point == "stop.before_token":
        assert view.state is RunState.RUNNING
        assert registry.stop("id-r1", "graceful") is None
    (view,) = over(registry)
    assert (view.state, view.exit_code, view.saved.model) == (RunState.STOPPED, 0, "adapter")
    assert starts(view.paths) == 1 and alive(view.paths) == 0
    row.note("STOPPED, 0, adapter saved", faults=1)


RESUMING = [*(point for point in POINTS if point.startswith("resume.")), "write.run.json", *UNSTARTED[1:]]


@pytest.mark.parametrize("action", SIGNALS)
@pytest.mark.parametrize("point", RESUMING)
@fault(
    "dashboard killed while it resumes a run", how="failpoint in the code",
    expected="the first attempt's end stays told; the run can be resumed again, and only once",
)
def test_killed_while_resuming(zygote: Zygote, workspace: Path, row: Row, point: str, action: str) -> None:
    cli = fake_cli(workspace.parent)
    launch(new(workspace), plan_for(workspace, cli=cli, fail="exit:3"))
    (view,) = over(new(workspace))
    does = [["wait", {"name": "r1", "state": "FAILED"}], ["resume", {"name": "r1", "cli": cli, **STEPS}]]
    zygote.dashboard(workspace, *does, env={"LFDASH_FAILPOINTS": f"{point}={action}"}).wait_dead()
    adopt(zygote, workspace, row)
    (view,) = over(new(workspace, later=STARTUP_S + 1))
    assert (view.state, view.exit_code) in {(RunState.FAILED, 3), (RunState.FAILED, None)}
    assert starts(view.paths) == 1
    again = zygote.dashboard(workspace, ["wait", {"name": "r1", "state": "FAILED"}], does[1], later=STARTUP_S + 1)
    again.wait("resume")
    (view,) = over(new(workspace))
    assert (view.state, view.exit_code, view.attempt) == (RunState.SUCCEEDED, 0, view.paths.next_attempt() - 1)
    assert view.record is not None and view.record.attempts[0].exit is not None
    assert view.record.attempts[0].exit.code == 3 and starts(view.paths) == 2
    row.note(f"resumed as attempt {view.attempt}: SUCCEEDED, 0", faults=1)
    again.kill()


@pytest.mark.parametrize("action", SIGNALS)
@pytest.mark.parametrize("point", [point for point in POINTS if point.startswith("trash.")])
@fault(
    "dashboard killed while it moves a run to the trash", how="failpoint in the code",
    expected="the run is whole, in its place or in the trash",
)
def test_killed_while_discarding(zygote: Zygote, workspace: Path, row: Row, point: str, action: str) -> None:
    launch(new(workspace), plan_for(workspace, **STEPS))
    (view,) = over(new(workspace))
    before = sorted(name for name, _, _ in view.paths.listing())
    does = [["wait", {"name": "r1", "state": "SUCCEEDED"}], ["discard", {"name": "r1"}]]
    zygote.dashboard(workspace, *does, env={"LFDASH_FAILPOINTS": f"{point}={action}"}).wait_dead()
    found = adopt(zygote, workspace, row)
    assert found == ({"r1": "SUCCEEDED"} if point == "trash.before_move" else {})
    (place,) = (path.parent for path in workspace.rglob("run.json"))
    assert sorted(name for name, _, _ in RunPaths(place).listing()) == before
    row.note(f"whole in {place.relative_to(workspace).parts[0]}/", faults=1)


# -- at any moment ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", SIGNALS if LONG else ("turns",))
@fault(
    "dashboard killed at random moments", how="KILL, TERM, INT, HUP to the whole server, from before the click on",
    expected="each run goes on to its end, or was not there; the next dashboard finds it",
)
def test_killed_at_any_moment(zygote: Zygote, workspace: Path, row: Row, seed: int, action: str) -> None:
    cli = fake_cli(workspace.parent)
    chance = random.Random(f"{seed}-{action}")
    states: dict[str, int] = {}
    for number in range(20 if LONG else 4):
        name = ("kill", "term", "int", "hup")[number % 4] if action == "turns" else action
        place = workspace / str(number)
        does = ["launch", {"name": "r1", "cli": cli, **STEPS}]
        dash = zygote.dashboard(place, does, port=8800)
        dash.wait("up")
        time.sleep(chance.uniform(0, 1.5))
        dash.kill(getattr(signal, f"SIG{name.upper()}"))
        found = adopt(zygote, place, row)
        view = check_one_run(place, row)
        assert (found == {}) is (view is None)
        state = "nothing yet" if view is None else f"{view.state.value}, {view.exit_code}"
        assert state in ("nothing yet", "SUCCEEDED, 0", "FAILED, None")
        if state == "FAILED, None":
            assert view is not None and starts(view.paths) == 0
        states[state] = states.get(state, 0) + 1
        row.counts.update(faults=1)
    row.note(" · ".join(f"{count} x {state}" for state, count in sorted(states.items())))


@fault(
    "a new dashboard comes up", how="each of those above: the time until it knows its runs, before any page",
    expected="within a second",
)
def test_found_within_a_second(row: Row) -> None:
    """After the others of this file, whose times it tells."""
    if not SECONDS:
        pytest.skip("no dashboard was started in this session")
    assert max(SECONDS) < 1.0
    row.note(f"{max(SECONDS) * 1000:.0f} ms at most of {len(SECONDS)}")
