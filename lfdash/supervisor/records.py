"""The small files by which an attempt may start, is told to stop and tells how it ended. Standard library only."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import Any

from lfdash.supervisor.failpoints import hit

LEVELS = ("graceful", "term", "kill")
RIGHT = "child.reserved"  # who renames it has the attempt's right to start, and there is one only
TAKEN = "child.taken"  # its name once the supervisor has it; the space becomes child.json
GIVEN_UP = "given-up"  # its name once nobody is to start the attempt
RESERVE = "exit.reserved"


def sync_folder(path: str) -> None:
    """Makes renames in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def wished(folder: str) -> str | None:
    """The hardest stop wish left in an attempt's folder."""
    return next((lv for lv in reversed(LEVELS) if os.path.exists(os.path.join(folder, f"stop.{lv}"))), None)


def take_right(folder: str) -> bool:
    """Takes the right to start an attempt, for good; False when it was used or given up. OSError: nothing was done."""
    try:
        os.rename(os.path.join(folder, RIGHT), os.path.join(folder, TAKEN))
    except FileNotFoundError:
        return False
    return True


def give_up(folder: str) -> bool:
    """Takes away the right to start an attempt, so that a supervisor which comes late leaves.

    True: nobody has started the attempt, and nobody ever will; also when it was given up before. False: a supervisor
    has used its right (while it lives it holds the lock), or there is no such attempt. OSError: nothing is known.
    """
    try:
        os.rename(os.path.join(folder, RIGHT), os.path.join(folder, GIVEN_UP))
    except FileNotFoundError:
        if not is_given_up(folder):
            return False
    with suppress(FileNotFoundError):  # a supervisor of 0.1 knows no right, but starts nothing without this file
        os.rename(os.path.join(folder, RESERVE), os.path.join(folder, f"exit.{GIVEN_UP}"))
    return True


def is_given_up(folder: str) -> bool:
    """Whether an attempt's right to start was taken away. OSError when that cannot be seen."""
    try:
        os.lstat(os.path.join(folder, GIVEN_UP))
    except FileNotFoundError:
        return False
    return True


def fill(reserve: str, target: str, content: dict[str, Any], point: str = "") -> None:
    """Writes JSON into space that was reserved before and renames it: neither needs a free block. OSError."""
    with open(reserve, "r+b", buffering=0) as file:
        file.write(json.dumps(content).encode() + b"\n")
        file.truncate()
        os.fsync(file.fileno())
    if point:
        hit(point)
    os.rename(reserve, target)
    sync_folder(os.path.dirname(target) or ".")
