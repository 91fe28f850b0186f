"""What starts when: order, devices, holding, restarts, two dashboards; with real processes where it says so."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lfdash.engine.registry import ProcessRegistry
from lfdash.jobs.resources import ResourceRequest
from lfdash.launchers import folder, table
from lfdash.launchers.base import Launched
from lfdash.launchers.fake import FakeLauncher
from lfdash.launchers.local import LocalLauncher
from lfdash.outcomes import Refused
from lfdash.queue.store import Queued, QueueSettings
from lfdash.runs.paths import marker
from lfdash.runs.plan import LaunchPlan
from lfdash.runs.record import RunState
from lfdash.runs.view import Reason
from lfdash.supervisor.processes import marked, send
from lfdash.workspace.allowed_paths import Roots
from tests.support import ROOT
from tests.support.bench import Bench, Machine
from tests.support.runs import ELSEWHERE, Elsewhere, launch, plan_for, record_for, wait_end, wait_for, wait_ready


@pytest.fixture
def bench(workspace: Path) -> Bench:
    return Bench(workspace)


# -- order ----------------------------------------------------------------------------------------------


def test_jobs_start_one_after_the_other_in_order(bench: Bench) -> None:
    added = [bench.add(name) for name in "abc"]
    assert [(one.position, one.starts) for one in added] == [(1, True), (2, False), (3, False)]
    assert bench.states == {"a": "QUEUED", "b": "QUEUED", "c": "QUEUED"}
    bench.tick()
    assert bench.states == {"a": "RUNNING", "b": "QUEUED", "c": "QUEUED"}
    assert bench.view("b").waiting.waits == Reason("slots", {"run": "a"})
    assert bench.view("b").waiting.position == 1
    bench.end("a", 1)  # a failed one does not block the others
    assert bench.states == {"a": "FAILED", "b": "RUNNING", "c": "QUEUED"}
    bench.end("b")
    bench.end("c")
    assert bench.states["c"] == "SUCCEEDED"
    assert list((bench.registry.workspace / ".lfdash" / "queue").glob("*.json")) == []


def test_more_slots_start_more(bench: Bench) -> None:
    assert bench.registry.queue.set_settings(QueueSettings(slots=2)) is None
    for name in "abc":
        bench.add(name)
    bench.tick()
    assert bench.states == {"a": "RUNNING", "b": "RUNNING", "c": "QUEUED"}


def test_a_job_of_another_workspace_or_llamafactory_becomes_one_of_this(bench: Bench) -> None:
    for name in "ab":
        bench.add(name)
    jobs, registry = bench.registry.queue.jobs, bench.registry
    entry = jobs.get("id-a")
    assert entry is not None
    registry.dispatcher._cli = entry.plan.argv[0]
    other = ("/venv/bin/llamafactory-cli", *entry.plan.argv[1:])
    foreign = replace(entry.plan, cwd="/w", argv=other, path="/venv/bin")
    jobs.write(replace(entry, plan=foreign, record=entry.record.with_last(argv=other)))
    registry.refresh()
    assert bench.view("a").waiting.held == Reason("other_workspace", {"path": "/w"})
    assert registry.dispatcher.requeue("id-a") is None
    registry.refresh()
    assert jobs.get("id-a") == entry and bench.view("a").waiting.position == 1
    jobs.write(replace(entry, plan=replace(foreign, unset=("PATH",)), record=entry.record.with_last(argv=other)))
    refused = registry.dispatcher.requeue("id-a")
    assert refused == Refused("never", {"code": "odd_job", "what": "unset: PATH"})
    second = jobs.get("id-b")
    assert second is not None
    same = replace(foreign, output_dir="saves/m/lora/b", argv=(other[0], *second.plan.argv[1:]), env=second.plan.env)
    jobs.write(replace(entry, plan=same, record=entry.record.with_last(argv=same.argv)))
    taken = registry.dispatcher.requeue("id-a")
    assert taken == Refused("exists", {"path": "saves/m/lora/b"})
    assert registry.dispatcher.requeue("id-nobody") == Refused("not_waiting")


def test_stop_cancels_a_job_that_waits(bench: Bench) -> None:
    bench.add("a")
    assert bench.registry.stop("id-a", "graceful") is None
    assert bench.states == {}
    bench.tick()
    assert not (bench.registry.workspace / "saves").exists()


def test_a_paused_queue_starts_nothing(bench: Bench) -> None:
    bench.registry.queue.set_settings(QueueSettings(paused=True))
    bench.add("a")
    bench.tick()
    assert bench.states == {"a": "QUEUED"} and bench.view("a").waiting.waits == Reason("paused")
    plan = plan_for(bench.registry.workspace, name="now")
    assert isinstance(bench.registry.launch(plan, record_for(plan)), Launched)  # Start is not the queue


def test_where_it_is_wanted_a_failure_holds_the_others(bench: Bench) -> None:
    bench.registry.queue.set_settings(QueueSettings(hold_on_failure=True))
    for name in "abc":
        bench.add(name)
    bench.tick()
    bench.end("a", 1)
    assert bench.states == {"a": "FAILED", "b": "HELD", "c": "HELD"}
    assert bench.view("b").waiting.held == Reason("after_failure", {"run": "a"})
    bench.registry.queue.release("id-b")
    bench.tick()
    assert bench.states["b"] == "RUNNING"
    bench.end("b", 0)
    assert bench.states["c"] == "HELD"


def test_start_does_not_overtake_the_queue_unless_told_to(bench: Bench) -> None:
    bench.add("a")
    plan = plan_for(bench.registry.workspace, name="now")
    outcome = bench.registry.launch(plan, record_for(plan))
    assert outcome == Refused("busy", {"code": "slots", "run": "a"})
    assert isinstance(bench.registry.launch(plan, record_for(plan), beside=True), Launched)
    bench.tick()
    assert bench.states == {"a": "QUEUED", "now": "RUNNING"}


# -- devices --------------------------------------------------------------------------------------------


def test_what_the_machine_has_not_is_refused_at_once(workspace: Path) -> None:
    bench = Bench(workspace, gpus=2)
    plan = plan_for(workspace)
    refused = Refused("never", {"code": "too_many", "asked": "3", "have": "2"})
    assert bench.registry.enqueue(plan, record_for(plan), ResourceRequest(count=3)) == refused
    assert bench.registry.launch(plan, record_for(plan), ResourceRequest(count=3)) == refused
    bench.add("a", ResourceRequest(("1",)))
    bench.machine.gpus = 1  # taken out while the job waits
    bench.tick()
    assert bench.states == {"a": "HELD"} and bench.view("a").waiting.held.code == "absent"


# -- launchers whose runs go on elsewhere ---------------------------------------------------------------


@pytest.fixture
def both(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A machine with one GPU, and a launcher whose runs go on elsewhere."""
    monkeypatch.setitem(table.TABLE, *ELSEWHERE)
    return Bench(workspace, gpus=1)


def test_a_run_elsewhere_has_no_device_of_this_machine(both: Bench) -> None:
    plan = plan_for(both.registry.workspace, name="there", env={"FORCE_TORCHRUN": "1"})
    outcome = both.registry.launch(plan, record_for(plan, "elsewhere"), ResourceRequest(count=8))
    assert isinstance(outcome, Launched)
    both.add("here", ResourceRequest(count=1))
    both.tick()
    assert both.states == {"there": "RUNNING", "here": "RUNNING"} and both.devices("here") == "0"
    last = both.view("there").record.last  # neither its GPUs nor its port were chosen here
    assert (last.devices, last.env) == (None, plan.env)


def test_a_job_elsewhere_waits_for_nothing_here(both: Bench) -> None:
    for name, launcher in (("a", ""), ("b", ""), ("there", "elsewhere"), ("named", "elsewhere")):
        both.add(name, ResourceRequest(("0",)) if name == "named" else None, launcher)
    both.tick()
    assert both.states == {"a": "RUNNING", "b": "QUEUED", "there": "RUNNING", "named": "RUNNING"}
    assert both.view("b").waiting.waits == Reason("run", {"gpu": "0", "run": "a"})
    launchers = {name: both.view(name).record.launcher for name in ("there", "a", "b")}
    assert launchers == {"there": "elsewhere", "a": "fake", "b": "fake"}  # decided when it was queued


def test_a_run_that_waits_elsewhere_waits_here_no_longer(both: Bench) -> None:
    both.add("there", launcher="elsewhere")
    both.registry.dispatcher.advance()
    both.registry.refresh()
    Elsewhere().put_off(both.handle("there"))
    both.registry.refresh()
    both.registry.dispatcher.advance()
    assert both.states == {"there": "STARTING"} and both.registry.queue.jobs.entries() == ()


# -- secrets, refusals ----------------------------------------------------------------------------------


def test_a_job_whose_token_is_gone_is_held_and_says_which(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SWANLAB_API_KEY", raising=False)
    bench = Bench(workspace)
    bench.registry.set_secret("SWANLAB_API_KEY", "hunter2")
    bench.add("a", secrets=("SWANLAB_API_KEY",))
    bench.add("b")
    for path in (workspace / ".lfdash").rglob("*"):
        assert path.is_dir() or "hunter2" not in path.read_text(), path
    after = Bench(workspace)
    after.tick()
    assert after.states == {"a": "HELD", "b": "RUNNING"}
    assert after.view("a").waiting.held == Reason("secret", {"name": "SWANLAB_API_KEY"})
    after.registry.set_secret("SWANLAB_API_KEY", "hunter3")
    after.end("b")
    assert after.states["a"] == "RUNNING" and after.fake.secrets == {"SWANLAB_API_KEY": "hunter3"}


def test_a_job_that_cannot_be_started_is_held_with_the_reason(bench: Bench) -> None:
    bench.add("a")
    bench.add("b")
    (bench.registry.workspace / "saves/m/lora/a").mkdir(parents=True)
    bench.tick()
    bench.tick()
    assert bench.states == {"a": "HELD", "b": "RUNNING"}
    assert bench.view("a").waiting.held == Reason("refused_exists", {"path": "saves/m/lora/a"})


# -- resume ---------------------------------------------------------------------------------------------


def test_a_resume_can_wait_and_keeps_the_run_where_it_is(bench: Bench) -> None:
    bench.add("a")
    bench.tick()
    bench.end("a", 1)
    before = bench.view("a")
    plan = replace(plan_for(bench.registry.workspace, name="a"), attempt=2)
    bench.add("b")
    bench.tick()
    outcome = bench.registry.enqueue(plan, before.record.resumed(plan))
    assert outcome == Queued("id-a", 1)
    view = bench.view("a")
    assert (view.state, view.attempt, view.path) == (RunState.QUEUED, 2, before.path)
    bench.registry.queue.cancel("id-a")
    assert bench.view("a").state is RunState.FAILED
    bench.registry.queue.take_back("id-a")
    bench.end("b")
    assert (bench.view("a").state, bench.view("a").attempt) == (RunState.RUNNING, 2)


# -- exactly once, across dashboards and restarts -------------------------------------------------------


def test_a_job_whose_dashboard_ended_while_it_started_starts_once(workspace: Path) -> None:
    bench = Bench(workspace)
    bench.add("a")
    (entry,) = bench.registry.queue.jobs.entries()
    assert not isinstance(folder.make(entry.plan, entry.record), Refused)  # ...and then it was killed
    after = Bench(workspace)
    assert [view.name for view in after.registry.snapshot()] == ["a"]  # once: as the run, not as the job too
    after.tick()
    assert after.states == {"a": "RUNNING"}
    assert after.registry.queue.jobs.entries() == ()


def test_a_run_of_which_nothing_was_started_waits_again(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the real launcher: the dashboard ended after the folder was made and before the shim was started."""
    monkeypatch.setattr("lfdash.launchers.local.STARTUP_S", 0.2)
    plan = plan_for(workspace, steps=1)
    registry = ProcessRegistry(workspace, LocalLauncher(), interval=0.05, look=Machine().look)
    registry.queue.set_settings(QueueSettings(paused=True))
    assert isinstance(registry.enqueue(plan, record_for(plan)), Queued)
    (entry,) = registry.queue.jobs.entries()
    assert not isinstance(folder.make(entry.plan, entry.record), Refused)
    registry.queue.set_settings(QueueSettings())
    registry.start()
    try:
        view = wait_end(registry, plan.run_id)
        wait_for(lambda: (found := registry.get(plan.run_id)) and found.state is RunState.SUCCEEDED)
        assert view.paths.console.read_text().count("started") == 1
        wait_for(lambda: registry.queue.jobs.entries() == ())
    finally:
        registry.close()


def test_two_dashboards_start_each_job_once(workspace: Path) -> None:
    fake = FakeLauncher()
    submitted: list[str] = []
    submit = fake.submit

    def counted(plan: LaunchPlan, *rest: object) -> Launched | Refused:
        outcome = submit(plan, *rest)  # type: ignore[arg-type]
        if isinstance(outcome, Launched):
            submitted.append(plan.run_id)
            fake.begin(outcome.handle)
        return outcome

    fake.submit = counted  # type: ignore[method-assign]
    dashboards = [ProcessRegistry(workspace, fake, interval=0.01, look=Machine().look) for _ in range(3)]
    dashboards[0].queue.set_settings(QueueSettings(slots=64))
    pairs = zip(dashboards, "xyz", strict=True)
    threads = [threading.Thread(target=enqueue_some, args=pair) for pair in pairs]
    for registry in dashboards:
        registry.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_for(lambda: len(submitted) >= 15)
    wait_for(lambda: all(registry.queue.jobs.entries() == () for registry in dashboards))
    for registry in dashboards:
        registry.close()
    assert sorted(submitted) == sorted(f"id-{mark}{n}" for mark in "xyz" for n in range(5))


def enqueue_some(registry: ProcessRegistry, mark: str) -> None:
    for number in range(5):
        plan = plan_for(registry.workspace, name=f"{mark}{number}")
        outcome = registry.enqueue(plan, record_for(plan))
        assert isinstance(outcome, Queued), outcome


DASHBOARD = """
import pathlib, sys
from lfdash.launchers.local import LocalLauncher
from lfdash.engine.registry import ProcessRegistry
registry = ProcessRegistry(pathlib.Path(sys.argv[1]), LocalLauncher(), interval=0.05)
registry.start()
print("up", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def dashboard(workspace: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process with a registry and no page."""
    process = subprocess.Popen(
        [sys.executable, "-c", DASHBOARD, str(workspace)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        cwd=ROOT, start_new_session=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    yield process
    process.kill()
    process.wait()


def test_the_queue_goes_on_in_the_next_dashboard_without_any_page(
    workspace: Path, dashboard: subprocess.Popen[str]
) -> None:
    """Real processes: the first dashboard is killed while a job runs and two wait."""
    watch = ProcessRegistry(workspace, LocalLauncher(), look=Machine().look)
    first = plan_for(workspace, name="a", load=600)
    for plan in (first, plan_for(workspace, name="b", steps=2), plan_for(workspace, name="c", steps=2)):
        assert isinstance(watch.enqueue(plan, record_for(plan)), Queued)

    def states() -> dict[str, str]:
        watch.refresh()
        return {view.name: view.state.name for view in watch.snapshot()}

    wait_for(lambda: states() == {"a": "RUNNING", "b": "QUEUED", "c": "QUEUED"})
    os.killpg(dashboard.pid, signal.SIGKILL)
    dashboard.wait()
    assert watch.stop("id-a", "kill") is None
    wait_for(lambda: states()["a"] == "STOPPED")
    assert states() == {"a": "STOPPED", "b": "QUEUED", "c": "QUEUED"}
    following = ProcessRegistry(workspace, LocalLauncher(), interval=0.05, look=Machine().look)
    following.start()
    try:
        for name in "bc":
            assert wait_end(following, f"id-{name}").state is RunState.SUCCEEDED or wait_for(
                lambda name=name: states()[name] == "SUCCEEDED"
            )
        begun = [json.loads((workspace / f"saves/m/lora/{n}/exit.json").read_text())["started"] for n in "bc"]
        assert begun == sorted(begun)
    finally:
        following.close()


def test_two_runs_at_once_each_see_their_own_gpu(workspace: Path) -> None:
    """Real processes: what the children find in their environment."""
    machine = Machine(gpus=2)
    registry = ProcessRegistry(workspace, LocalLauncher(), interval=0.05, look=machine.look)
    registry.start()
    try:
        handles = []
        for name in ("a", "b"):
            plan = plan_for(workspace, name=name, dump=True, steps=2000, delay=0.02)
            outcome = registry.launch(plan, record_for(plan), ResourceRequest(count=1))
            assert isinstance(outcome, Launched)
            handles.append(outcome.handle)
        for handle in handles:
            wait_ready(handle)
        seen = [json.loads((handle.paths.root / "env.json").read_text()) for handle in handles]
        assert [env["CUDA_VISIBLE_DEVICES"] for env in seen] == ["0", "1"]
        plan = plan_for(workspace, name="c")
        refused = Refused("busy", {"code": "short", "asked": "1", "free": "0", "who": "GPU 0: a; GPU 1: b"})
        assert registry.launch(plan, record_for(plan), ResourceRequest(count=1)) == refused
        for handle in handles:
            registry.stop(handle.run_id, "kill")
            wait_end(registry, handle.run_id)
    finally:
        registry.close()
        for handle in handles:
            send(marked(marker(handle.paths, handle.attempt)), signal.SIGKILL)


def test_a_launch_beside_others(workspace: Path) -> None:
    bench = Bench(workspace)
    launch(bench.registry, plan_for(workspace, name="a"))
    bench.tick()
    plan = plan_for(workspace, name="b")
    assert bench.registry.launch(plan, record_for(plan)) == Refused("busy", {"code": "slots", "run": "a"})
    assert isinstance(bench.registry.launch(plan, record_for(plan), beside=True), Launched)
    assert bench.states == {"b": "STARTING", "a": "RUNNING"}


# -- jobs that this dashboard must not start ------------------------------------------------------------


def test_a_job_whose_paths_lead_out_is_held_here_only(tmp_path: Path) -> None:
    """Another dashboard may have been started with other roots: nothing is written into the job's file."""
    workspace, outside = tmp_path / "workspace", tmp_path / "outside"
    workspace.mkdir()
    outside.mkdir()
    wide = ProcessRegistry(workspace, FakeLauncher(), roots=Roots.of(workspace, [outside]))
    plan = plan_for(workspace, output_dir=str(outside / "r1"))
    assert isinstance(wide.enqueue(plan, record_for(plan)), Queued)
    narrow = ProcessRegistry(workspace, FakeLauncher())
    for _ in range(2):
        narrow.dispatcher.advance()
        narrow.refresh()
    (view,) = narrow.snapshot()
    assert view.state is RunState.HELD and view.waiting is not None and view.waiting.held is not None
    assert view.waiting.held.code == "refused_outside"
    wide.dispatcher.advance()
    wide.refresh()
    assert [view.state for view in wide.snapshot()] == [RunState.STARTING]


def test_a_dashboard_for_looking_starts_no_job(workspace: Path) -> None:
    plan = plan_for(workspace)
    assert isinstance(ProcessRegistry(workspace, FakeLauncher()).enqueue(plan, record_for(plan)), Queued)
    registry = ProcessRegistry(workspace, FakeLauncher(), interval=0.01, starts_jobs=False)
    looks: list[bool] = []
    look = registry.refresh
    registry.refresh = lambda **more: (looks.append(True), look(**more))[1]  # type: ignore[method-assign]
    registry.start()
    try:
        wait_for(lambda: len(looks) > 20)
        assert [view.state for view in registry.snapshot()] == [RunState.QUEUED]
    finally:
        registry.close()
