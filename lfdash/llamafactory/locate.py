"""Finds the `llamafactory-cli` to run; it may live in another environment than the dashboard."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lfdash.files import open_plain
from lfdash.outcomes import Refused

NAME = "llamafactory-cli"
VARIABLE = "LFDASH_CLI"


@dataclass(frozen=True)
class Cli:
    """A llamafactory-cli that exists. python: the interpreter it runs with; None when that cannot be told."""

    path: str
    python: str | None


def find_cli(env: Mapping[str, str]) -> Cli | Refused:
    """LFDASH_CLI (a path or a name on PATH; nothing else is tried then), beside this Python, on PATH.

    Refused: blocked_variable (LFDASH_CLI names one that is not there), blocked_cli (none was found).
    """
    wanted = env.get(VARIABLE, "").strip()
    path = env.get("PATH", os.defpath)
    if wanted:
        found = shutil.which(os.path.expanduser(wanted), path=path)
        return described(found) if found else Refused("blocked_variable")
    beside = os.path.join(os.path.dirname(sys.executable), NAME)
    found = shutil.which(beside) or shutil.which(NAME, path=path)
    return described(found) if found else Refused("blocked_cli")


def described(path: str) -> Cli:
    """A CLI with the interpreter that its first lines name, else the python beside it."""
    path = os.path.abspath(path)
    python = shebang(path) or os.path.join(os.path.dirname(path), "python")
    return Cli(path, python if os.access(python, os.X_OK) else None)


def shebang(path: str) -> str | None:
    """The interpreter in a script's first line, also behind `/usr/bin/env` and in the form that installers
    write for long paths (`#!/bin/sh` and `'''exec' /long/path/python "$0" "$@"`)."""
    try:
        with open_plain(Path(path), follow=True) as file:
            first, second = (file.readline(4096).decode("utf-8", "replace").strip() for _ in range(2))
    except OSError:
        return None
    match = re.match(r"'''exec' \"?([^\"]+?)\"? \"\$0\"", second)
    if match:
        return match[1]
    words = first.removeprefix("#!").split() if first.startswith("#!") else []
    if len(words) > 1 and os.path.basename(words[0]) == "env":
        return shutil.which(words[-1])
    return words[0] if words and "python" in os.path.basename(words[0]) else None
