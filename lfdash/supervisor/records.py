"""The small files by which an attempt is told to stop and tells how it ended. Standard library only."""

from __future__ import annotations

import json
import os
from typing import Any

from lfdash.supervisor.failpoints import hit

LEVELS = ("graceful", "term", "kill")


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


def fill(reserve: str, target: str, content: dict[str, Any], point: str) -> None:
    """Writes JSON into space that was reserved before and renames it: neither needs a free block. OSError."""
    with open(reserve, "r+b", buffering=0) as file:
        file.write(json.dumps(content).encode() + b"\n")
        file.truncate()
        os.fsync(file.fileno())
    hit(point)
    os.rename(reserve, target)
    sync_folder(os.path.dirname(target) or ".")
