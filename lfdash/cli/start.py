"""`lfdash start FILE`: starts a run, which goes on when the command has ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lfdash.cli.commands import command, file_argument, flag, set_option, target_option
from lfdash.cli.jobs import hand_over
from lfdash.cli.terminal import Terminal


@command("start", file_argument, set_option, target_option, flag("beside"))
def start(terminal: Terminal, file: str, changes: Mapping[str, Any], target: str | None, beside: bool) -> int:
    """The run that was started, or why none was."""
    return hand_over(terminal, file, changes, "beside" if beside else "start", target)
