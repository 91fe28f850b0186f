"""What a supervisor that was killed leaves is ended, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lfdash.supervisor.processes import marked
from tests.support.runs import wait_for

SUPERVISE = """
import os, subprocess, sys, time
from lfdash.supervisor import guard
writer = guard.start(sys.argv[1])
for _ in range(2):
    env = {**os.environ, "LFDASH_RUN": sys.argv[1]}
    subprocess.Popen(["/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.2; done"], env=env, start_new_session=True)
subprocess.Popen(["sleep", "600"], env={**os.environ, "LFDASH_RUN": sys.argv[1] + "0"}, start_new_session=True)
if sys.argv[2] == "dismiss":
    guard.dismiss(writer)
print("ready", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("how", ["killed", "dismiss"])
def test_the_processes_of_an_attempt_end_with_a_supervisor_that_was_killed(tmp_path: Path, how: str) -> None:
    """Those that ignore SIGTERM, too; not those of another attempt, and none where the supervisor has come to its end
    itself."""
    mark = f"1:{tmp_path}"
    shim = subprocess.Popen([sys.executable, "-c", SUPERVISE, mark, how], stdout=subprocess.PIPE, text=True)
    try:
        assert shim.stdout is not None and shim.stdout.readline() == "ready\n"
        wait_for(lambda: len(marked(mark)) >= 2 and marked(f"{mark}0"))
        shim.kill()
        shim.wait(10)
        if how == "killed":
            wait_for(lambda: marked(mark) == [], 20)
        else:
            # a guard that was dismissed has gone: nobody is left that has the pipe's other end
            wait_for(lambda: not guards(mark))
            assert len(marked(mark)) >= 2
        assert len(marked(f"{mark}0")) == 1
    finally:
        shim.kill()
        shim.wait(10)
        for name in (mark, f"{mark}0"):
            for pid in marked(name):
                os.kill(pid, signal.SIGKILL)


def guards(mark: str) -> list[str]:
    """The processes that have a mark in their command line: the supervisor and its guard."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark.encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                found.append(entry.name)
        except OSError:
            continue
    return found
