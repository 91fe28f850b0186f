"""What the supervisor of a run does that a scheduler starts: beats, secrets, the ticket, who asked for a stop."""

from __future__ import annotations

import json
import os
import resource
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lfdash.launchers import folder
from lfdash.launchers.local import SUPERVISOR
from lfdash.launchers.wishes import leave_wish
from lfdash.runs.paths import RunPaths
from lfdash.runs.plan import LaunchPlan
from lfdash.runs.record import Handle
from lfdash.supervisor.failpoints import VARIABLE
from lfdash.supervisor.nodes import RANK
from lfdash.supervisor.processes import start_ticks
from lfdash.supervisor.remote import (
    BEAT,
    BEAT_SIZE,
    SEALED,
    TICKET,
    Heart,
    WishWatch,
    burn_sealed,
    seal,
    sealed_of,
    take_sealed,
)
from tests.support.runs import plan_for, record_for, wait_for, wait_ready

SPEC = {"beat": 0.05, "ticket": "t1", "console": "../../console.log"}


def made(plan: LaunchPlan, **spec: Any) -> Handle:
    paths = folder.make(plan, record_for(plan), more={**SPEC, **spec})
    assert isinstance(paths, RunPaths)
    return Handle(plan.run_id, 1, paths)


def supervise(handle: Handle, *words: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", SUPERVISOR, str(handle.paths.attempt(1).root), *words], text=True,
        env={**os.environ, **(env or {})}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )


def told(handle: Handle) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(handle.paths.exit.read_text())
    return found


def beat(handle: Handle) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((handle.paths.attempt(1).root / BEAT).read_text())
    except OSError:
        return {}
    return found


def test_it_beats_as_long_as_it_lives(workspace: Path) -> None:
    handle = made(plan_for(workspace, load=600))
    shim = supervise(handle)
    first = wait_for(lambda: beat(handle).get("count"))
    wait_for(lambda: beat(handle)["count"] > first + 2)
    assert (handle.paths.attempt(1).root / BEAT).stat().st_size == BEAT_SIZE
    leave_wish(handle.paths.attempt(1), "kill")
    assert shim.wait(20) == 128 + 9
    assert (told(handle)["code"], told(handle)["stop"], told(handle)["by"]) == (-9, ["kill"], None)


def test_a_local_run_has_no_heart(workspace: Path) -> None:
    plan = plan_for(workspace, steps=1)
    paths = folder.make(plan, record_for(plan))
    assert isinstance(paths, RunPaths)
    handle = Handle(plan.run_id, 1, paths)
    assert supervise(handle).wait(20) == 0 and told(handle)["code"] == 0 and beat(handle) == {}


def test_a_disk_that_fails_stops_no_heart(tmp_path: Path) -> None:
    (tmp_path / BEAT).mkdir()
    Heart(str(tmp_path), 0.0).beat()
    Heart(str(tmp_path / "none"), 0.0).beat()
    assert list((tmp_path / BEAT).iterdir()) == []


def test_secrets_reach_the_run_and_nothing_else(workspace: Path) -> None:
    secret = "hf_abcdefghijklmnop"
    plan = plan_for(workspace, dump=1, steps=1, secrets=("HF_TOKEN",))
    handle = made(plan, sealed=["HF_TOKEN"])
    control = handle.paths.attempt(1)
    seal(str(control.root), {"HF_TOKEN": secret})
    assert stat.S_IMODE((control.root / SEALED).stat().st_mode) == 0o600
    assert supervise(handle).wait(20) == 0 and told(handle)["code"] == 0
    env = handle.paths.root / "env.json"
    assert json.loads(env.read_text())["HF_TOKEN"] == secret
    env.unlink()
    kept = [path for path in handle.paths.root.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    assert kept == [] and not (control.root / SEALED).exists()


def test_what_a_run_prints_of_its_sealed_secrets_is_hidden(workspace: Path) -> None:
    secret = "hf_abcdefghijklmnop"
    handle = made(plan_for(workspace, secrets=("HF_TOKEN",)), sealed=["HF_TOKEN"])
    seal(str(handle.paths.attempt(1).root), {"HF_TOKEN": secret})
    assert supervise(handle, "--", "/bin/sh", "-c", "echo token=$HF_TOKEN").wait(20) == 0
    assert handle.paths.console.read_text() == f"token={'*' * len(secret)}\n"


def test_a_nodes_part_with_secrets_leaves_no_core(workspace: Path) -> None:
    """On Ray no limit of the first supervisor comes with it."""
    handle = made(plan_for(workspace, secrets=("HF_TOKEN",)), sealed=["HF_TOKEN"], secrets=["HF_TOKEN"])
    seal(str(handle.paths.attempt(1).root), {"HF_TOKEN": "hf_abcdefghijklmnop"}, sealed_of("0"))
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        part = supervise(handle, "--node", "--", "/bin/sh", "-c", "ulimit -Sc", env={RANK: "0"})
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
    assert part.communicate(timeout=20)[0].strip() == "0" and part.returncode == 0


def test_secrets_that_are_gone_are_told_and_nothing_starts(workspace: Path) -> None:
    handle = made(plan_for(workspace, steps=1), sealed=["HF_TOKEN"])
    assert supervise(handle).wait(20) == 127
    assert told(handle)["code"] == 127 and "secrets of this run (HF_TOKEN)" in told(handle)["error"]
    assert not handle.paths.console.exists()


def test_a_supervisor_without_the_right_leaves_the_secrets(workspace: Path) -> None:
    """Of two jobs for one attempt the second must not take them from the first."""
    handle = made(plan_for(workspace, steps=1), sealed=["HF_TOKEN"])
    control = handle.paths.attempt(1)
    seal(str(control.root), {"HF_TOKEN": "x"})
    assert supervise(handle, env={TICKET: "t2"}).wait(20) == 1
    assert take_sealed(str(control.root), ["HF_TOKEN"]) == {"HF_TOKEN": "x"}
    burn_sealed(str(control.root))


def test_secrets_are_never_written_over_others(tmp_path: Path) -> None:
    (tmp_path / SEALED).write_text("")
    with pytest.raises(FileExistsError):
        seal(str(tmp_path), {"A": "b"})
    burn_sealed(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_job_of_an_earlier_making_of_the_attempt_starts_nothing(workspace: Path) -> None:
    handle = made(plan_for(workspace, steps=1))
    late = supervise(handle, env={TICKET: "t0"})
    said, _ = late.communicate(timeout=20)
    assert late.returncode == 1 and "taken back" in said and not handle.paths.exit.exists()
    assert supervise(handle, env={TICKET: "t1"}).wait(20) == 0 and told(handle)["code"] == 0


def test_what_stands_behind_two_dashes_is_started(workspace: Path) -> None:
    handle = made(plan_for(workspace, steps=1))
    assert supervise(handle, "--", "/bin/sh", "-c", "echo hello; exit 5").wait(20) == 5
    assert told(handle)["code"] == 5 and handle.paths.console.read_text() == "hello\n"


@pytest.mark.parametrize(("number", "by"), [(signal.SIGTERM, "signal"), (signal.SIGUSR1, "time_limit")])
def test_a_signal_from_outside_is_a_graceful_wish_of_its_own(workspace: Path, number: int, by: str) -> None:
    handle = made(plan_for(workspace, steps=2000, delay=0.01))
    shim = supervise(handle)
    wait_ready(handle)
    shim.send_signal(number)
    assert shim.wait(20) == 0
    assert (told(handle)["code"], told(handle)["stop"], told(handle)["by"]) == (0, ["graceful"], by)
    assert (handle.paths.root / "adapter_model.safetensors").exists()


def test_a_signal_that_ends_the_trainer_first_is_told_all_the_same(workspace: Path) -> None:
    """A job that is canceled gets it in all its processes at once."""
    pause = workspace.parent / "pause"
    handle = made(plan_for(workspace, load=600))
    shim = supervise(handle, env={VARIABLE: f"shim.announced=pause:{pause}"})
    wait_for(lambda: pause.exists() and pause.read_text())
    child = json.loads(handle.paths.attempt(1).child.read_text())["child"]
    os.kill(child, signal.SIGTERM)
    shim.send_signal(signal.SIGTERM)
    wait_for(lambda: start_ticks(child) is None)
    pause.unlink()
    assert shim.wait(20) == 128 + 15
    assert (told(handle)["code"], told(handle)["stop"], told(handle)["by"]) == (-15, [], "signal")


def test_a_wish_that_was_left_is_not_of_somebody_else(workspace: Path) -> None:
    handle = made(plan_for(workspace, load=600))
    shim = supervise(handle)
    wait_for(lambda: handle.paths.attempt(1).child.exists())
    leave_wish(handle.paths.attempt(1), "term")
    shim.send_signal(signal.SIGTERM)
    assert shim.wait(20) == 128 + 15 and told(handle)["by"] is None and "term" in told(handle)["stop"]


def test_a_wish_is_seen_without_asking_for_names_that_are_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network disk remembers for a while that there was no such name."""
    asked: list[str] = []
    real = os.open

    def noted(path: str, flags: int, mode: int = 0o777) -> int:
        asked.append(os.path.basename(path))
        return real(path, flags, mode)

    (tmp_path / "armed").touch()
    watch = WishWatch(str(tmp_path))
    monkeypatch.setattr(os, "open", noted)
    assert watch.look() is None and watch.look() is None
    assert asked == ["armed", "armed"]
    (tmp_path / "armed").rename(tmp_path / "stop.graceful")
    assert watch.look() == watch.look() == "graceful"
    assert asked[2:] == ["armed", "stop.graceful", "stop.graceful"]
    (tmp_path / "stop.graceful").rename(tmp_path / "stop.kill")
    assert watch.look() == "kill" == WishWatch(str(tmp_path)).look()
    (tmp_path / "stop.kill").unlink()
    assert WishWatch(str(tmp_path)).look() is None


def test_a_wish_that_the_nodes_were_quicker_with_was_acted_on(workspace: Path) -> None:
    """They see it themselves, and srun may be over before the first supervisor looks."""
    handle = made(plan_for(workspace))
    pause = workspace.parent / "pause"
    command = ["--nodes", "--", "/bin/sh", "-c", f"while [ ! -e {workspace}/go ]; do sleep 0.05; done; exit 143"]
    shim = supervise(handle, *command, env={VARIABLE: f"shim.announced=pause:{pause}"})
    wait_for(lambda: pause.exists() and pause.read_text())
    leave_wish(handle.paths.attempt(1), "term")
    (workspace / "go").touch()
    child = json.loads(handle.paths.attempt(1).child.read_text())["child"]
    wait_for(lambda: start_ticks(child) is None)
    pause.unlink()
    assert shim.wait(20) == 143
    assert (told(handle)["code"], told(handle)["stop"], told(handle)["by"]) == (143, ["term"], None)
