"""A real server on loopback, started as its users start it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tests.support import ROOT


@dataclass
class Server:
    """A running dashboard: its process, address and workspace."""

    process: subprocess.Popen[str]
    url: str
    workspace: Path

    def end(self) -> None:
        """Ends it as Ctrl-C would; its runs go on."""
        self.process.terminate()
        self.process.wait(20)


def start_server(workspace: Path, port: int = 8601, env: dict[str, str] | None = None) -> Server:
    """Starts `python -m lfdash` of the checkout on a free port and waits until it answers."""
    command = [sys.executable, "-m", "lfdash", "--workspace", str(workspace), "--port", str(port)]
    return serve(command, ROOT, {**os.environ, "OMP_NUM_THREADS": "1", **(env or {})}, workspace)


def serve(command: list[str], folder: Path, env: dict[str, str], workspace: Path) -> Server:
    """Starts a dashboard by this command in a folder and waits until it answers. env: all that it has."""
    process = subprocess.Popen(
        command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        if found:
            threading.Thread(target=process.stdout.read, daemon=True).start()  # never let the pipe fill
            wait_until_it_answers(found.group(), process)
            return Server(process, found.group(), workspace)
    raise AssertionError("the server ended at once:\n" + "".join(seen))


def wait_until_it_answers(url: str, process: subprocess.Popen[str]) -> None:
    """Until the server's health page answers; it prints its address a moment before."""
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=5):
                return
        except OSError:
            time.sleep(0.05)
    process.kill()
    raise AssertionError(f"no answer from {url}; exit code {process.poll()}")
