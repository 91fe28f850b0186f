"""Processes for the tests of the supervisor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Spawn = Callable[..., subprocess.Popen[str]]
CATCH = "import signal, time; signal.signal(signal.SIGABRT, lambda *_: None); "
FORK = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', {code!r}]); "
# what setproctitle does to the memory that /proc/PID/environ shows
WIPE = (
    "fields = open('/proc/self/stat').read().rpartition(')')[2].split(); "
    "__import__('ctypes').memset(int(fields[47]), 0, int(fields[48]) - int(fields[47])); "
)
# one write a process: two that print at once would mix "up" and its newline where output is not buffered
WAIT = "__import__('os').write(1, b'up\\n'); time.sleep(600)"


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Starts `python -c code *words`, or a script, and waits for `ups` lines of output; ends everything afterwards."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str | Path, *words: str, ups: int = 1, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        what = [str(code)] if isinstance(code, Path) else ["-c", code]
        process = subprocess.Popen(
            [sys.executable, *what, *words], stdout=subprocess.PIPE, text=True, start_new_session=True,
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
