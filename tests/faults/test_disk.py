"""The disk is full, read-only or fails: a launch leaves nothing behind, a run that lives keeps its end."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from lfdash.launchers.base import Launched
from lfdash.outcomes import Refused
from lfdash.queue.store import Queued
from lfdash.runs.record import RunState
from lfdash.supervisor.failpoints import POINTS, VARIABLE
from tests.faults.dashboards import Zygote
from tests.faults.runs import becomes, new, over, pids, seen, started, starts
from tests.faults.table import Row, fault
from tests.support import app
from tests.support.models import pretend_model
from tests.support.runs import fake_cli, launch, members, plan_for, record_for, wait_for, wait_ready

ERRORS = {"ENOSPC": "disk", "EDQUOT": "disk", "EROFS": "readonly", "EACCES": "readonly", "EIO": "start_failed"}
BUILDING = [point for point in POINTS if point.startswith("folder.") and point != "folder.after_rename"]


def tree(root: Path) -> dict[str, bytes]:
    """Every file below a folder, without locks and what the dashboard keeps of its own."""
    files = [path for path in root.rglob("*") if path.is_file() and ".lfdash" not in path.parts]
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def fill(root: Path) -> Path:
    """Fills a small file system to its last block; the file to remove to make room again."""
    filler = root / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (4096, 512, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
    return filler


# -- launching ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("point", [*BUILDING, "launch.checked", "launch.before_popen"])
@fault(
    "the disk fails while a run is started", how="an injected error at each point that writes",
    expected="refused with the cause, nothing left behind; once it works again the same run starts",
)
def test_an_error_while_starting(
    workspace: Path, row: Row, monkeypatch: pytest.MonkeyPatch, point: str, name: str
) -> None:
    registry = new(workspace)
    plan = plan_for(workspace, steps=1)
    with monkeypatch.context() as patch:
        patch.setenv(VARIABLE, f"{point}=error:{name}")
        outcome = registry.launch(plan, record_for(plan))
    expected = ERRORS[name]
    assert isinstance(outcome, Refused) and outcome.code == expected, outcome
    assert tree(workspace) == {} and not list(workspace.rglob("r1")) and seen_none(registry)
    assert isinstance(registry.launch(plan, record_for(plan)), Launched)
    assert becomes(registry, RunState.SUCCEEDED).exit_code == 0
    row.note(f"{name}: refused as {outcome.code}, nothing left")


def seen_none(registry: object) -> bool:
    registry.refresh()  # type: ignore[attr-defined]
    return registry.snapshot() == ()  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("name", ["ENOSPC", "EROFS"])
@pytest.mark.parametrize("point", [*(p for p in POINTS if p.startswith("resume.")), "launch.before_popen"])
@fault(
    "the disk fails while a run is resumed", how="an injected error at each point that writes",
    expected="refused; the run's end is told as before, and it can be resumed afterwards",
)
def test_an_error_while_resuming(
    workspace: Path, row: Row, monkeypatch: pytest.MonkeyPatch, point: str, name: str
) -> None:
    launch(new(workspace), plan_for(workspace, fail="exit:3"))
    registry = new(workspace)
    (view,) = over(registry)
    assert view.record is not None
    plan = replace(plan_for(workspace, steps=1), attempt=2)
    with monkeypatch.context() as patch:
        patch.setenv(VARIABLE, f"{point}=error:{name}")
        outcome = registry.launch(plan, view.record.resumed(plan))
    assert isinstance(outcome, Refused) and outcome.code in ("disk", "readonly", "start_failed")
    (again,) = over(new(workspace))
    assert (again.state, again.exit_code, again.attempt) == (RunState.FAILED, 3, 1)
    registry.refresh()
    assert isinstance(registry.launch(plan, view.record.resumed(plan)), Launched)
    view = becomes(registry, RunState.SUCCEEDED)
    assert (view.exit_code, view.attempt, starts(view.paths)) == (0, 2, 2)
    row.note(f"{name}: refused as {outcome.code}; FAILED, 3 stays; resumed")


@fault(
    "disk full during a launch", how="a file system of 1 MB, filled, while another run trains",
    expected="refused (disk), nothing left behind; the run that trains is unharmed",
)
def test_a_full_disk_while_starting(small_disk: Path, row: Row) -> None:
    registry = new(small_disk)
    cli = fake_cli(small_disk)
    handle = launch(registry, plan_for(small_disk, cli=cli, load=600))
    wait_ready(handle, "started")
    filler = fill(small_disk)
    plan = plan_for(small_disk, name="r2", cli=cli)
    registry.queue.jobs.folder.mkdir(exist_ok=True)
    outcome = registry.launch(plan, record_for(plan), beside=True)
    assert isinstance(outcome, Refused) and outcome.code == "disk", outcome
    assert [path.name for path in handle.paths.root.parent.iterdir()] == ["r1"]
    queued = registry.enqueue(plan, record_for(plan))
    assert isinstance(queued, Refused) and queued.code == "disk"
    assert seen(registry).state is RunState.RUNNING
    filler.unlink()
    assert isinstance(registry.enqueue(plan, record_for(plan)), Queued)
    assert registry.stop(handle.run_id, "kill") is None
    assert becomes(registry, RunState.STOPPED).exit_code == -9
    row.note("refused (disk), also for the queue; STOPPED, -9")


# -- what is written of a run that lives ----------------------------------------------------------------


@fault(
    "disk full from the moment the trainer starts", how="a file system of 1 MB filled while the shim pauses; Stop",
    expected="RUNNING, not STARTING for ever; Stop works; exit code and notes of the end as if there were room",
)
def test_a_full_disk_from_the_start(small_disk: Path, tmp_path: Path, row: Row, zygote: Zygote) -> None:
    pause = tmp_path / "pause"
    does = ["launch", {"name": "r1", "cli": fake_cli(tmp_path), "load": 600}]
    dash = zygote.dashboard(small_disk, does, env={VARIABLE: f"shim.after_start=pause:{pause}"})
    dash.wait("launch")
    wait_for(pause.exists)
    console = small_disk / "saves/m/lora/r1/console.log"
    wait_for(lambda: console.exists() and "started" in console.read_text())  # else the trainer dies of the full disk
    filler = fill(small_disk)
    pause.unlink()
    registry = new(small_disk)
    becomes(registry, RunState.RUNNING)
    assert registry.stop("id-r1", "graceful") is None
    view = becomes(registry, RunState.STOPPED)
    assert view.exit_code == -signal.SIGTERM
    dash.kill()
    fresh = seen(new(small_disk))
    assert (fresh.state, fresh.exit_code) == (RunState.STOPPED, -signal.SIGTERM)
    filler.unlink()
    row.note("STOPPED, -15")


@pytest.mark.parametrize("name", ["ENOSPC", "EIO", "EROFS"])
@fault(
    "the disk fails when the end is to be written", how="an injected error for exit.json until a file is gone",
    expected="the shim waits and writes the true code",
)
def test_an_error_at_the_end(workspace: Path, row: Row, zygote: Zygote, name: str) -> None:
    broken = workspace.parent / "broken"
    broken.touch()
    does = ["launch", {"name": "r1", "cli": fake_cli(workspace.parent), "load": 0.2, "fail": "exit:4"}]
    dash = zygote.dashboard(workspace, does, env={VARIABLE: f"shim.exit_written=error:{name}:{broken}"})
    dash.wait("launch")
    registry = new(workspace)
    paths = seen(registry).paths
    wait_for(lambda: b'"code": 4' in paths.attempt(1).reserve.read_bytes())
    assert seen(registry).state is RunState.RUNNING and not paths.exit.exists()
    broken.unlink()
    assert becomes(registry, RunState.FAILED).exit_code == 4
    row.note(f"{name}: FAILED, 4")
    dash.kill()


@fault(
    "disk full while the trainer writes", how="the stand-in's log and weights on a full file system of 1 MB",
    expected="FAILED with its own exit code and the reason in its last line",
)
def test_a_trainer_on_a_full_disk(small_disk: Path, tmp_path: Path, row: Row) -> None:
    registry = new(small_disk)
    handle = launch(registry, plan_for(small_disk, cli=fake_cli(tmp_path), steps=100_000, delay=0.001))
    wait_ready(handle)
    fill(small_disk)
    view = becomes(registry, RunState.FAILED)
    assert view.exit_code == 1 and members(handle) == []
    row.note(f"FAILED, 1, {view.error or 'no room for the reason'}")


# -- read-only ------------------------------------------------------------------------------------------


@fault(
    "workspace read-only", how="a file system mounted read-only (root ignores modes)",
    expected="the dashboard opens and shows the runs; Start, queue, trash say that it is read-only; nothing is made up",
)
def test_a_read_only_workspace(small_disk: Path, tmp_path: Path, row: Row, zygote: Zygote) -> None:
    pretend_model(small_disk)
    cli = fake_cli(tmp_path)
    first = zygote.dashboard(small_disk, ["launch", {"name": "r1", "cli": cli, "fail": "exit:2"}])
    first.wait("launch")
    over(new(small_disk))
    first.kill()
    remount = ["mount", "-o", "remount,ro", str(small_disk)]
    wait_for(lambda: subprocess.run(remount, capture_output=True).returncode == 0)  # once the shim is gone
    dash = zygote.dashboard(small_disk, port=8815)
    assert dash.wait("up")["found"] == {"r1": "FAILED"}
    with started(small_disk) as registry:
        plan = plan_for(small_disk, name="r2", cli=cli)
        refused = [
            registry.launch(plan, record_for(plan)), registry.enqueue(plan, record_for(plan)),
            registry.archive.discard("id-r1"),
        ]
        assert [one.code for one in refused if isinstance(one, Refused)] == ["readonly"] * 3, refused
        assert seen(registry).state is RunState.FAILED and seen(registry).exit_code == 2
    with app.opened(small_disk):
        page = app.start()
        assert any("2" in item.value for item in page.error)
    dash.kill()
    row.note("shown: FAILED, 2; Start, queue and trash refused (readonly)")


@fault(
    "Stop on a read-only workspace", how="an injected EROFS when the wish is left",
    expected="refused (readonly), the run goes on; it works once the disk does",
)
def test_a_stop_that_cannot_be_written(workspace: Path, row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = new(workspace)
    handle = launch(registry, plan_for(workspace, load=600))
    pids(handle)
    with monkeypatch.context() as patch:
        patch.setenv(VARIABLE, "stop.before_token=error:EROFS")
        refused = registry.stop(handle.run_id, "graceful")
        assert isinstance(refused, Refused) and refused.code == "readonly"
    assert seen(registry).state is RunState.RUNNING
    assert registry.stop(handle.run_id, "kill") is None
    assert becomes(registry, RunState.STOPPED).exit_code == -9
    assert os.listdir(handle.paths.attempt(1).root)
    row.note("refused, then STOPPED, -9")
