"""The processes of a run, as /proc shows them, and who of them is asked to stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lfdash.supervisor.processes import (
    MARKER,
    boot_id,
    catches_abort,
    descendants,
    environ,
    is_torchrun,
    marked,
    pass_on,
    recorded_alive,
    savers,
    start_ticks,
    stat_fields,
)
from tests.support.runs import wait_for

Spawn = Callable[..., subprocess.Popen[str]]
CATCH = "import signal, time; signal.signal(signal.SIGABRT, lambda *_: None); "
FORK = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', {code!r}]); "
# one write a process: two that print at once would mix "up" and its newline where output is not buffered
# what setproctitle does to the memory that /proc/PID/environ shows
WIPE = (
    "fields = open('/proc/self/stat').read().rpartition(')')[2].split(); "
    "__import__('ctypes').memset(int(fields[47]), 0, int(fields[48]) - int(fields[47])); "
)
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


def test_a_recorded_process_is_known_without_its_environment(spawn: Spawn) -> None:
    """By its pid and start ticks, with all below it, though no marker is left to be found."""
    code = "import time; " + WIPE + WAIT
    process = spawn(FORK.format(code=code) + code, ups=2, env={MARKER: "1:/wiped"})
    (below,) = descendants(process.pid)
    assert environ(process.pid)[0] == environ(below)[0] == b"" and marked("1:/wiped") == []
    record = {"child": process.pid, "child_ticks": start_ticks(process.pid), "boot_id": boot_id()}
    assert recorded_alive(record) == [process.pid, below]
    for unknown in ({**record, "boot_id": ""}, {**record, "boot_id": None}):
        assert recorded_alive(unknown) == [process.pid, below]
    assert recorded_alive(record, "") == recorded_alive(record, boot_id()) == [process.pid, below]
    process.kill()
    wait_for(lambda: recorded_alive(record) == [])  # a zombie is over


def test_a_process_that_does_not_fit_the_record_is_a_stranger(spawn: Spawn) -> None:
    leader = spawn(FORK.format(code="import time; " + WAIT) + "import time; " + WAIT, ups=2)
    (member,) = descendants(leader.pid)
    fits = {"child": leader.pid, "child_ticks": start_ticks(leader.pid), "boot_id": boot_id()}
    assert recorded_alive(fits)
    assert recorded_alive({**fits, "boot_id": "another"}) == recorded_alive(fits, "another") == []
    assert recorded_alive({**fits, "child_ticks": fits["child_ticks"] + 1}) == []  # the pid was used again
    assert recorded_alive({**fits, "child": member, "child_ticks": start_ticks(member)}) == []  # leads no session
    spoiled = ({}, {**fits, "child": str(leader.pid)}, {**fits, "child": True}, {**fits, "child_ticks": None})
    assert [recorded_alive(record) for record in spoiled] == [[], [], [], []]
