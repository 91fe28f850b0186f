"""`lfdash queue FILE`: puts a job behind those that wait."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lfdash.cli.commands import command, file_argument, set_option, target_option
from lfdash.cli.jobs import hand_over
from lfdash.cli.terminal import Terminal


@command("queue", file_argument, set_option, target_option)
def queue(terminal: Terminal, file: str, changes: Mapping[str, Any], target: str | None) -> int:
    """The job that waits now, here or on its cluster."""
    return hand_over(terminal, file, changes, "queue", target)
