"""The registry with real processes: how runs end, are stopped, are found again, are refused."""

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
from unittest import mock

import pytest

from lfdash.engine.registry import ProcessRegistry
from lfdash.launchers import table
from lfdash.launchers.base import Launched
from lfdash.launchers.fake import FakeLauncher
from lfdash.launchers.local import LocalLauncher
from lfdash.outcomes import Refused
from lfdash.queue.store import Queued
from lfdash.runs.alerts.settings import ADDRESS
from lfdash.runs.paths import marker
from lfdash.runs.record import RunRecord, RunState
from lfdash.runs.view import Reason, RunView
from lfdash.supervisor.processes import marked, send
from lfdash.supervisor.records import wished
from lfdash.workspace.allowed_paths import Roots
from tests.support import ROOT
from tests.support.many import add_run
from tests.support.runs import (
    ELSEWHERE,
    Elsewhere,
    launch,
    members,
    over,
    plan_for,
    record_for,
    shim_of,
    wait_end,
    wait_for,
    wait_ready,
)


@pytest.fixture
def registry(workspace: Path) -> Iterator[ProcessRegistry]:
    found = ProcessRegistry(workspace, LocalLauncher(), interval=0.05)
    found.start()
    yield found
    found.close()
    for view in found.snapshot():  # nothing may outlive a failed test
        send(marked(marker(view.paths, view.attempt)), signal.SIGKILL)


def state_of(registry: ProcessRegistry, run_id: str) -> RunState:
    view = registry.get(run_id)
    assert view is not None
    return view.state


def seen(registry: ProcessRegistry, run_id: str) -> RunState:
    """The state that a fresh look finds."""
    registry.refresh()
    return state_of(registry, run_id)


# -- how runs end ---------------------------------------------------------------------------------------


def test_a_run_that_ends_by_itself_succeeds_and_says_what_it_saved(registry: ProcessRegistry, workspace: Path) -> None:
    handle = launch(registry, plan_for(workspace, steps=3))
    view = wait_end(registry, handle.run_id)
    assert (view.state, view.exit_code, view.error) == (RunState.SUCCEEDED, 0, None)
    assert (view.saved.model, view.saved.step, view.progress.step, view.progress.total) == ("adapter", 3, 3, 3)
    assert view.progress.loss == pytest.approx(5.0 / 3)
    assert view.progress.elapsed_s is not None and 0 < view.progress.elapsed_s < 20
    assert view.record is not None and view.record.last.state is RunState.SUCCEEDED
    assert view.record.last.exit is not None and view.record.last.exit.code == 0
    assert members(handle) == []
    shim = shim_of(registry, handle)
    wait_for(lambda: shim.returncode is not None)  # reaped by the registry: no zombie stays


@pytest.mark.parametrize(
    ("fail", "code", "error"),
    [
        ("error", 1, "ValueError: Undefined dataset nope in dataset_info.json."),
        ("exit:3", 3, "no traceback here"),
        ("segfault", -signal.SIGSEGV, "Segmentation fault (SIGSEGV)"),
    ],
)
def test_a_run_that_fails_says_why(
    registry: ProcessRegistry, workspace: Path, fail: str, code: int, error: str
) -> None:
    view = wait_end(registry, launch(registry, plan_for(workspace, fail=fail)).run_id)
    assert (view.state, view.exit_code, view.error) == (RunState.FAILED, code, error)
    assert view.saved.model is None


def test_a_cli_that_cannot_be_executed_fails_with_127(registry: ProcessRegistry, workspace: Path) -> None:
    cli = workspace / "broken-cli"
    cli.write_text("#!/no/such/interpreter\n")
    cli.chmod(0o755)
    view = wait_end(registry, launch(registry, plan_for(workspace, cli=str(cli))).run_id)
    assert (view.state, view.exit_code) == (RunState.FAILED, 127)
    assert view.error is not None and view.error.startswith("FileNotFoundError")


def test_a_process_that_the_run_leaves_behind_is_swept(registry: ProcessRegistry, workspace: Path) -> None:
    handle = launch(registry, plan_for(workspace, steps=1, leftover=1))
    view = wait_end(registry, handle.run_id)
    assert view.state is RunState.SUCCEEDED
    assert view.record is not None and json.loads(handle.paths.exit.read_text())["leftovers"] == 1
    assert members(handle) == []


def test_a_process_that_forks_without_pause_is_swept(registry: ProcessRegistry, workspace: Path) -> None:
    handle = launch(registry, plan_for(workspace, load=600, storm=True))
    wait_ready(handle, "started")
    wait_for(lambda: len(members(handle)) >= 2)
    registry.stop(handle.run_id, "kill")
    assert wait_end(registry, handle.run_id).state is RunState.STOPPED
    assert [members(handle) for _ in range(20)] == [[]] * 20


def test_the_child_gets_the_plans_environment_the_secret_and_nothing_that_was_unset(
    registry: ProcessRegistry, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_RANK", "3")
    monkeypatch.setenv("USE_V1", "1")
    monkeypatch.setenv(ADDRESS, "json://alerts.example.com/secret")  # is the dashboard's own
    registry.set_secret("SWANLAB_API_KEY", "hunter2")
    plan = plan_for(workspace, dump=True, env={"CUDA_VISIBLE_DEVICES": "1"}, secrets=("SWANLAB_API_KEY",))
    handle = launch(registry, plan)
    wait_end(registry, handle.run_id)
    seen = json.loads((handle.paths.root / "env.json").read_text())
    assert seen["CUDA_VISIBLE_DEVICES"] == "1" and seen["SWANLAB_API_KEY"] == "hunter2"
    assert seen["LLAMABOARD_ENABLED"] == "1" and seen["LLAMABOARD_WORKDIR"] == "saves/m/lora/r1"
    assert seen.keys().isdisjoint({"LOCAL_RANK", "USE_V1", ADDRESS})
    # torchrun is found beside the CLI, whose environment need not be activated
    assert seen["PATH"] == f"{Path(plan.argv[0]).parent}{os.pathsep}{os.environ['PATH']}"
    (handle.paths.root / "env.json").unlink()
    for name, _, _ in [*handle.paths.listing(), ("attempts/001/spec.json", 0, 0)]:
        assert "hunter2" not in (handle.paths.root / name).read_text(), name


# -- stopping -------------------------------------------------------------------------------------------


def test_a_graceful_stop_saves_at_its_step_and_is_stopped(registry: ProcessRegistry, workspace: Path) -> None:
    handle = launch(registry, plan_for(workspace, steps=2000, delay=0.02))
    wait_for(lambda: (view := registry.get(handle.run_id)) and (view.progress.step or 0) >= 3)
    assert state_of(registry, handle.run_id) is RunState.RUNNING
    assert registry.stop(handle.run_id, "graceful") is None
    stopping = registry.get(handle.run_id)
    assert stopping is not None and stopping.state in (RunState.STOPPING, RunState.STOPPED)
    view = wait_end(registry, handle.run_id)
    assert (view.state, view.exit_code, view.saved.model) == (RunState.STOPPED, 0, "adapter")
    assert view.saved.step is not None and 3 <= view.saved.step < 2000
    assert members(handle) == []
    assert registry.stop(handle.run_id, "kill") == Refused("not_running")
    assert view.record is not None
    assert view.record.last.stop == "graceful" and view.record.last.state is RunState.STOPPED


def test_a_stop_before_anybody_handles_it_terminates(registry: ProcessRegistry, workspace: Path) -> None:
    handle = launch(registry, plan_for(workspace, load=600))
    wait_ready(handle, "started")
    registry.stop(handle.run_id, "graceful")
    view = wait_end(registry, handle.run_id)
    assert (view.state, view.exit_code, view.saved.model) == (RunState.STOPPED, -signal.SIGTERM, None)


def test_a_wish_that_came_too_late_is_a_success(registry: ProcessRegistry, workspace: Path) -> None:
    handle = launch(registry, plan_for(workspace, steps=2, evaluation=1.5))
    wait_for(lambda: (view := registry.get(handle.run_id)) and view.progress.step == 2)
    registry.stop(handle.run_id, "graceful")
    stopping = registry.get(handle.run_id)
    assert stopping is not None and stopping.awaiting == "evaluation"
    view = wait_end(registry, handle.run_id)
    assert view.state is RunState.SUCCEEDED
    assert view.record is not None and json.loads(handle.paths.exit.read_text())["stop"] == ["graceful"]


def test_a_stubborn_tree_is_stopping_until_it_is_killed(registry: ProcessRegistry, workspace: Path) -> None:
    handle = launch(registry, plan_for(workspace, stubborn=True))
    wait_ready(handle)
    wait_ready(handle, "child ready", 2)
    assert len(members(handle)) == 3
    registry.stop(handle.run_id, "graceful")
    wait_for(lambda: wished(str(handle.paths.attempt(1).root)) == "graceful")
    registry.stop(handle.run_id, "term")
    view = registry.get(handle.run_id)
    assert view is not None and (view.state, view.awaiting) == (RunState.STOPPING, "term")
    assert len(members(handle)) == 3
    registry.stop(handle.run_id, "kill")
    view = wait_end(registry, handle.run_id)
    assert (view.state, view.exit_code) == (RunState.STOPPED, -signal.SIGKILL)
    assert members(handle) == []


def test_of_a_torchrun_like_tree_only_the_ranks_are_asked(registry: ProcessRegistry, workspace: Path) -> None:
    handle = launch(registry, plan_for(workspace, ranks=2, steps=2000, delay=0.02))
    wait_ready(handle, "ready", 2)
    registry.stop(handle.run_id, "graceful")
    view = wait_end(registry, handle.run_id)
    assert (view.state, view.exit_code, view.saved.model) == (RunState.STOPPED, 0, "adapter")


def test_a_softer_wish_does_not_take_a_harder_one_back(registry: ProcessRegistry, workspace: Path) -> None:
    handle = launch(registry, plan_for(workspace, stubborn=True))
    wait_ready(handle)
    registry.stop(handle.run_id, "term")
    assert registry.stop(handle.run_id, "graceful") is None
    assert handle.paths.attempt(1).read_wish() == "term"
    registry.stop(handle.run_id, "kill")
    wait_end(registry, handle.run_id)


# -- without a dashboard, without a shim ----------------------------------------------------------------

OTHER = """
import json, sys, pathlib
from lfdash.launchers.local import LocalLauncher
from lfdash.engine.registry import ProcessRegistry
from tests.support.runs import launch, plan_for
registry = ProcessRegistry(pathlib.Path(sys.argv[1]), LocalLauncher())
launch(registry, plan_for(registry.workspace, **json.loads(sys.argv[2])))
print("launched", flush=True)
sys.stdin.read()
"""


def launch_elsewhere(workspace: Path, **args: object) -> subprocess.Popen[str]:
    """Another dashboard process, which started a run and waits."""
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER, str(workspace), json.dumps(args)], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True,
        start_new_session=True, cwd=ROOT,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "launched\n"
    return process


def test_a_run_survives_its_dashboard_and_the_next_one_learns_how_it_ended(workspace: Path) -> None:
    other = launch_elsewhere(workspace, steps=40, delay=0.05)
    os.killpg(other.pid, signal.SIGKILL)
    other.wait()
    registry = ProcessRegistry(workspace, LocalLauncher(), interval=0.05)
    registry.start()
    try:
        assert state_of(registry, "id-r1") in (RunState.STARTING, RunState.RUNNING)
        refused = registry.launch(plan := plan_for(workspace, name="r2"), record_for(plan))
        assert refused == Refused("busy", {"code": "slots", "run": "r1"})
        view = wait_end(registry, "id-r1")
        assert (view.state, view.exit_code, view.progress.step) == (RunState.SUCCEEDED, 0, 40)
    finally:
        registry.close()


def test_an_adopted_run_that_fails_tells_its_exit_code(workspace: Path) -> None:
    other = launch_elsewhere(workspace, fail="exit:9")
    other.kill()
    other.wait()
    registry = ProcessRegistry(workspace, LocalLauncher())
    wait_for(lambda: seen(registry, "id-r1") is RunState.FAILED)
    view = registry.get("id-r1")
    assert view is not None and (view.exit_code, view.error) == (9, "no traceback here")


def test_an_adopted_run_can_be_stopped_the_moment_it_is_found(workspace: Path) -> None:
    other = launch_elsewhere(workspace, load=600)
    registry = ProcessRegistry(workspace, LocalLauncher())
    registry.refresh()
    assert registry.stop("id-r1", "graceful") is None
    wait_for(lambda: seen(registry, "id-r1") is not RunState.STOPPING)
    assert state_of(registry, "id-r1") is RunState.STOPPED
    other.kill()
    other.wait()


def kill_shim(registry: ProcessRegistry, run_id: str, paths: Path) -> None:
    child = wait_for(lambda: json.loads(paths.read_text()) if paths.exists() else None)
    os.kill(child["shim"], signal.SIGKILL)


def test_a_run_whose_shim_was_killed_goes_on_and_is_never_a_success_by_itself(
    registry: ProcessRegistry, workspace: Path
) -> None:
    handle = launch(registry, plan_for(workspace, stubborn=True))
    wait_ready(handle, "child ready", 2)
    kill_shim(registry, handle.run_id, handle.paths.attempt(1).child)
    wait_for(lambda: shim_of(registry, handle).poll() is not None)
    registry.refresh()
    assert state_of(registry, handle.run_id) is RunState.RUNNING
    assert len(members(handle)) == 3
    for pid in members(handle):
        os.kill(pid, signal.SIGKILL)
    view = wait_end(registry, handle.run_id)
    assert (view.state, view.exit_code) == (RunState.LOST, None)


def test_a_run_whose_shim_was_killed_can_still_be_killed(registry: ProcessRegistry, workspace: Path) -> None:
    handle = launch(registry, plan_for(workspace, stubborn=True))
    wait_ready(handle, "child ready", 2)
    kill_shim(registry, handle.run_id, handle.paths.attempt(1).child)
    wait_for(lambda: shim_of(registry, handle).poll() is not None)
    assert registry.stop(handle.run_id, "kill") is None
    view = wait_end(registry, handle.run_id)
    assert (view.state, view.exit_code) == (RunState.STOPPED, None)
    assert members(handle) == []


def test_a_run_whose_shim_was_killed_can_still_be_asked_to_save(registry: ProcessRegistry, workspace: Path) -> None:
    handle = launch(registry, plan_for(workspace, steps=2000, delay=0.02))
    wait_ready(handle)
    kill_shim(registry, handle.run_id, handle.paths.attempt(1).child)
    wait_for(lambda: shim_of(registry, handle).poll() is not None)
    assert registry.stop(handle.run_id, "graceful") is None
    view = wait_end(registry, handle.run_id)
    assert (view.state, view.exit_code, view.saved.model) == (RunState.STOPPED, None, "adapter")


def test_results_on_disk_tell_how_a_run_ended_whose_shim_was_killed(registry: ProcessRegistry, workspace: Path) -> None:
    handle = launch(registry, plan_for(workspace, steps=60, delay=0.02))
    kill_shim(registry, handle.run_id, handle.paths.attempt(1).child)
    view = wait_end(registry, handle.run_id)
    assert (view.state, view.exit_code, view.saved.model) == (RunState.SUCCEEDED, None, "adapter")


def test_an_exit_record_of_an_older_attempt_ends_nothing(workspace: Path) -> None:
    fake = FakeLauncher()
    registry = ProcessRegistry(workspace, fake)
    handle = launch(registry, plan_for(workspace))
    fake.begin(handle)
    handle.paths.exit.write_text(json.dumps({"run_id": handle.run_id, "attempt": 0, "code": 0}))
    registry.refresh()
    assert state_of(registry, handle.run_id) is RunState.RUNNING


# -- launchers ------------------------------------------------------------------------------------------


def test_a_run_belongs_to_the_launcher_that_its_record_names(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(table.TABLE, *ELSEWHERE)
    registry = ProcessRegistry(workspace, LocalLauncher())
    plan = plan_for(workspace)
    outcome = registry.launch(plan, record_for(plan, "elsewhere"))
    assert isinstance(outcome, Launched)
    assert RunRecord.from_json(outcome.handle.paths.record.read_text()).launcher == "elsewhere"
    other = Elsewhere()
    other.put_off(outcome.handle)  # it waits for its turn there
    assert seen(registry, plan.run_id) is RunState.STARTING
    other.begin(outcome.handle)
    assert seen(registry, plan.run_id) is RunState.RUNNING
    later = ProcessRegistry(workspace, LocalLauncher())  # a new dashboard, which starts runs by another launcher
    assert seen(later, plan.run_id) is RunState.RUNNING
    assert later.stop(plan.run_id, "graceful") is None
    assert other.poll(outcome.handle).wish == "graceful"
    other.end(outcome.handle, 0)
    assert seen(later, plan.run_id) is seen(registry, plan.run_id) is RunState.STOPPED


def test_a_run_whose_launcher_is_not_known_is_said_to_be_so_and_never_signalled(
    registry: ProcessRegistry, workspace: Path
) -> None:
    handle = launch(registry, plan_for(workspace, steps=100_000, delay=0.02))
    wait_ready(handle)
    record = RunRecord.from_json(handle.paths.record.read_text())
    handle.paths.record.write_text(replace(record, launcher="slurm").to_json())
    other = ProcessRegistry(workspace, LocalLauncher())
    other.refresh()
    view = other.get(handle.run_id)
    assert view is not None and (view.state, view.lost, view.exit_code) == (RunState.LOST, "launcher", None)
    for level in ("graceful", "term", "kill"):
        assert other.stop(handle.run_id, level) == Refused("launcher_unknown", {"name": "slurm"})  # type: ignore[arg-type]
    assert other.archive.discard(handle.run_id) == Refused("alive", {"run": "r1"})  # it may go on, and it does
    assert handle.paths.attempt(1).read_wish() is None and len(members(handle)) == 1
    assert RunRecord.from_json(handle.paths.record.read_text()).last.state is RunState.STARTING  # nothing was noted
    handle.paths.record.write_text(record.to_json())
    assert seen(other, handle.run_id) is RunState.RUNNING
    assert other.stop(handle.run_id, "kill") is None
    wait_for(lambda: seen(other, handle.run_id) is RunState.STOPPED)


def test_nothing_is_started_by_a_launcher_that_is_not_known(workspace: Path) -> None:
    registry = ProcessRegistry(workspace, FakeLauncher())
    plan = plan_for(workspace)
    refused = Refused("launcher_unknown", {"name": "slurm"})
    assert registry.launch(plan, record_for(plan, "slurm")) == refused
    assert isinstance(registry.enqueue(plan, record_for(plan, "slurm")), Queued)
    registry.refresh()
    registry.dispatcher.advance()
    registry.refresh()
    view = registry.get(plan.run_id)
    assert view is not None and view.waiting is not None
    assert view.waiting.held == Reason("refused_launcher_unknown", {"name": "slurm"})
    assert not (workspace / "saves").exists()


# -- refusals -------------------------------------------------------------------------------------------


def test_a_second_launch_is_refused_while_one_is_alive(registry: ProcessRegistry, workspace: Path) -> None:
    handle = launch(registry, plan_for(workspace, load=600))
    second = plan_for(workspace, name="r2")
    assert registry.launch(second, record_for(second)) == Refused("busy", {"code": "slots", "run": "r1"})
    assert not (workspace / "saves/m/lora/r2").exists()
    registry.stop(handle.run_id, "kill")
    wait_end(registry, handle.run_id)
    assert isinstance(registry.launch(second, record_for(second)), Launched)
    wait_end(registry, "id-r2")


def test_of_many_launches_at_once_one_wins(workspace: Path) -> None:
    fake = FakeLauncher()
    outcomes: list[object] = []
    registries = [ProcessRegistry(workspace, fake) for _ in range(6)]
    plan = plan_for(workspace)
    threads = [
        threading.Thread(target=lambda r=registry: outcomes.append(r.launch(plan, record_for(plan))))
        for registry in registries
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(outcome, Launched) for outcome in outcomes) == 1
    assert sum(outcome == Refused("exists", {"path": plan.output_dir}) for outcome in outcomes) == 5


def test_an_existing_folder_is_never_entered(registry: ProcessRegistry, workspace: Path) -> None:
    plan = plan_for(workspace)
    taken = workspace / plan.output_dir
    taken.mkdir(parents=True)
    assert registry.launch(plan, record_for(plan)) == Refused("exists", {"path": plan.output_dir})
    assert list(taken.iterdir()) == []


@pytest.mark.parametrize("output_dir", ["..", "saves/../../x", "../x"])
def test_an_output_outside_is_refused(registry: ProcessRegistry, workspace: Path, output_dir: str) -> None:
    plan = plan_for(workspace, output_dir=output_dir)
    outcome = registry.launch(plan, record_for(plan))
    assert isinstance(outcome, Refused) and outcome.code in ("outside", "no_output")
    assert not (workspace.parent / "x").exists()


@pytest.mark.parametrize("key", ["", "export_dir", "cache_dir", "logging_dir", "tokenized_path"])
def test_nothing_is_written_through_a_link_that_leads_out(
    registry: ProcessRegistry, workspace: Path, tmp_path: Path, key: str
) -> None:
    (tmp_path / "outside").mkdir()
    (workspace / "saves" / "m").mkdir(parents=True)
    (workspace / "saves" / "m" / "lora").symlink_to(tmp_path / "outside")
    link = "saves/m/lora/r1"
    plan = plan_for(workspace, output_dir=None if not key else "saves/n/lora/r1", **({key: link} if key else {}))
    for outcome in (registry.launch(plan, record_for(plan)), registry.enqueue(plan, record_for(plan))):
        assert isinstance(outcome, Refused) and outcome.code == "outside"
    other = replace(plan, output_dir="saves/n/lora/r1", files={"training_args.yaml": f"output_dir: {link}\n"})
    assert registry.launch(other, record_for(other)) == Refused("outside", {"path": link})
    assert list((tmp_path / "outside").iterdir()) == [] and not (workspace / "saves/n").exists()


def test_a_link_that_was_put_there_while_a_job_waited_is_not_followed(workspace: Path, tmp_path: Path) -> None:
    registry = ProcessRegistry(workspace, FakeLauncher())
    first, second = plan_for(workspace), plan_for(workspace, name="r2", output_dir="saves/n/lora/r2")
    launch(registry, first)
    assert isinstance(registry.enqueue(second, record_for(second)), Queued)
    (tmp_path / "outside").mkdir()
    (workspace / "saves" / "n").symlink_to(tmp_path / "outside")
    outcome = registry.dispatcher.start_now("id-r2")
    assert isinstance(outcome, Refused) and outcome.code == "outside"
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_missing_cli_a_missing_secret_and_an_unknown_run_are_refused(
    registry: ProcessRegistry, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_for(workspace, cli="/no/such/llamafactory-cli")
    assert registry.launch(plan, record_for(plan)) == Refused("cli_missing", {"path": "/no/such/llamafactory-cli"})
    monkeypatch.delenv("SWANLAB_API_KEY", raising=False)
    plan = plan_for(workspace, secrets=("SWANLAB_API_KEY",))
    assert registry.launch(plan, record_for(plan)) == Refused("secret_missing", {"name": "SWANLAB_API_KEY"})
    plan = plan_for(workspace, output_dir="saves/m/lora/two words", env={"FORCE_TORCHRUN": "1"})
    assert registry.launch(plan, record_for(plan)) == Refused("space", {"path": "saves/m/lora/two words"})
    assert registry.stop("nobody", "kill") == Refused("unknown")
    assert not (workspace / "saves").exists()


def test_a_secret_is_known_by_name_only(registry: ProcessRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SWANLAB_API_KEY", raising=False)
    assert not registry.secret_store.get("SWANLAB_API_KEY")
    registry.set_secret("SWANLAB_API_KEY", "x")
    assert registry.secret_store.get("SWANLAB_API_KEY")
    registry.set_secret("SWANLAB_API_KEY", "")
    assert not registry.secret_store.get("SWANLAB_API_KEY")
    monkeypatch.setenv("SWANLAB_API_KEY", "y")
    assert registry.secret_store.get("SWANLAB_API_KEY")


def test_runs_outside_saves_are_found_again(workspace: Path, tmp_path: Path) -> None:
    fake = FakeLauncher()
    roots = Roots.of(workspace, [tmp_path / "disk"])
    starting = ProcessRegistry(workspace, fake, roots=roots)
    handle = launch(starting, plan_for(workspace, output_dir=str(tmp_path / "disk" / "r1")))
    fake.begin(handle)
    registry = ProcessRegistry(workspace, fake)
    registry.refresh()
    views: tuple[RunView, ...] = registry.snapshot()
    assert [(view.run_id, view.path, view.state) for view in views] == [
        ("id-r1", tmp_path / "disk" / "r1", RunState.RUNNING)
    ]


def test_one_odd_folder_does_not_end_the_thread(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeLauncher()
    registry = ProcessRegistry(workspace, fake, interval=0.01)
    handle = launch(registry, plan_for(workspace))
    failures = []

    def broken(_handle: object) -> None:
        failures.append(1)
        raise RuntimeError("odd")

    registry.start()
    with monkeypatch.context() as patch:
        patch.setattr(fake, "poll", broken)
        wait_for(lambda: len(failures) >= 2)
    fake.end(handle, 0)
    assert wait_end(registry, handle.run_id).state is RunState.SUCCEEDED
    registry.close()


def test_a_run_that_was_deleted_renamed_or_resumed_meanwhile_is_not_resumed(workspace: Path) -> None:
    """Whoever planned the next attempt looked at the run a while ago: a stale tab, another shell."""
    registry, _, handle = over(workspace)
    view = registry.get(handle.run_id)
    assert view is not None and view.record is not None
    plan = replace(plan_for(workspace), attempt=2)
    renamed = registry.archive.rename(handle.run_id, "other")
    assert isinstance(renamed, RunView)
    assert registry.launch(plan, view.record.resumed(plan)) == Refused("unknown")
    assert not view.path.exists()
    assert isinstance(registry.archive.rename(handle.run_id, "r1"), RunView)
    assert isinstance(registry.launch(plan, view.record.resumed(plan)), Launched)
    runs_already = Refused("runs_already", {"run": "r1"})
    assert registry.launch(replace(plan, attempt=3), view.record.resumed(plan)) == runs_already
    assert registry.launch(plan, view.record.resumed(plan)) == runs_already
    assert [path.name for path in (view.path / "attempts").iterdir() if path.name == "003"] == []


def test_a_second_attempt_lives_in_the_same_folder(workspace: Path) -> None:
    registry, fake, handle = over(workspace)
    view = registry.get(handle.run_id)
    assert view is not None and view.record is not None and view.state is RunState.FAILED
    plan = replace(plan_for(workspace), attempt=view.paths.next_attempt())
    plan = replace(plan, files={"training_args.yaml": "resumed: true\n"})
    outcome = registry.launch(plan, view.record.resumed(plan))
    assert isinstance(outcome, Launched)
    view = registry.get(handle.run_id)
    assert view is not None and (view.state, view.attempt) == (RunState.STARTING, 2)  # the old exit ends nothing
    assert view.paths.training_args.read_text() == "resumed: true\n"
    fake.begin(outcome.handle)
    fake.end(outcome.handle, 0)
    registry.refresh()
    view = registry.get(handle.run_id)
    assert view is not None and view.record is not None
    assert [attempt.exit.code for attempt in view.record.attempts if attempt.exit] == [1, 0]
    assert [path.name for path in sorted((view.path / "attempts").iterdir())] == ["001", "002"]


def test_the_same_attempt_is_started_once(workspace: Path) -> None:
    registry, _, handle = over(workspace)
    view = registry.get(handle.run_id)
    assert view is not None and view.record is not None
    plan = replace(plan_for(workspace), attempt=1 + view.attempt)
    view.paths.attempt(2).root.mkdir()
    before = view.paths.record.read_text()
    outcome = registry.launch(plan, view.record.resumed(plan))
    assert isinstance(outcome, Refused) and outcome.code == "exists"
    assert view.paths.record.read_text() == before


def test_a_run_that_another_process_made_is_found_when_it_is_searched_for(workspace: Path) -> None:
    registry = ProcessRegistry(workspace, FakeLauncher(), interval=3600)
    registry.start()
    try:
        add_run(workspace, "late")
        registry.refresh(everything=False)
        assert registry.get("id-late") is None
        registry.search()
        assert registry.get("id-late") is not None
        with mock.patch.object(registry.watcher, "look") as look:
            registry.search()  # again at once: by somebody whose run is nowhere
        look.assert_not_called()
    finally:
        registry.close()
