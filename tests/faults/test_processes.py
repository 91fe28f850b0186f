"""Processes of a run are killed, or do what no process should: the end that is told is the true one, nobody is left."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lfdash.engine.registry import ProcessRegistry
from lfdash.files import read_json
from lfdash.launchers.base import Launched
from lfdash.launchers.local import STARTUP_S, SUPERVISOR
from lfdash.outcomes import Refused
from lfdash.queue import commands
from lfdash.runs.record import TERMINAL, RunState
from lfdash.runs.stall import StallDetector
from lfdash.supervisor import shim
from lfdash.supervisor.processes import descendants, environ, recorded_alive, send, start_ticks
from lfdash.supervisor.records import give_up
from tests.faults.dashboards import ROOT, Zygote
from tests.faults.runs import alive, becomes, new, over, pids, seen, shims, started, starts
from tests.faults.table import Row, fault
from tests.support.runs import fake_cli, launch, members, plan_for, record_for, shim_of, wait_end, wait_for, wait_ready

FOREVER = {"steps": 100_000, "delay": 0.02}


@pytest.fixture
def registry(workspace: Path) -> Iterator[ProcessRegistry]:
    with started(workspace) as found:
        yield found


# -- how the trainer ends -------------------------------------------------------------------------------

ENDS = {
    "exit:0": ("SUCCEEDED", 0), "exit:1": ("FAILED", 1), "exit:137": ("FAILED", 137), "segfault": ("FAILED", -11),
    "kill": ("FAILED", -9), "killpg": ("FAILED", -9),
}


@pytest.mark.parametrize("fail", ENDS)
@fault(
    "the trainer ends badly", how="exits with 0, 1, 137; a segfault; kill -9 of it, of its whole group",
    expected="its true exit code, told by a new dashboard, too; nobody left",
)
def test_the_trainer_ends(registry: ProcessRegistry, workspace: Path, row: Row, fail: str) -> None:
    handle = launch(registry, plan_for(workspace, fail=fail))
    view = wait_end(registry, handle.run_id)
    assert (view.state.value, view.exit_code) == ENDS[fail]
    (again,) = over(new(workspace))
    assert (again.state, again.exit_code) == (view.state, view.exit_code) and members(handle) == []
    row.note(f"{fail}: {view.state.value}, {view.exit_code}")


@fault("the program is missing", how="no such interpreter", expected="FAILED, 127, and the reason")
def test_the_program_is_missing(registry: ProcessRegistry, workspace: Path, row: Row) -> None:
    cli = workspace / "llamafactory-cli"
    cli.write_text("#!/no/such/thing\n")
    cli.chmod(0o755)
    view = wait_end(registry, launch(registry, plan_for(workspace, cli=str(cli))).run_id)
    assert (view.state, view.exit_code) == (RunState.FAILED, 127) and "No such file" in (view.error or "")
    row.note(f"FAILED, 127, {view.error}")


@fault("whole session killed, with the shim", how="kill -9 of every process of the run", expected="LOST, nobody left")
def test_everything_killed(registry: ProcessRegistry, workspace: Path, row: Row) -> None:
    handle = launch(registry, plan_for(workspace, stubborn=True))
    wait_ready(handle, "child ready", 2)
    send([*pids(handle)[:1], *members(handle)], signal.SIGKILL)
    view = becomes(new(workspace), RunState.LOST)
    assert (view.exit_code, view.lost) == (None, "gone") and members(handle) == []
    assert wait_end(registry, handle.run_id).state is RunState.LOST
    row.note("LOST, None")


# -- the dashboard's terminal -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["INT", "HUP", "TERM", "KILL"])
@fault(
    "Ctrl-C, closed terminal", how="the signal to the dashboard's whole process group",
    expected="the run goes on; its true exit code later",
)
def test_the_terminal_is_closed(zygote: Zygote, workspace: Path, row: Row, name: str) -> None:
    run = {"name": "r1", "cli": fake_cli(workspace.parent), "load": 1, "fail": "exit:7"}
    dash = zygote.dashboard(workspace, ["launch", run], port=8810)
    dash.wait("launch")
    os.killpg(dash.pid, getattr(signal, f"SIG{name}"))
    dash.wait_dead()
    registry = new(workspace)
    assert seen(registry).state in (RunState.STARTING, RunState.RUNNING)
    (view,) = over(registry)
    assert (view.state, view.exit_code, starts(view.paths)) == (RunState.FAILED, 7, 1)
    row.note("RUNNING, then FAILED, 7", restarts=1)


# -- the shim is gone -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("level", "end"), [("graceful", "adapter"), ("term", None), ("kill", None)])
@fault(
    "shim killed, then Stop", how="kill -9 of who holds the lock; Stop in a new dashboard",
    expected="it runs on, the stop works as far as wished, nobody left",
)
def test_stop_without_a_shim(workspace: Path, row: Row, level: str, end: str | None) -> None:
    first = new(workspace)
    handle = launch(first, plan_for(workspace, **FOREVER))
    wait_ready(handle)
    os.kill(pids(handle)[0], signal.SIGKILL)
    shim_of(first, handle).wait(10)
    registry = new(workspace)
    assert seen(registry).state is RunState.RUNNING and alive(handle.paths) == 1
    assert registry.stop(handle.run_id, level) is None  # type: ignore[arg-type]
    view = becomes(registry, RunState.STOPPED)
    assert (view.exit_code, view.saved.model) == (None, end) and members(handle) == []
    row.note(f"{level}: STOPPED, None, saved: {end}", restarts=1)


@fault(
    "pid of a dead run used again", how="child.json names a stranger, with its pid and start ticks",
    expected="LOST; the stranger is neither shown nor signalled",
)
def test_a_strangers_pid_in_the_record(workspace: Path, row: Row) -> None:
    handle = launch(new(workspace), plan_for(workspace, **FOREVER))
    wait_ready(handle)
    control = handle.paths.attempt(1)
    send(list(pids(handle)), signal.SIGKILL)
    wait_for(lambda: not members(handle))
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        ticks = start_ticks(stranger.pid)
        forged = {"shim": stranger.pid, "child": stranger.pid, "shim_ticks": ticks, "child_ticks": ticks}
        control.child.write_text(json.dumps({**read_json(control.child), **forged}))
        registry = new(workspace)
        assert seen(registry).state is RunState.LOST
        assert registry.stop(handle.run_id, "kill") == Refused("not_running")
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
    row.note("LOST, not signalled")


REUSED = """
import os, signal, subprocess, sys, time
from pathlib import Path
from lfdash.queue import commands
from lfdash.outcomes import Refused
from tests.faults.runs import new, pids, seen
from tests.support.runs import launch, plan_for, shim_of, wait_for
workspace = Path(sys.argv[1])
first = new(workspace)
handle = launch(first, plan_for(workspace, steps=100000, delay=.02))
old = pids(handle)
for pid in old:
    os.kill(pid, signal.SIGKILL)
shim_of(first, handle).wait()
wait_for(lambda: os.waitpid(-1, os.WNOHANG)[0])  # its child is ours now: this is process 1
strangers = []
for pid in old:
    with open("/proc/sys/kernel/ns_last_pid", "w") as file:
        file.write(str(pid - 1))
    strangers.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]))
assert tuple(one.pid for one in strangers) == old, ([one.pid for one in strangers], old)
registry = new(workspace)
view = seen(registry)
assert (view.state.value, view.lost) == ("LOST", "gone"), view
assert registry.stop(handle.run_id, "kill") == Refused("not_running")
time.sleep(.2)
assert [one.poll() for one in strangers] == [None, None]
print("two strangers with the pids of shim and child live")
"""


@fault(
    "pids used again by the kernel", how="a pid namespace; ns_last_pid set to the pids of shim and child",
    expected="LOST; the newcomers are neither shown as ours nor signalled",
)
def test_pids_used_again(workspace: Path, row: Row) -> None:
    command = ["unshare", "-p", "-f", "--mount-proc", sys.executable, "-c", REUSED, str(workspace)]
    if subprocess.run([*command[:4], "true"], capture_output=True).returncode:
        pytest.skip("a pid namespace is not permitted here (unshare); the row above forges the record instead")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    row.note(done.stdout.strip())


# -- processes that do as they like ---------------------------------------------------------------------


@fault(
    "a tree that ignores TERM and ABRT", how="main process and two children in sessions of their own; Stop, Kill now",
    expected="STOPPING while it lives, then STOPPED at once, nobody left",
)
def test_a_stubborn_tree(registry: ProcessRegistry, workspace: Path, row: Row) -> None:
    handle = launch(registry, plan_for(workspace, stubborn=True))
    wait_ready(handle, "child ready", 2)
    for level in ("graceful", "term"):
        registry.stop(handle.run_id, level)  # type: ignore[arg-type]
        control = handle.paths.attempt(1)
        wait_for(lambda: control.read_wish() == level)  # noqa: B023
        time.sleep(2 * shim.POLL_S)  # the shim has acted by then
        assert seen(registry).state is RunState.STOPPING and len(members(handle)) == 3
    began = time.monotonic()
    registry.stop(handle.run_id, "kill")
    assert wait_end(registry, handle.run_id).state is RunState.STOPPED and members(handle) == []
    row.note(f"STOPPED {time.monotonic() - began:.1f} s after Kill now")


@fault(
    "children that fork away", how="main exits 0; 4 daemons by double fork and setsid, one without its environment",
    expected="SUCCEEDED; all swept and counted",
)
def test_daemons_are_swept(registry: ProcessRegistry, workspace: Path, row: Row) -> None:
    before = set(descendants(1))
    handle = launch(registry, plan_for(workspace, steps=1, leftover=4))
    view = wait_end(registry, handle.run_id)
    swept = read_json(handle.paths.exit)["leftovers"]
    assert view.state is RunState.SUCCEEDED and swept == 4
    left = [pid for pid in set(descendants(1)) - before if Path(f"/proc/{pid}/cwd").resolve() == workspace]
    assert left == []
    row.note(f"SUCCEEDED, {swept} swept")


@fault("fork storm", how="a process that forks and ends without pause; Kill now", expected="STOPPED; nobody left")
def test_a_fork_storm(registry: ProcessRegistry, workspace: Path, row: Row) -> None:
    handle = launch(registry, plan_for(workspace, load=600, storm=True))
    wait_ready(handle, "started")
    wait_for(lambda: len(members(handle)) >= 2)
    registry.stop(handle.run_id, "kill")
    assert wait_end(registry, handle.run_id).state is RunState.STOPPED
    assert [members(handle) for _ in range(20)] == [[]] * 20
    row.note("STOPPED, nobody left")


@fault(
    "fork storm without a shim", how="the same, its shim killed; Kill now in a new dashboard",
    expected="STOPPED; nobody left",
)
def test_a_fork_storm_without_a_shim(workspace: Path, row: Row) -> None:
    first = new(workspace)
    handle = launch(first, plan_for(workspace, load=600, storm=True))
    wait_ready(handle, "started")
    wait_for(lambda: len(members(handle)) >= 2)
    os.kill(pids(handle)[0], signal.SIGKILL)
    shim_of(first, handle).wait(10)
    registry = new(workspace)
    assert seen(registry).state is RunState.RUNNING
    assert registry.stop(handle.run_id, "kill") is None
    assert becomes(registry, RunState.STOPPED).exit_code is None
    assert [members(handle) for _ in range(20)] == [[]] * 20
    row.note("STOPPED, nobody left")


@fault(
    "Stop races with the end", how="20 runs, stopped at a random moment around their last step",
    expected="SUCCEEDED or STOPPED as the results say, for good; nobody left",
)
def test_stop_races_with_the_end(registry: ProcessRegistry, workspace: Path, row: Row, seed: int) -> None:
    chance = random.Random(seed)
    ends: dict[str, int] = {}
    for number in range(20):
        handle = launch(registry, plan_for(workspace, name=f"r{number}", steps=10, delay=0.01))
        wait_ready(handle)
        time.sleep(chance.uniform(0.05, 0.2))
        registry.stop(handle.run_id, chance.choice(("graceful", "term", "kill")))  # type: ignore[arg-type]
        view = wait_end(registry, handle.run_id)
        ended = read_json(handle.paths.exit)
        full = view.saved.step == 10
        assert view.state is (RunState.SUCCEEDED if ended["code"] == 0 and full else RunState.STOPPED), (view, ended)
        assert seen(new(workspace), handle.run_id).state is view.state and members(handle) == []
        ends[view.state.value] = ends.get(view.state.value, 0) + 1
        row.counts.update(faults=1)
    row.note(", ".join(f"{count} x {state}" for state, count in sorted(ends.items())))


# -- two at once ----------------------------------------------------------------------------------------


@fault(
    "double launch", how="8 dashboards start the same run at the same moment", expected="exactly one starts it, once",
)
def test_a_double_launch(zygote: Zygote, workspace: Path, row: Row) -> None:
    cli = fake_cli(workspace.parent)
    does = ["launch", {"name": "r1", "cli": cli, "steps": 60, "delay": 0.02}]
    dashes = [zygote.dashboard(workspace, does) for _ in range(8)]
    outcomes = [dash.wait("launch")["outcome"] for dash in dashes]
    assert sum(outcome.startswith("Launched") for outcome in outcomes) == 1, outcomes
    assert all("Refused" in outcome for outcome in outcomes if not outcome.startswith("Launched"))
    (view,) = over(new(workspace))
    assert (view.state, starts(view.paths)) == (RunState.SUCCEEDED, 1)
    row.note("1 started, 7 refused; SUCCEEDED, started once", faults=8)
    for dash in dashes:
        dash.kill()


@fault(
    "two dashboards on one workspace", how="both press Start for different runs; the one that won is killed",
    expected="one run at a time; the other sees it, can stop it, and then starts its own",
)
def test_two_dashboards(zygote: Zygote, workspace: Path, row: Row) -> None:
    cli = fake_cli(workspace.parent)
    first, second = (
        zygote.dashboard(workspace, ["launch", {"name": name, "cli": cli, **FOREVER}], port=port)
        for name, port in (("r1", 8811), ("r2", 8812))
    )
    outcomes = {name: dash.wait("launch")["outcome"] for name, dash in (("r1", first), ("r2", second))}
    (won,) = (name for name, outcome in outcomes.items() if outcome.startswith("Launched"))
    (other,) = set(outcomes) - {won}
    assert "busy" in outcomes[other]
    (first if won == "r1" else second).kill()
    registry = new(workspace)
    assert seen(registry, f"id-{won}").state in (RunState.STARTING, RunState.RUNNING)
    assert registry.stop(f"id-{won}", "kill") is None
    becomes(registry, RunState.STOPPED, f"id-{won}")
    handle = launch(registry, plan_for(workspace, name=other, cli=cli, steps=2))
    assert becomes(registry, RunState.SUCCEEDED, handle.run_id).exit_code == 0
    row.note("one started, one told that it is busy; taken over", restarts=1)
    (second if won == "r1" else first).kill()


@fault(
    "a second shim for the same attempt", how="started beside the first, and after the first was killed",
    expected="it ends at once; one child",
)
def test_a_second_shim(workspace: Path, row: Row) -> None:
    first = new(workspace)
    handle = launch(first, plan_for(workspace, **FOREVER))
    wait_ready(handle)
    command = [sys.executable, "-I", "-S", SUPERVISOR, str(handle.paths.attempt(1).root)]
    assert subprocess.run(command, capture_output=True, timeout=20).returncode == 1
    os.kill(pids(handle)[0], signal.SIGKILL)
    shim_of(first, handle).wait(10)
    assert subprocess.run(command, capture_output=True, timeout=20).returncode == 1
    assert (alive(handle.paths), shims(handle.paths), starts(handle.paths)) == (1, 0, 1)
    row.note("refused twice, one child")


@fault(
    "a shim that sleeps through its start", how="paused before its lock, given up after 30 s, resumed; then it wakes",
    expected="it starts nothing and touches nothing; the later attempt alone trains",
)
def test_a_shim_that_wakes_late(workspace: Path, row: Row) -> None:
    pause, first = workspace.parent / "pause", new(workspace)
    plan = plan_for(workspace, **FOREVER, env={"LFDASH_FAILPOINTS": f"shim.entered=pause:{pause}"})
    handle = launch(first, plan)
    wait_for(pause.exists)
    assert give_up(str(handle.paths.attempt(1).root))
    later = new(workspace, later=STARTUP_S + 1)
    view, again = seen(later), replace(plan, attempt=2, env={})
    assert view.state is RunState.FAILED and view.record is not None
    outcome = later.launch(again, view.record.resumed(again))
    assert isinstance(outcome, Launched), outcome
    second = outcome.handle
    wait_ready(second)
    pause.unlink()
    assert shim_of(first, handle).wait(20) == 1
    assert (alive(second.paths, 1), alive(second.paths, 2), starts(second.paths)) == (0, 1, 1)
    assert not second.paths.exit.exists()
    assert later.stop(handle.run_id, "kill") is None
    assert becomes(later, RunState.STOPPED).exit_code == -9
    row.note("it left: given up before it started; attempt 2 trained alone")


# -- torchrun, by the stand-in --------------------------------------------------------------------------


def ranks(pids: list[int]) -> list[int]:
    """The processes that are ranks."""
    return [pid for pid in pids if any(item.startswith(b"LOCAL_RANK=") for item in environ(pid))]


@fault(
    "the agent of two ranks killed", how="kill -9 of the main process; the ranks have sessions of their own",
    expected="FAILED, -9, ranks swept within 10 s",
)
def test_an_agent_killed(registry: ProcessRegistry, workspace: Path, row: Row) -> None:
    handle = launch(registry, plan_for(workspace, ranks=2, **FOREVER))
    wait_ready(handle, "ready", 2)
    began = time.monotonic()
    os.kill(pids(handle)[1], signal.SIGKILL)
    view = wait_end(registry, handle.run_id)
    assert (view.state, view.exit_code) == (RunState.FAILED, -9) and members(handle) == []
    assert time.monotonic() - began < 10 and view.state in TERMINAL
    row.note(f"FAILED, -9, ranks swept after {time.monotonic() - began:.1f} s")




@pytest.mark.parametrize(("hang", "left"), [(1, (1, 2)), ("all", (2, 2))])
@fault(
    "a rank hangs in a graceful stop", how="of two ranks one saves and leaves and one never ends, or neither ends",
    expected="STOPPING and, without a sign of life, `stuck`: the harder step ends it, nobody left",
)
def test_a_rank_hangs(workspace: Path, row: Row, hang: object, left: tuple[int, int]) -> None:
    with started(workspace) as registry:
        registry.watcher.stall_detector = StallDetector(quiet=1.5, torn=1.5)
        handle = launch(registry, plan_for(workspace, ranks=2, hang=hang, **FOREVER))
        wait_ready(handle, "ready", 2)
        assert registry.stop(handle.run_id, "graceful") is None
        view = wait_for(lambda: found if (found := seen(registry)).stalled else None)
        assert (view.state, view.awaiting, view.ranks) == (RunState.STOPPING, "save", left)
        assert registry.stop(handle.run_id, "term") is None
        assert not seen(registry).stalled
        view = wait_end(registry, handle.run_id)
        assert view.state is RunState.STOPPED and members(handle) == []
    row.note(f"stuck with {left[0]} of {left[1]} ranks; SIGTERM: STOPPED, {view.exit_code}, saved: {view.saved.model}")


@fault(
    "the agent killed while its ranks save", how="kill -9 of the main process after Stop; one rank never ends",
    expected="STOPPED; the rank that hangs is swept",
)
def test_an_agent_killed_while_stopping(registry: ProcessRegistry, workspace: Path, row: Row) -> None:
    handle = launch(registry, plan_for(workspace, ranks=2, hang=1, **FOREVER))
    wait_ready(handle, "ready", 2)
    registry.stop(handle.run_id, "graceful")
    wait_for(lambda: len(ranks(members(handle))) == 1)
    os.kill(pids(handle)[1], signal.SIGKILL)
    registry.stop(handle.run_id, "term")  # the page offers it; else it is done after RANKS_S
    view = wait_end(registry, handle.run_id)
    assert (view.state, view.exit_code, view.saved.model) == (RunState.STOPPED, -9, "adapter")
    assert members(handle) == []
    row.note("STOPPED, -9, adapter saved")


# -- stopping -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("run", "code", "saved"),
    [({"load": 600}, -15, None), ({**FOREVER}, 0, "adapter"), ({"ranks": 2, **FOREVER}, 0, "adapter")],
    ids=["loading", "single", "two ranks"],
)
@fault(
    "Stop while it loads, trains, trains on two ranks", how="a graceful Stop of the stand-in",
    expected="STOPPED at once where nobody can save yet, else after saving; nobody left",
)
def test_a_graceful_stop(
    registry: ProcessRegistry, workspace: Path, row: Row, run: dict[str, object], code: int, saved: str | None
) -> None:
    handle = launch(registry, plan_for(workspace, **run))
    wait_ready(handle, "started" if "load" in run else "ready", 2 if "ranks" in run else 1)
    assert registry.stop(handle.run_id, "graceful") is None
    view = wait_end(registry, handle.run_id)
    assert (view.state, view.exit_code, view.saved.model) == (RunState.STOPPED, code, saved) and members(handle) == []
    row.note(f"STOPPED, {code}, saved: {saved}")


@fault(
    "ranks that rename themselves", how="they wipe their environment, as setproctitle does, also the agent; then Stop",
    expected="asked to save all the same: STOPPED, 0, adapter saved; nobody left",
)
def test_ranks_that_wipe_their_environment(registry: ProcessRegistry, workspace: Path, row: Row) -> None:
    handle = launch(registry, plan_for(workspace, ranks=2, wipe=True, **FOREVER))
    wait_ready(handle, "ready", 2)
    control = handle.paths.attempt(1)
    wait_for(lambda: len(read_json(control.child).get("ranks", ())) == 2)
    (handle.paths.root / "wipe").touch()
    wait_ready(handle, "wiped", 3)
    child = read_json(control.child)
    recorded = recorded_alive(child)
    assert members(handle) == [] and len(recorded) == 3 and ranks(recorded) == []
    assert registry.stop(handle.run_id, "graceful") is None
    view = wait_end(registry, handle.run_id)
    assert (view.state, view.exit_code, view.saved.model) == (RunState.STOPPED, 0, "adapter")
    assert read_json(handle.paths.exit)["sent"] == ["SIGABRT"] and recorded_alive(child) == []
    row.note("STOPPED, 0, saved: adapter")


@pytest.mark.parametrize("agent", [True, False], ids=["agent lives", "agent killed too"])
@fault(
    "ranks that rename themselves, the shim killed", how="all wiped their environment; a new dashboard; then Stop",
    expected="RUNNING, never LOST; asked to save: STOPPED, adapter saved; nobody left",
)
def test_wiped_ranks_without_a_shim(workspace: Path, row: Row, agent: bool) -> None:
    first = new(workspace)
    handle = launch(first, plan_for(workspace, ranks=2, wipe=True, **FOREVER))
    wait_ready(handle, "ready", 2)
    control = handle.paths.attempt(1)
    wait_for(lambda: len(read_json(control.child).get("ranks", ())) == 2)
    (handle.paths.root / "wipe").touch()
    wait_ready(handle, "wiped", 3)
    child = read_json(control.child)
    for pid in pids(handle) if not agent else pids(handle)[:1]:
        os.kill(pid, signal.SIGKILL)
    shim_of(first, handle).wait(10)
    registry = new(workspace)
    assert seen(registry).state is RunState.RUNNING and len(recorded_alive(child)) == (3 if agent else 2)
    assert registry.stop(handle.run_id, "graceful") is None
    view = becomes(registry, RunState.STOPPED)
    assert (view.exit_code, view.saved.model) == (None, "adapter") and recorded_alive(child) == []
    row.note("RUNNING; STOPPED, None, saved: adapter")


@fault(
    "the dashboard that holds the launch lock", how="killed, or stopped for good (SIGSTOP), in the middle of a launch",
    expected="killed: the other starts its run at once; stopped: the other says so and shows all runs",
)
def test_who_holds_the_launch_lock(zygote: Zygote, workspace: Path, row: Row) -> None:
    cli, pause = fake_cli(workspace.parent), workspace.parent / "pause"
    run = ["launch", {"name": "r1", "cli": cli, "steps": 2}]
    dash = zygote.dashboard(workspace, run, env={"LFDASH_FAILPOINTS": f"launch.checked=pause:{pause}"})
    wait_for(pause.exists)
    dash.send(signal.SIGSTOP)
    registry = new(workspace)
    plan = plan_for(workspace, name="r2", cli=cli, steps=2)
    began = time.monotonic()
    assert registry.launch(plan, record_for(plan)) == Refused("another_launch")
    assert time.monotonic() - began < commands.LOCK_S + 5
    registry.refresh()
    assert registry.snapshot() == ()
    dash.kill()
    began = time.monotonic()
    handle = launch(registry, plan)
    waited = time.monotonic() - began
    assert waited < 2 and becomes(registry, RunState.SUCCEEDED, handle.run_id).exit_code == 0
    row.note(f"stopped: refused (another_launch); killed: started after {waited * 1000:.0f} ms", restarts=1)
