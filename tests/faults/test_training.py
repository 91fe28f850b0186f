"""The real llamafactory-cli on the demo's model, while the dashboard, the shim, a rank or the disk is taken away."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from lfdash.engine.registry import ProcessRegistry
from lfdash.launchers.base import Launched
from lfdash.runs.metrics.feed import RunFeed
from lfdash.runs.paths import marker
from lfdash.runs.plan import make_plan
from lfdash.runs.record import Handle, RunState
from lfdash.runs.report import explain
from lfdash.runs.stall import StallDetector
from lfdash.runs.view import RunView
from lfdash.supervisor.processes import environ, is_torchrun, marked, send
from tests.conftest import CLI
from tests.faults.dashboards import Dash, Zygote
from tests.faults.runs import alive, pids, seen, started
from tests.faults.table import Row, fault
from tests.llamafactory.test_train import PRESET
from tests.support.runs import launch, members, wait_end, wait_for

pytestmark = pytest.mark.train_env
MINUTES = 240.0  # seconds; two cores are shared
TWO_RANKS = {"FORCE_TORCHRUN": "1", "NPROC_PER_NODE": "2", "OMP_NUM_THREADS": "1"}


def train(
    registry: ProcessRegistry, name: str, env: dict[str, str] | None = None, output_dir: str = "", **changes: Any
) -> Handle:
    """Starts the demo's preset with changes."""
    args = {**yaml.safe_load(PRESET.read_text(encoding="utf-8")), **changes}
    place = output_dir or f"saves/demo/lora/{name}"
    plan = make_plan(
        run_id=f"id-{name}", args={**args, "output_dir": place}, env=env or {}, secrets=(), files={}, cli=str(CLI),
        cwd=str(registry.workspace), output_dir=place,
    )
    return launch(registry, plan)


@contextmanager
def open_registry(workspace: Path) -> Iterator[ProcessRegistry]:
    """A dashboard's registry; no process of a failed test stays."""
    with started(workspace) as registry:
        try:
            yield registry
        finally:
            for view in registry.snapshot():
                send(marked(marker(view.paths, view.attempt)), signal.SIGKILL)


def reach(registry: ProcessRegistry, run_id: str, step: int) -> RunView:
    """The run once it has trained so many steps."""

    def look() -> RunView | None:
        view = seen(registry, run_id)
        assert view.state in (RunState.STARTING, RunState.RUNNING), view
        return view if (view.progress.step or 0) >= step else None

    found = wait_for(look, MINUTES)
    assert found is not None
    return found


@fault(
    "the dashboard dies again and again while a model trains", how="INT, KILL, HUP, TERM to the server's group",
    expected="each new one finds it RUNNING, chart and log go on; Stop saves, true exit code",
)
def test_restarts_while_training(zygote: Zygote, demo_copy: Path, row: Row) -> None:
    dash: Dash = zygote.dashboard(demo_copy, ["train", {"name": "restarts", "max_steps": 5000}], port=8840)
    dash.wait("train")
    with open_registry(demo_copy) as registry:
        view = reach(registry, "id-restarts", 2)
        for name in ("INT", "KILL", "HUP", "TERM"):
            os.killpg(dash.pid, getattr(signal, f"SIG{name}"))
            dash.wait_dead()
            dash = zygote.dashboard(demo_copy, port=8840)
            up = dash.wait("up")
            assert up["found"]["restarts"] == "RUNNING" and up["seconds"] < 1
            tail = RunFeed(view.paths)
            tail.poll()
            steps, size = len(tail.frame), view.paths.console.stat().st_size
            reach(registry, "id-restarts", int(tail.frame["step"][-1]) + 2)
            assert tail.poll() and len(tail.frame) > steps and view.paths.console.stat().st_size > size
            row.counts.update(faults=1, restarts=1)
        again = zygote.dashboard(demo_copy, ["stop", {"name": "restarts", "level": "graceful"}])
        again.wait("stop")
        view = wait_end(registry, "id-restarts", MINUTES)
        assert (view.state, view.exit_code, view.saved.model) == (RunState.STOPPED, 0, "adapter")
        assert view.paths.console.read_text(errors="replace").count("Running training") == 1
        assert alive(view.paths) == 0
    for one in (dash, again):
        one.kill()
    row.note(f"RUNNING after each; STOPPED, 0, adapter saved at step {view.saved.step}")


@fault(
    "a rank of torchrun killed (out of memory)", how="two real ranks, kill -9 of one", expected="FAILED, nobody left"
)
def test_a_rank_killed(demo_copy: Path, row: Row) -> None:
    with open_registry(demo_copy) as registry:
        handle = train(registry, "rank", TWO_RANKS, max_steps=5000)
        reach(registry, handle.run_id, 2)
        began = time.monotonic()
        os.kill(ranks(handle)[-1], signal.SIGKILL)
        view = wait_end(registry, handle.run_id, 60)
        assert (view.state, view.exit_code) == (RunState.FAILED, 1) and members(handle) == []
        row.note(f"FAILED, 1, after {time.monotonic() - began:.1f} s, nobody left")


def ranks(handle: Handle) -> list[int]:
    """The ranks' main processes, by their number."""
    found: dict[bytes, int] = {}
    for pid in sorted(members(handle)):
        number = next((item for item in environ(pid) if item.startswith(b"LOCAL_RANK=")), None)
        if number is not None:
            found.setdefault(number, pid)
    assert len(found) == 2, found
    return [found[key] for key in sorted(found)]


def agent(handle: Handle) -> int:
    """torchrun's own process."""
    (found,) = [pid for pid in members(handle) if is_torchrun(pid) and pid not in ranks(handle)]
    return found


@pytest.mark.long
@fault(
    "torchrun's agent killed", how="two real ranks, kill -9 of the agent", expected="FAILED, ranks swept",
)
def test_an_agent_killed(demo_copy: Path, row: Row) -> None:
    with open_registry(demo_copy) as registry:
        handle = train(registry, "agent", TWO_RANKS, max_steps=5000)
        reach(registry, handle.run_id, 2)
        began = time.monotonic()
        os.kill(agent(handle), signal.SIGKILL)
        view = wait_end(registry, handle.run_id, 60)
        assert view.state is RunState.FAILED and members(handle) == []
        row.note(f"FAILED, {view.exit_code}, after {time.monotonic() - began:.1f} s, nobody left")


@pytest.mark.long
@fault(
    "graceful stop of two ranks", how="Stop while two real ranks train; the harder step where it hangs",
    expected="STOPPED, nobody left, whether or not it was saved",
)
def test_two_ranks_stopped(demo_copy: Path, row: Row) -> None:
    with open_registry(demo_copy) as registry:
        registry.watcher.stall_detector = StallDetector(quiet=20, torn=10)
        handle = train(registry, "two", TWO_RANKS, max_steps=5000)
        reach(registry, handle.run_id, 2)
        assert registry.stop(handle.run_id, "graceful") is None
        hung = False
        while (view := seen(registry, handle.run_id)).state is RunState.STOPPING:
            if view.stalled and not hung:
                hung = True
                registry.stop(handle.run_id, "kill")
            time.sleep(0.1)
        assert view.state is RunState.STOPPED and members(handle) == []
        row.note(f"STOPPED, {view.exit_code}, saved: {view.saved.model}, hung: {hung}")


@pytest.mark.long
@fault(
    "a rank hangs while it is stopped", how="SIGSTOP of one of two real ranks, then Stop",
    expected="STOPPING and, without a sign of life, stuck; Kill now: STOPPED, nobody left",
)
def test_a_rank_that_hangs(demo_copy: Path, row: Row) -> None:
    with open_registry(demo_copy) as registry:
        registry.watcher.stall_detector = StallDetector(quiet=10, torn=5)
        handle = train(registry, "hangs", TWO_RANKS, max_steps=5000)
        reach(registry, handle.run_id, 2)
        os.kill(ranks(handle)[-1], signal.SIGSTOP)
        assert registry.stop(handle.run_id, "graceful") is None
        view = wait_for(lambda: found if (found := seen(registry, handle.run_id)).stalled else None, 60)
        assert view is not None and view.state is RunState.STOPPING
        assert registry.stop(handle.run_id, "kill") is None
        view = wait_end(registry, handle.run_id, 30)
        assert view.state is RunState.STOPPED and members(handle) == []
        row.note(f"stuck, then STOPPED, {view.exit_code}")


@pytest.mark.long
@fault(
    "shim killed while a model trains", how="kill -9 of the shim; the training goes on to its last step",
    expected="RUNNING without it, SUCCEEDED by the results, exit code unknown",
)
def test_a_shim_killed(demo_copy: Path, row: Row) -> None:
    with open_registry(demo_copy) as registry:
        handle = train(registry, "shim", max_steps=25)
        reach(registry, handle.run_id, 2)
        os.kill(pids(handle)[0], signal.SIGKILL)
        view = wait_end(registry, handle.run_id, MINUTES)
        assert (view.state, view.exit_code, view.saved.step) == (RunState.SUCCEEDED, None, 25)
        row.note("SUCCEEDED, None, adapter saved at step 25")


@pytest.mark.long
@fault(
    "trainer killed, then resumed", how="kill -9 of the real trainer behind a checkpoint; a new attempt from it",
    expected="FAILED, -9; then SUCCEEDED; the log's steps go back, the chart's do not",
)
def test_a_trainer_killed(demo_copy: Path, row: Row) -> None:
    with open_registry(demo_copy) as registry:
        handle = train(registry, "killed", max_steps=24, save_steps=8)
        reach(registry, handle.run_id, 12)
        os.kill(pids(handle)[1], signal.SIGKILL)
        view = wait_end(registry, handle.run_id)
        assert (view.state, view.exit_code) == (RunState.FAILED, -9) and 8 in view.saved.checkpoints
        args = yaml.safe_load(view.paths.training_args.read_text())
        plan = make_plan(
            run_id=view.run_id, attempt=2, env={}, secrets=(), files={}, cli=str(CLI), cwd=str(demo_copy),
            output_dir=view.output_dir, args={**args, "resume_from_checkpoint": f"{view.output_dir}/checkpoint-8"},
        )
        assert view.record is not None
        assert isinstance(registry.launch(plan, view.record.resumed(plan)), Launched)
        view = wait_end(registry, handle.run_id, MINUTES)
        assert (view.state, view.exit_code, view.attempt) == (RunState.SUCCEEDED, 0, 2)
        tail = RunFeed(view.paths)
        tail.poll()
        assert tail.frame["step"].tolist() == list(range(1, 25))
        row.note("FAILED, -9; resumed: SUCCEEDED, 0; steps 1..24 once each")


@fault(
    "disk full during a checkpoint", how="the real trainer saves on a file system of 3 MB",
    expected="FAILED with the cause, exit code 1, nobody left",
)
def test_a_full_disk(demo_copy: Path, row: Row) -> None:
    small = demo_copy / "saves" / "small"
    small.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(small)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"a file system cannot be mounted here: {done.stderr.strip()}")
    try:
        with open_registry(demo_copy) as registry:
            handle = train(registry, "disk", output_dir="saves/small/disk", max_steps=6, save_steps=2)
            view = wait_end(registry, handle.run_id, MINUTES)
            cause = explain(view)
            assert (view.state, view.exit_code) == (RunState.FAILED, 1) and members(handle) == []
            assert cause is not None and cause.id == "disk_full", view.error
            row.note(f"FAILED, 1, {cause.id}")
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)
        small.rmdir()
