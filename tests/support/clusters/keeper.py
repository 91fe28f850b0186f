"""Keeps daemons that run off by themselves: all that it starts stays below it, and ends when its standard input does.

    python keeper.py     reads lines of JSON, {"argv": [...], "env": {...}, "cwd": ...}; answers with {"code", "out"}
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import time
from contextlib import suppress

from lfdash.supervisor.processes import descendants, kill

PR_SET_CHILD_SUBREAPER = 36


def reap() -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def serve() -> None:
    """Until nobody asks any more."""
    for line in sys.stdin:
        asked = json.loads(line)
        done = subprocess.run(
            asked["argv"], env=asked["env"], cwd=asked["cwd"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )
        reap()
        print(json.dumps({"code": done.returncode, "out": done.stdout[-4000:]}), flush=True)


def main() -> None:
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        with suppress(BrokenPipeError):  # who asked was ended meanwhile
            serve()
    finally:
        end = time.monotonic() + 30
        while (left := descendants(os.getpid())) and time.monotonic() < end:
            kill(left)
            reap()
            time.sleep(0.05)


if __name__ == "__main__":
    main()
