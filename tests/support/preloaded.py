"""A LLaMA-Factory that starts in no time: its interpreter is a fork of one that has imported everything.

For tests of what a run does. What concerns its processes (Stop, kill, torchrun) needs the real llamafactory-cli: the
fork is not a descendant of whoever starts it. `hindrance` in programs/preloaded.py says which starts it hands on to the
real interpreter.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock

from lfdash.llamafactory.locate import NAME, Cli
from tests.support import PROGRAMS
from tests.support.runs import wait_for

# What every command of LLaMA-Factory imports, and what a training does.
MODULES = ("llamafactory.cli", "llamafactory.launcher", "llamafactory.train.tuner")
SECONDS = 240.0  # the imports take 5 idle


def preload(real: Cli, folder: Path, owner: int, modules: Sequence[str] = MODULES) -> Cli:
    """A stand-in for `real`, whose python must be known; started unless one serves in that folder already.

    owner: the process with which it ends. modules: what it imports beforehand.
    """
    assert real.python is not None
    folder.mkdir(exist_ok=True)
    found = Cli(str(folder / NAME), str(folder / "python"))
    with FileLock(folder / "lock"):
        if not answers(folder):
            start([real.python, str(PROGRAMS / "preloaded.py"), str(folder), str(owner), *modules], folder)
            install(real, found, folder)
    return found


def answers(folder: Path) -> bool:
    """Whether a server listens there."""
    place = os.open(folder, os.O_PATH)
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(f"/proc/self/fd/{place}/socket")  # the path itself may be too long
    except OSError:
        return False
    finally:
        os.close(place)
    return True


def start(command: list[str], folder: Path) -> None:
    """Starts a server of that folder and waits until it can be asked."""
    for name in ("socket", "socket.new"):  # of one that ended
        (folder / name).unlink(missing_ok=True)
    log = folder / "server.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )

    def ready() -> bool:
        assert process.poll() is None, log.read_text()
        return answers(folder)

    wait_for(ready, SECONDS)
    process.returncode = 0  # nobody waits for it: it ends with its owner


def install(real: Cli, stand_in: Cli, folder: Path) -> None:
    """Writes the two programs of the stand-in; a script may name another script as its interpreter."""
    client = (PROGRAMS / "preloaded_python.py").read_text(encoding="utf-8")
    command = "import sys\nfrom llamafactory.cli import main\nsys.exit(main())\n"
    for path, text in (
        (stand_in.python, f"#!{real.python} -IS\n{client}"),
        (stand_in.path, f"#!{stand_in.python}\n{command}"),
    ):
        assert path is not None
        Path(path).write_text(text, encoding="utf-8")
        Path(path).chmod(0o755)
