"""Nothing twice, nothing lost: clicks that come twice, pages that are stale, reads that fail once."""

from __future__ import annotations

import builtins
import errno
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lfdash.engine.registry import ProcessRegistry
from lfdash.files import look_json
from lfdash.launchers import folder
from lfdash.launchers.base import Launched, MachineIdentity
from lfdash.launchers.local import STARTUP_S, LocalLauncher, holder
from lfdash.outcomes import Refused
from lfdash.queue.commands import LaunchLock
from lfdash.queue.store import Queued, QueueSettings
from lfdash.runs.paths import RunPaths, private
from lfdash.runs.plan import LaunchPlan
from lfdash.runs.record import RunRecord, RunState
from lfdash.runs.view import RunView
from lfdash.supervisor.failpoints import VARIABLE
from lfdash.supervisor.processes import recorded_alive
from tests.faults.runs import alive, becomes, new, over, pids, seen, shims, starts
from tests.faults.table import Row, fault
from tests.support.runs import fake_cli, launch, plan_for, record_for, wait_for, wait_ready

FOREVER = {"steps": 100_000, "delay": 0.05}
LOADING = {"load": 600}  # nothing is written meanwhile: two of them in one folder do not disturb each other


def failed(workspace: Path) -> tuple[ProcessRegistry, RunView]:
    """A dashboard with room for many, and a run that can be resumed."""
    registry = new(workspace)
    registry.queue.set_settings(QueueSettings(slots=8))
    launch(registry, plan_for(workspace, fail="exit:3"))
    (view,) = over(registry)
    return registry, view


def resumption(view: RunView, number: int) -> tuple[LaunchPlan, RunRecord]:
    """The next attempt of a run as a page plans it at the click."""
    plan = plan_for(view.path.parents[3], name=view.name, cli=fake_cli(view.path.parents[4]), **LOADING)
    plan = replace(plan, attempt=number)
    assert view.record is not None
    return plan, view.record.resumed(plan)


# -- clicks that come twice -----------------------------------------------------------------------------


@pytest.mark.parametrize("apart", ["at once", "later", "another dashboard", "queued", "start now"])
@fault("Resume is clicked twice", how="two or three clicks with plans made before the first one began", expected=(
    "one trainer; the others are answered that it runs already"
))
def test_resumed_twice(workspace: Path, row: Row, apart: str) -> None:
    registry, view = failed(workspace)
    plans = [resumption(view, view.paths.next_attempt()) for _ in range(3)]
    others = [registry, new(workspace)] if apart == "another dashboard" else [registry]
    answers: list[Any] = []
    if apart == "at once":
        clicks = [threading.Thread(target=lambda p=p: answers.append(registry.launch(*p))) for p in plans]
        for click in clicks:
            click.start()
        for click in clicks:
            click.join()
    elif apart in ("queued", "start now"):
        assert isinstance(registry.enqueue(*plans[0]), Queued)
        answers.append(registry.launch(*plans[1], beside=True))
        if apart == "start now":
            answers.append(registry.dispatcher.start_now(view.run_id))
        else:
            registry.dispatcher.advance()
            answers.append(registry.launch(*plans[2]))
        answers = [answer for answer in answers if answer != Refused("exists", {"path": plans[1][0].output_dir})]
    else:
        for dashboard, plan in zip(others * 3, plans, strict=False):
            answers.append(dashboard.launch(*plan))
            wait_for(lambda: starts(view.paths) == 2)
    wait_for(lambda: (alive(view.paths, 2), starts(view.paths)) == (1, 2))
    assert sum(isinstance(answer, Launched) for answer in answers) <= 1
    assert [answer for answer in answers if isinstance(answer, Refused) and answer.code != "runs_already"] == []
    assert starts(view.paths) == 2 and [alive(view.paths, number) for number in (3, 4)] == [0, 0]
    assert registry.enqueue(*plans[0]) == Refused("runs_already", {"run": "r1"})
    # a page that was left open plans the attempt after that one
    fourth = registry.launch(*resumption(seen(registry), view.paths.next_attempt()), beside=True)
    assert fourth == Refused("runs_already", {"run": "r1"})
    row.note("one trainer", faults=len(plans))


@fault("a run is planned twice", how="the plan of a first attempt again, in the folder and in another one", expected=(
    "refused: the run's id is there already"
))
def test_a_first_attempt_twice(workspace: Path, row: Row) -> None:
    registry, view = failed(workspace)
    for place in ("saves/m/lora/r1", "saves/m/lora/again"):
        plan = plan_for(workspace, output_dir=place)
        assert registry.launch(plan, record_for(plan)) == Refused("exists", {"path": "saves/m/lora/r1"})
        assert registry.launch(plan, record_for(plan), beside=True) == Refused("exists", {"path": "saves/m/lora/r1"})
    assert not (workspace / "saves/m/lora/again").exists() and starts(view.paths) == 1
    row.note("refused")


@fault("two attempts of a run live, which must not be", how="the second one handed to the launcher itself", expected=(
    "both count: for the state, the devices, Stop, delete and rename"
))
def test_every_live_attempt_counts(workspace: Path, row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    registry, view = failed(workspace)
    assert isinstance(registry.launch(*resumption(view, 2)), Launched)
    wait_for(lambda: alive(view.paths, 2) == 1)
    third = resumption(seen(registry), 3)
    assert LocalLauncher().submit(*third, {}) == Refused("runs_already", {"run": "saves/m/lora/r1"})
    monkeypatch.setattr("lfdash.launchers.local.anybody_for", lambda folder: False)
    outcome = LocalLauncher().submit(*third, {})
    assert isinstance(outcome, Launched)
    wait_for(lambda: alive(view.paths, 3) == 1)
    dashboard = new(workspace)
    dashboard.queue.set_settings(QueueSettings(slots=2))
    both = becomes(dashboard, RunState.RUNNING)
    assert (both.state, both.attempt, both.others) == (RunState.RUNNING, 3, (2,))
    plan = plan_for(workspace, name="r2")
    assert dashboard.launch(plan, record_for(plan)) == Refused("busy", {"code": "slots", "run": "r1"})
    os.kill(wait_for(lambda: both.paths.attempt(3).child.exists() and child_of(both.paths, 3)), 9)
    elder = wait_for(lambda: view if (view := seen(dashboard)).attempt == 2 else None)
    assert elder.state is RunState.RUNNING and elder.others == ()  # the newest is over, the one before goes on
    for refused in (dashboard.archive.discard("id-r1"), dashboard.archive.rename("id-r1", "r9")):
        assert refused == Refused("alive", {"run": "r1"})
    assert dashboard.stop("id-r1", "kill") is None
    wait_for(lambda: alive(view.paths, 2) == 0)
    row.note("RUNNING, two devices; stopped")


def child_of(paths: RunPaths, attempt: int) -> int:
    """Pid of the process that an attempt's supervisor started."""
    return int(look_json(paths.attempt(attempt).child).get("child", 0))


@fault("Stop is killed for both", how="two live attempts, one click on Kill", expected="nobody is left")
def test_stop_ends_every_attempt(workspace: Path, row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    registry, view = failed(workspace)
    assert isinstance(registry.launch(*resumption(view, 2)), Launched)
    monkeypatch.setattr("lfdash.launchers.local.anybody_for", lambda folder: False)
    assert isinstance(LocalLauncher().submit(*resumption(seen(registry), 3), {}), Launched)
    wait_for(lambda: [alive(view.paths, number) for number in (2, 3)] == [1, 1])
    dashboard = new(workspace)
    dashboard.refresh()
    assert dashboard.stop("id-r1", "kill") is None
    wait_for(lambda: [alive(view.paths, number) for number in (2, 3)] == [0, 0])
    row.note("nobody is left")


@fault(
    "a supervisor sleeps through its start", how="paused before its lock, 31 s by the dashboard's clock; another run "
    "is started on its place; then it wakes", expected="it starts nothing: its right was taken away",
)
def test_a_supervisor_that_sleeps_has_no_place_any_more(
    workspace: Path, row: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    pause = workspace.parent / "pause"
    with monkeypatch.context() as patch:
        patch.setenv(VARIABLE, f"shim.entered=pause:{pause}")
        handle = launch(new(workspace), plan_for(workspace, steps=3))
    wait_for(pause.exists)
    registry = new(workspace, later=STARTUP_S + 1)
    assert seen(registry).state is RunState.FAILED
    launch(registry, plan_for(workspace, name="r2", **FOREVER))
    pause.unlink()
    wait_for(lambda: shims(handle.paths) == 0)
    assert starts(handle.paths) == 0
    assert "given up" in handle.paths.attempt(1).shim_log.read_text()
    becomes(registry, RunState.RUNNING, "id-r2")
    assert seen(registry).state is RunState.FAILED
    row.note("FAILED, never started")


# -- what people do with folders while it trains --------------------------------------------------------


@pytest.mark.parametrize("how", ["moved", "workspace moved", "another path"])
@fault(
    "a run's folder is moved, or seen by another path, and its supervisor dies", how="rename of the folder, of the "
    "workspace; a link to the workspace", expected="RUNNING, never resumed beside, stopped",
)
def test_a_run_that_is_not_at_home(workspace: Path, row: Row, how: str) -> None:
    handle = launch(new(workspace), plan_for(workspace, load=600))
    wait_ready(handle, "started")
    shim, _ = pids(handle)
    here = workspace
    if how == "moved":
        handle.paths.root.rename(handle.paths.root.with_name("r2"))
    elif how == "workspace moved":
        here = workspace.rename(workspace.with_name("ws2"))
    else:
        here = workspace.with_name("link")
        here.symlink_to(workspace)
    os.kill(shim, 9)
    registry = new(here)
    view = wait_for(lambda: view if not holder((view := seen(registry)).paths.attempt(1).lock) else None)
    assert view.state is RunState.RUNNING
    plan = replace(plan_for(here, output_dir=view.output_dir), attempt=2)
    assert view.record is not None
    assert registry.launch(plan, view.record.resumed(plan), beside=True) == Refused("runs_already", {"run": view.name})
    assert registry.stop("id-r1", "kill") is None
    wait_for(lambda: not recorded_alive(look_json(view.paths.attempt(1).child)))
    row.note("RUNNING, stopped")


@fault("a copy of a run whose supervisor is dead", how="cp -a of the folder while the original trains", expected=(
    "the original runs; the copy is LOST"
))
def test_a_copy_is_not_the_run(workspace: Path, row: Row) -> None:
    handle = launch(new(workspace), plan_for(workspace, load=600))
    wait_ready(handle, "started")
    shim, _ = pids(handle)
    shutil.copytree(handle.paths.root, handle.paths.root.with_name("copy"))
    os.kill(shim, 9)
    registry = new(workspace)
    wait_for(lambda: not holder(handle.paths.attempt(1).lock))
    registry.refresh()
    states = {view.path.name: view.state for view in registry.snapshot()}
    assert states == {"r1": RunState.RUNNING, "copy": RunState.LOST}
    row.note("RUNNING; LOST")


@pytest.mark.parametrize("how", ["deleted", "moved"])
@fault(
    "the folder of a live run is deleted, or moved away, and the name used again", how="rm -rf, mv; then Start",
    expected="refused: its processes write to that place",
)
def test_the_name_of_a_live_run_is_used_again(workspace: Path, row: Row, how: str) -> None:
    registry = new(workspace)
    registry.queue.set_settings(QueueSettings(slots=8))
    handle = launch(registry, plan_for(workspace, load=600))
    wait_ready(handle, "started")
    shim, child = pids(handle)
    if how == "moved":
        handle.paths.root.rename(handle.paths.root.with_name("r2"))
    else:
        shutil.rmtree(handle.paths.root)
    plan = replace(plan_for(workspace), run_id="id-new")
    assert registry.launch(plan, record_for(plan)) == Refused("runs_already", {"run": "saves/m/lora/r1"})
    for pid in (shim, child):
        os.kill(pid, 9)
    wait_for(lambda: not alive(handle.paths))
    assert isinstance(registry.launch(plan, record_for(plan)), Launched)
    row.note("refused, then taken")


@fault("a run's folder is moved to a larger disk", how="mv, and a link in its place, while it trains", expected=(
    "within the allowed folders it is listed, holds its place, is stopped; else it is told"
))
def test_a_link_in_the_place_of_a_run(workspace: Path, row: Row) -> None:
    handle = launch(new(workspace), plan_for(workspace, **FOREVER))
    wait_ready(handle)
    outside, large = workspace.with_name("outside"), workspace / "large"
    handle.paths.root.rename(outside)
    handle.paths.root.symlink_to(outside)
    registry = new(workspace)
    registry.refresh()  # not read, since anybody can make a link; but told
    assert registry.snapshot() == () and list(registry.watcher.unseen) == [str(handle.paths.root)]
    handle.paths.root.unlink()
    outside.rename(large)
    handle.paths.root.symlink_to(large)
    registry = new(workspace)
    assert seen(registry).state is RunState.RUNNING
    plan = plan_for(workspace, name="r2")
    assert registry.launch(plan, record_for(plan)) == Refused("busy", {"code": "slots", "run": "r1"})
    assert registry.stop("id-r1", "kill") is None
    becomes(registry, RunState.STOPPED)
    row.note("RUNNING, stopped")


@fault("the supervisor is stopped, and Kill is clicked", how="SIGSTOP to it", expected="it is woken; nobody is left")
def test_kill_wakes_a_supervisor(workspace: Path, row: Row) -> None:
    registry = new(workspace)
    handle = launch(registry, plan_for(workspace, **FOREVER))
    wait_ready(handle)
    os.kill(pids(handle)[0], signal.SIGSTOP)
    assert registry.stop("id-r1", "kill") is None
    becomes(registry, RunState.STOPPED)
    assert alive(handle.paths) == 0
    row.note("STOPPED")


@pytest.mark.parametrize("content", [b"{", b"", b"\xff"], ids=["torn", "empty", "no text"])
@fault("run.json of a live run is spoiled", how="bytes in its place while it trains", expected=(
    "RUNNING by its control files, with the reason; holds its place; is stopped"
))
def test_a_live_run_without_a_record(workspace: Path, row: Row, content: bytes) -> None:
    handle = launch(new(workspace), plan_for(workspace, **FOREVER))
    wait_ready(handle)
    handle.paths.record.write_bytes(content)
    registry = new(workspace)
    view = seen(registry)
    assert view.state is RunState.RUNNING and "run.json cannot be read" in (view.error or "")
    plan = plan_for(workspace, name="r2")
    assert registry.launch(plan, record_for(plan)) == Refused("busy", {"code": "slots", "run": "r1"})
    assert registry.stop("id-r1", "graceful") is None
    assert becomes(registry, RunState.STOPPED).exit_code == 0
    row.note("RUNNING, STOPPED")


@fault("a job of another workspace lies in the queue", how="its file copied there; its attempt never began", expected=(
    "held; its folder is neither taken back nor deleted"
))
def test_a_job_of_another_workspace(workspace: Path, row: Row) -> None:
    victim, registry = workspace.with_name("victim"), new(workspace)
    victim.mkdir()
    there = new(victim)
    plan = plan_for(victim, name="r1")
    assert isinstance(there.enqueue(plan, record_for(plan, "local")), Queued)
    made = folder.make(plan, record_for(plan, "local"))
    assert isinstance(made, RunPaths)
    (made.root / "precious.bin").touch()
    registry.queue.jobs.folder.mkdir(parents=True)
    shutil.copy(there.queue.jobs.file("id-r1"), registry.queue.jobs.file("id-r1"))
    late = new(workspace, later=STARTUP_S + 1)
    own = plan_for(workspace, name="own", **FOREVER)
    assert isinstance(late.enqueue(own, record_for(own, "local")), Queued)  # so that there is work for its turn
    for _ in range(3):
        late.refresh()
        late.dispatcher.advance()
    assert seen(late, "id-own").state in (RunState.STARTING, RunState.RUNNING)
    assert (made.root / "precious.bin").exists() and late.queue.jobs.file("id-r1").exists()
    row.note("left alone")


# -- reads that fail ------------------------------------------------------------------------------------


@contextmanager
def unreadable(match: Callable[[str], bool], number: int) -> Iterator[list[str]]:
    """Every way to read what `match` says fails with an errno; the places that were asked for."""
    asked: list[str] = []

    def failing(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any = ".", *args: Any, **more: Any) -> Any:
            place = os.fspath(path) if isinstance(path, str | os.PathLike) else ""
            if match(str(place)):
                asked.append(str(place))
                raise OSError(number, os.strerror(number), place)
            return real(path, *args, **more)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((os, "open"), (os, "stat"), (os, "lstat"), (os, "scandir"), (os, "listdir"),
                             (builtins, "open")):
            patch.setattr(module, name, failing(getattr(module, name)))
        yield asked


PARTS = ("saves", "saves/m", "saves/m/lora", "live", "live/run.json", "live/exit.json", "live/attempts",
         "live/attempts/001/spec.json", "live/attempts/001/child.json", "live/attempts/001/lock")
ERRNOS = (errno.EIO, errno.ESTALE, errno.EMFILE)


@pytest.mark.parametrize("number", ERRNOS, ids=lambda number: errno.errorcode[number])
@pytest.mark.parametrize("part", PARTS)
@fault("a part of a live run cannot be read", how="every read of it fails", expected=(
    "its last view stays, marked; it keeps its place; nothing is started beside it; it is back when it can be read"
))
def test_a_live_run_that_cannot_be_read(workspace: Path, row: Row, part: str, number: int) -> None:
    registry = new(workspace)
    handle = launch(registry, plan_for(workspace, name="live", **FOREVER))
    wait_ready(handle)
    becomes(registry, RunState.RUNNING, "id-live")
    waiting = plan_for(workspace, name="next", steps=1)
    assert isinstance(registry.enqueue(waiting, record_for(waiting)), Queued)
    place = str(handle.paths.root.parent / part) if part.startswith("live") else str(workspace / part)
    with unreadable(lambda path: path == place, number) as asked:
        for everything in (True, False, True):
            registry.refresh(everything=everything)
            registry.dispatcher.advance()
            views = {view.name: view for view in registry.snapshot()}
            assert (views["live"].state, views["next"].state) == (RunState.RUNNING, RunState.QUEUED)
        assert asked
        if registry.watcher.unseen:
            beside = plan_for(workspace, name="beside", steps=1)
            refused = registry.launch(beside, record_for(beside))
            assert isinstance(refused, Refused) and refused.code == "busy"
    assert starts(RunPaths(workspace / "saves/m/lora/next")) == 0
    view = seen(registry, "id-live")
    assert (view.state, view.unseen, registry.watcher.unseen) == (RunState.RUNNING, None, {})
    assert registry.stop("id-live", "kill") is None
    becomes(registry, RunState.STOPPED, "id-live")
    row.note("RUNNING", faults=3)


@pytest.mark.parametrize("number", ERRNOS, ids=lambda number: errno.errorcode[number])
@fault("a run that nobody here has seen cannot be read", how="reads of its record fail in a new dashboard", expected=(
    "UNKNOWN, with the reason; nothing is started without being asked for; nothing is done to it"
))
def test_a_run_that_was_never_seen(workspace: Path, row: Row, number: int) -> None:
    handle = launch(new(workspace), plan_for(workspace, name="live", **FOREVER))
    wait_ready(handle)
    registry = new(workspace)
    with unreadable(lambda path: path == str(handle.paths.record), number):
        registry.refresh()
        (view,) = registry.snapshot()
        assert (view.state, view.unseen) == (RunState.UNKNOWN, os.strerror(number))
        plan = plan_for(workspace, name="r2", steps=1)
        refused = registry.launch(plan, record_for(plan))
        assert isinstance(refused, Refused) and (refused.code, refused.params["code"]) == ("busy", "unseen")
        for answer in (registry.archive.discard(view.run_id), registry.archive.rename(view.run_id, "r3")):
            assert isinstance(answer, Refused) and answer.code == "unseen"
        assert isinstance(registry.launch(plan, record_for(plan), beside=True), Launched)  # the user's own word
    assert seen(registry, "id-live").state is RunState.RUNNING
    row.note("UNKNOWN")


@fault("a run is lost and found", how="a lock that nobody holds for one look, and no process seen", expected=(
    "LOST for that look only: it is asked again each time"
))
def test_lost_is_never_kept(workspace: Path, row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    handle = launch(new(workspace), plan_for(workspace, **FOREVER))
    wait_ready(handle)
    registry = new(workspace)
    with monkeypatch.context() as patch:
        patch.setattr("lfdash.launchers.local.holder", lambda lock: 0)
        patch.setattr("lfdash.launchers.local.marked", lambda value: [])
        patch.setattr("lfdash.launchers.local.recorded_alive", lambda child, boot: [])
        assert seen(registry).state is RunState.LOST
    assert seen(registry).state is RunState.RUNNING
    row.note("LOST, then RUNNING")


@pytest.mark.parametrize("unknown", ["here", "there", "both"])
@fault("the boot id cannot be read", how="an empty one in the machine, in spec.json, or both", expected=(
    "RUNNING by its lock; stopped; never resumed beside"
))
def test_no_boot_id(workspace: Path, row: Row, unknown: str) -> None:
    none = MachineIdentity(boot_id=lambda: "")
    handle = launch(new(workspace, machine=none if unknown != "here" else None), plan_for(workspace, **FOREVER))
    wait_ready(handle)
    registry = new(workspace, machine=none if unknown != "there" else None)
    view = seen(registry)
    assert view.state is RunState.RUNNING
    registry.queue.set_settings(QueueSettings(slots=8))
    assert registry.launch(*resumption(view, 2)) == Refused("runs_already", {"run": "r1"})
    assert registry.stop("id-r1", "graceful") is None
    assert becomes(registry, RunState.STOPPED).exit_code == 0
    row.note("RUNNING, STOPPED")


# -- locks ----------------------------------------------------------------------------------------------


@fault("another dashboard holds the launch lock", how="its lock held by somebody who sleeps", expected=(
    "looks and Stop do not wait for it; what changes runs says so"
))
def test_stop_does_not_wait_for_a_lock(workspace: Path, row: Row) -> None:
    registry = new(workspace)
    handle = launch(registry, plan_for(workspace, **FOREVER))
    wait_ready(handle)
    done = threading.Event()
    with LaunchLock(private(workspace)).held():
        waits = threading.Thread(target=lambda: (registry.archive.discard("id-r2"), done.set()))
        waits.start()
        registry.refresh()
        assert registry.stop("id-r1", "kill") is None and not done.is_set()
        becomes(registry, RunState.STOPPED)
    waits.join()
    row.note("stopped meanwhile")
