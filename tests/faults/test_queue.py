"""The dashboard is killed while a job waits, is taken from the queue, and becomes a run: it is started once."""

from __future__ import annotations

from pathlib import Path

import pytest

from lfdash.launchers.local import STARTUP_S
from lfdash.runs.record import RunState
from lfdash.supervisor.failpoints import POINTS
from tests.faults.dashboards import Zygote
from tests.faults.runs import alive, new, seen, starts
from tests.faults.table import Row, fault
from tests.support.runs import fake_cli, wait_for

STEPS = {"steps": 12, "delay": 0.02}
SIGNALS = ("kill", "term", "int", "hup")
PASSED = [point for point in POINTS if point.startswith(("queue.", "folder.", "launch."))]
POINTS_OF_A_JOB = [point for point in PASSED if point not in ("launch.clicked", "launch.locked")]


@pytest.mark.long  # test_crash_points.py kills at more points than these
@pytest.mark.parametrize("action", SIGNALS)
@pytest.mark.parametrize("point", POINTS_OF_A_JOB)
@fault(
    "dashboard killed while it starts a job of the queue", how="failpoint in the code",
    expected="the job still waits, or runs; the next dashboard starts it, without a page, and only once",
)
def test_killed_while_a_job_starts(zygote: Zygote, workspace: Path, row: Row, point: str, action: str) -> None:
    does = ["enqueue", {"name": "r1", "cli": fake_cli(workspace.parent), **STEPS}]
    zygote.dashboard(workspace, does, env={"LFDASH_FAILPOINTS": f"{point}={action}"}).wait_dead()
    registry = new(workspace)
    registry.refresh()
    waiting = [view.state for view in registry.snapshot()]
    if point == "queue.before_added":
        assert waiting == []
        row.note("nothing was put into the queue")
        return
    dash = zygote.dashboard(workspace, later=STARTUP_S + 1)
    assert set(dash.wait("up")["found"]) == {"r1"}

    def done() -> bool:
        registry.refresh()
        view = registry.get("id-r1")
        return view is not None and view.state is RunState.SUCCEEDED

    try:
        wait_for(done, 90)  # a disk that was busy once makes the queue rest for 30 s
    except AssertionError as error:
        raise AssertionError(f"{registry.snapshot()} {registry.queue.jobs.entries()}") from error
    view = seen(registry)
    assert (view.exit_code, starts(view.paths), alive(view.paths)) == (0, 1, 0)
    wait_for(lambda: not registry.queue.jobs.entries())
    assert len(registry.snapshot()) == 1
    dash.kill()
    row.note(f"{waiting[0].value if waiting else 'nothing'} then SUCCEEDED, 0, started once", restarts=1, faults=1)


@fault(
    "dashboard killed while three jobs wait", how="kill -9; the next one is killed after each start, too",
    expected="all three run, in order, each once",
)
def test_killed_again_and_again(zygote: Zygote, workspace: Path, row: Row) -> None:
    cli = fake_cli(workspace.parent)
    names = ["a", "b", "c"]
    does = [["enqueue", {"name": name, "cli": cli, **STEPS}] for name in names]
    dash = zygote.dashboard(workspace, *does)
    dash.wait("done")
    for name in names:
        wait_for(lambda: seen(new(workspace), f"id-{name}").state not in (RunState.QUEUED,))  # noqa: B023
        dash.kill()
        dash = zygote.dashboard(workspace)
        assert set(dash.wait("up")["found"]) == set(names)
        row.counts.update(restarts=1)
    registry = new(workspace)

    def ended() -> bool:
        registry.refresh()
        return [view.state for view in registry.snapshot()] == [RunState.SUCCEEDED] * 3

    wait_for(ended, 30)
    views = sorted(registry.snapshot(), key=lambda view: view.started or 0.0)
    assert [view.name for view in views] == names and [starts(view.paths) for view in views] == [1, 1, 1]
    dash.kill()
    row.note("3 x SUCCEEDED, in order, each started once")
