"""The shim's view of processes, and what it refuses. What it does with runs is in test_registry.py."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lfdash.files import write_text_atomic
from lfdash.launchers.base import Launched
from lfdash.launchers.local import SUPERVISOR, LocalLauncher
from lfdash.supervisor.processes import (
    boot_id,
    catches_abort,
    descendants,
    environ,
    is_torchrun,
    pass_on,
    savers,
    start_ticks,
    stat_fields,
)
from lfdash.supervisor.records import wished
from tests.support.runs import members, plan_for, record_for, wait_for, wait_ready

Spawn = Callable[..., subprocess.Popen[str]]
CATCH = "import signal, time; signal.signal(signal.SIGABRT, lambda *_: None); "
FORK = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', {code!r}]); "
# one write a process: two that print at once would mix "up" and its newline where output is not buffered
WAIT = "__import__('os').write(1, b'up\\n'); time.sleep(600)"


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Starts `python -c code *words` and waits for `ups` lines of output; ends everything afterwards."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str, *words: str, ups: int = 1, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *words], stdout=subprocess.PIPE, text=True, start_new_session=True,
            env={**os.environ, **(env or {})},
        )
        started.append(process)
        assert process.stdout is not None
        for _ in range(ups):
            assert process.stdout.readline() == "up\n"
        return process

    yield start
    for process in started:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_a_process_has_an_identity_until_it_is_a_zombie(spawn: Spawn) -> None:
    process = spawn("import time; " + WAIT)
    ticks = start_ticks(process.pid)
    assert ticks is not None and ticks == start_ticks(process.pid)
    assert boot_id() == boot_id() != ""
    process.kill()
    wait_for(lambda: start_ticks(process.pid) is None)
    assert process.returncode is None  # not reaped: a zombie, which kill(pid, 0) takes for alive
    assert stat_fields(2**22 + 1) == [] and environ(2**22 + 1) == []


def test_descendants_are_found_through_their_parents(spawn: Spawn) -> None:
    child = "import time; " + WAIT
    process = spawn(FORK.format(code=child) + child, ups=2)
    found = descendants(os.getpid())
    assert process.pid in found
    below = descendants(process.pid)
    assert len(below) == 1 and set(below) <= set(found)


def test_only_who_handles_the_signal_is_asked_and_not_its_children(spawn: Spawn) -> None:
    deaf = spawn("import time; " + WAIT)
    both = spawn(CATCH + "import os\nos.fork()\n" + WAIT, ups=2)
    assert catches_abort(both.pid) and not catches_abort(deaf.pid)
    pids = [deaf.pid, both.pid, *descendants(both.pid)]
    assert len(pids) == 3
    assert savers(pids) == [both.pid]
    assert savers([deaf.pid]) == []


def test_under_torchrun_the_ranks_are_asked_and_never_its_agent(spawn: Spawn) -> None:
    agent = spawn(CATCH + WAIT, "/env/bin/torchrun")
    assert catches_abort(agent.pid) and is_torchrun(agent.pid) is False  # too far down the command line
    agent = spawn("import sys; sys.argv[0] = ''; " + CATCH + WAIT)
    rank = spawn(CATCH + WAIT, env={"LOCAL_RANK": "0"})
    assert savers([agent.pid, rank.pid]) == [rank.pid]


def test_a_torchrun_without_ranks_is_not_asked(tmp_path: Path) -> None:
    script = tmp_path / "torchrun"
    script.write_text(CATCH + WAIT)
    agent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    try:
        assert agent.stdout is not None and agent.stdout.readline() == "up\n"
        assert catches_abort(agent.pid) and is_torchrun(agent.pid)
        assert savers([agent.pid]) == []
        assert pass_on([agent.pid], "graceful") == "SIGTERM"
        assert agent.wait(10) == -signal.SIGTERM
    finally:
        agent.kill()
        agent.communicate()


def test_the_hardest_wish_is_the_one(tmp_path: Path) -> None:
    assert wished(str(tmp_path)) is None
    for level in ("graceful", "kill", "term"):
        (tmp_path / f"stop.{level}").touch()
    assert wished(str(tmp_path)) == "kill"


def test_a_replaced_file_is_never_half(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    write_text_atomic(path, "new")
    assert path.read_text() == "new" and [item.name for item in tmp_path.iterdir()] == ["a.json"]
    with pytest.raises(UnicodeEncodeError):
        write_text_atomic(path, "\ud800")
    assert path.read_text() == "new" and [item.name for item in tmp_path.iterdir()] == ["a.json"]


BLIND = """
import json, subprocess, sys
from lfdash.supervisor import shim
one = shim.Shim(sys.argv[1])
one.bell = one.hang_bell()
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
real, looks = shim.descendants, []
def descendants(root):
    looks.append(root)
    return [] if len(looks) < 4 else real(root)
shim.descendants, shim.SETTLE_S = descendants, 0.1
one.sweep()
print(json.dumps([len(looks) >= 4, one.reap(), one.leftovers]))
"""


def test_the_sweep_does_not_trust_a_look_that_finds_nobody(tmp_path: Path) -> None:
    """A look at /proc misses a process that is just being made. In a process of its own, since it waits for all."""
    (tmp_path / "spec.json").write_text("{}")
    done = subprocess.run([sys.executable, "-c", BLIND, str(tmp_path)], capture_output=True, text=True, timeout=30)
    assert done.stdout == "[true, false, 1]\n", done.stderr


def test_a_second_shim_does_not_start_the_attempt_again(tmp_path: Path) -> None:
    """Neither beside the first nor after the first was killed: the child of the first still runs."""
    launcher = LocalLauncher()
    plan = plan_for(tmp_path, load=600)
    outcome = launcher.submit(plan, record_for(plan), {})
    assert isinstance(outcome, Launched)
    wait_ready(outcome.handle, "started")
    control = outcome.handle.paths.attempt(1)
    command = [sys.executable, "-I", "-S", SUPERVISOR, str(control.root)]
    beside = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert beside.returncode == 1 and "another supervisor" in beside.stderr
    shim = launcher.shim(outcome.handle)
    assert shim is not None
    shim.kill()
    shim.wait()
    after = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert after.returncode == 1 and "already started" in after.stderr
    assert len(members(outcome.handle)) == 1
    launcher.stop(outcome.handle, "kill")
    wait_for(lambda: not members(outcome.handle))
