"""A run from a LLaMA-Factory that is kept warm is the run that a fresh interpreter would be."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lfdash.launchers.base import Launched
from lfdash.launchers.forked import UNKNOWN, Forked
from lfdash.launchers.local import LocalLauncher
from lfdash.llamafactory import warm as warm_module
from lfdash.llamafactory.warm import Warm
from lfdash.runs.record import Handle
from lfdash.supervisor.processes import environ, parent, stat_fields
from tests.support.runs import ended, members, plan_for, record_for, wait_for, wait_ready
from tests.support.warm import kept_warm, warmable_cli

THREADS = 1 << 32  # signal 33, which glibc handles once a process has had a second thread (nptl, SIGSETXID)


@dataclass
class Both:
    """Starts the same run warm or cold."""

    root: Path
    warm: Warm
    cli: str

    def start(self, warm: bool, workspace: Path, secrets: dict[str, str] | None = None, **args: Any) -> Handle:
        launcher = LocalLauncher()
        launcher.forks = self.warm if warm else None
        secrets = secrets or {}
        plan = plan_for(workspace, cli=self.cli, secrets=tuple(secrets), **args)
        outcome = launcher.submit(plan, record_for(plan), secrets)
        assert isinstance(outcome, Launched), outcome
        assert isinstance(launcher.shim(outcome.handle), Forked) is warm
        return outcome.handle


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    root = tmp_path_factory.mktemp("warm")
    cli = warmable_cli(root)
    with kept_warm(cli, root) as warm:
        yield Both(root, warm, cli.path)


def child_of(handle: Handle) -> dict[str, Any]:
    path = handle.paths.attempt(handle.attempt).child
    found: dict[str, Any] = wait_for(lambda: json.loads(path.read_text()) if path.exists() else None)
    return found


def kill(handle: Handle) -> None:
    launcher = LocalLauncher()
    launcher.stop(handle, "kill")
    wait_for(lambda: ended(launcher, handle))


def looks(handle: Handle) -> dict[str, Any]:
    """What the system tells of a run's process."""
    child = child_of(handle)
    pid, stat = child["child"], stat_fields(child["child"])
    limits = Path(f"/proc/{pid}/limits").read_text()
    status = Path(f"/proc/{pid}/status").read_text()
    told = ("SigBlk", "SigIgn", "Umask", "Uid", "Gid", "CapEff", "Seccomp", "Threads")
    return {
        "comm": Path(f"/proc/{pid}/comm").read_text(), "words": Path(f"/proc/{pid}/cmdline").read_bytes().strip(b"\0"),
        "parent is the supervisor": parent(pid) == child["shim"],
        "session, group": [int(stat[place]) == pid for place in (3, 2)], "nice": stat[16], "limits": limits,
        "status": {name: re.findall(rf"^{name}:\s*(.*)$", status, re.M) for name in told},
        "caught": int(re.findall(r"^SigCgt:\s*(.*)$", status, re.M)[0], 16) & ~THREADS,
        "folder": os.readlink(f"/proc/{pid}/cwd"), "oom": Path(f"/proc/{pid}/oom_score_adj").read_text(),
        "open": sorted(os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")),
        "marked": members(handle) == [pid],
    }


def test_a_warm_process_looks_like_a_cold_one(both: Both, tmp_path: Path) -> None:
    """In the same folder, one after the other."""
    seen = []
    for warm in (True, False):
        workspace = tmp_path / "workspace"
        workspace.mkdir()
        handle = both.start(warm, workspace, load=600)
        wait_ready(handle, "started")
        seen.append(looks(handle))
        kill(handle)
        workspace.rename(tmp_path / f"workspace-{warm}")
    assert seen[0] == seen[1]
    assert seen[0]["parent is the supervisor"] and seen[0]["marked"] and seen[0]["session, group"] == [True, True]


def test_where_memory_runs_out_it_goes_before_any_run(both: Both, tmp_path: Path) -> None:
    def readiness(pid: int) -> int:
        return int(Path(f"/proc/{pid}/oom_score_adj").read_text())

    found = []
    for warm in (True, False):
        (tmp_path / str(warm)).mkdir()
        handle = both.start(warm, tmp_path / str(warm), load=600)
        wait_ready(handle, "started")
        child = child_of(handle)
        found.append([readiness(child["shim"]), readiness(child["child"])])
        kill(handle)
    assert found[0] == found[1] and readiness(both.warm.pid) > max(found[0])


def test_its_environment_is_the_plans(both: Both, tmp_path: Path) -> None:
    found = []
    for warm in (True, False):
        workspace = tmp_path / "workspace"
        workspace.mkdir()
        handle = both.start(warm, workspace, env={"LFDASH_GPUS": "1"}, dump=1)
        wait_for(lambda handle=handle: ended(LocalLauncher(), handle))
        found.append(json.loads((handle.paths.root / "env.json").read_text()))
        workspace.rename(tmp_path / f"workspace-{warm}")
    assert found[0] == found[1] and found[0]["LFDASH_GPUS"] == "1" and "LFDASH_RUN" in found[0]


@pytest.mark.parametrize("fail", ["exit:0", "exit:3", "exit:255", "error", "segfault", "kill", "killpg"])
def test_the_end_is_told_alike(both: Both, tmp_path: Path, fail: str) -> None:
    said = []
    for warm in (True, False):
        workspace = tmp_path / f"workspace-{warm}"
        workspace.mkdir()
        handle = both.start(warm, workspace, fail=fail)
        wait_for(lambda handle=handle: ended(LocalLauncher(), handle))
        told = LocalLauncher().poll(handle).exit
        assert told is not None
        console = handle.paths.console.read_text()
        said.append((told.code, told.error, told.stop, told.leftovers, console.replace(str(workspace), "")))
    assert said[0] == said[1]


@pytest.mark.parametrize(("level", "args"), [
    ("graceful", {"load": 600}), ("graceful", {"steps": 2000, "delay": 0.01}), ("term", {"load": 600}),
    ("kill", {"stubborn": 1}), ("term", {"load": 600, "leftover": 2}),
])
def test_it_stops_alike(both: Both, tmp_path: Path, level: Any, args: dict[str, Any]) -> None:
    said = []
    for warm in (True, False):
        workspace = tmp_path / f"workspace-{warm}"
        workspace.mkdir()
        handle = both.start(warm, workspace, **args)
        wait_ready(handle, "ready" if "steps" in args or "stubborn" in args else "started")
        assert LocalLauncher().stop(handle, level) is None
        wait_for(lambda handle=handle: ended(LocalLauncher(), handle))
        told = LocalLauncher().poll(handle).exit
        assert told is not None and members(handle) == []
        said.append((told.code, told.stop, told.error, handle.paths.listing() != ()))
    assert said[0] == said[1]


def test_secrets_leave_no_core_and_do_not_show(both: Both, tmp_path: Path) -> None:
    handle = both.start(True, tmp_path, {"LFDASH_SOME_TOKEN": "hf_abcdefgh"}, load=600)
    wait_ready(handle, "started")
    pid = child_of(handle)["child"]
    assert re.search(r"Max core file size +0 ", Path(f"/proc/{pid}/limits").read_text())
    assert not any(b"hf_abcdefgh" in word for word in environ(pid))  # it stands in the memory alone
    kill(handle)


@pytest.mark.parametrize("name", ["HF_HOME", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "FORCE_TORCHRUN", "WANDB_MODE"])
def test_another_environment_is_started_cold(both: Both, tmp_path: Path, name: str) -> None:
    handle = both.start(False, tmp_path, steps=1)
    wait_for(lambda: ended(LocalLauncher(), handle))
    launcher = LocalLauncher()
    launcher.forks = both.warm
    plan = plan_for(tmp_path, name="r2", cli=both.cli, env={name: "3"}, steps=1)
    outcome = launcher.submit(plan, record_for(plan), {})
    assert isinstance(outcome, Launched) and not isinstance(launcher.shim(outcome.handle), Forked)
    wait_for(lambda: ended(launcher, outcome.handle))


def test_another_program_is_started_cold(both: Both, tmp_path: Path) -> None:
    launcher = LocalLauncher()
    launcher.forks = both.warm
    plan = plan_for(tmp_path, steps=1)
    outcome = launcher.submit(plan, record_for(plan), {})
    assert isinstance(outcome, Launched) and not isinstance(launcher.shim(outcome.handle), Forked)
    wait_for(lambda: ended(launcher, outcome.handle))


def test_the_wait_for_it(both: Both, tmp_path: Path) -> None:
    launcher = LocalLauncher()
    launcher.forks = both.warm
    plan = plan_for(tmp_path, cli=both.cli, load=600)
    outcome = launcher.submit(plan, record_for(plan), {})
    assert isinstance(outcome, Launched)
    shim = launcher.shim(outcome.handle)
    assert shim is not None and shim.poll() is None
    assert child_of(outcome.handle)["shim"] == shim.pid
    launcher.release(outcome.handle, 0.01)  # it lives: nobody waits longer
    launcher.stop(outcome.handle, "kill")
    assert shim.wait(20) == shim.poll() == UNKNOWN
    assert ended(launcher, outcome.handle)


def test_a_marker_that_has_no_room_is_started_cold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its marker a run is found again: without it, it must not begin."""
    monkeypatch.setattr(warm_module, "PADDING", 16)
    cli = warmable_cli(tmp_path)
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    with kept_warm(cli, tmp_path) as warm:
        handle = Both(tmp_path, warm, cli.path).start(True, workspace, steps=1)
        wait_for(lambda: ended(LocalLauncher(), handle))
    said = handle.paths.attempt(1).shim_log.read_text()
    assert "without LLaMA-Factory kept warm (ValueError: no room for the marker" in said
    told = LocalLauncher().poll(handle).exit
    assert told is not None and told.code == 0 and handle.paths.console.read_text().count("started") == 1
