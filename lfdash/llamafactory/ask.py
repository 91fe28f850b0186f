"""Asks the installed LLaMA-Factory something, in its own interpreter: a program of `scripts/`, JSON in and out."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lfdash.llamafactory.locate import Cli
from lfdash.outcomes import Refused
from lfdash.runs.plan import UNSET

SCRIPTS = Path(__file__).with_name("scripts")
# What would make LLaMA-Factory believe that it is a rank or a run of a board, should the dashboard be started in one.
HIDDEN = frozenset({*UNSET, "LLAMABOARD_ENABLED", "LLAMABOARD_WORKDIR"})


def ask(
    cli: Cli,
    script: str,
    payload: Any = None,
    *,
    arguments: Sequence[str] = (),
    timeout: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> str | Refused:
    """What the program `scripts/<script>.py` prints; takes as long as LLaMA-Factory's imports (8 s idle).

    payload: JSON for its standard input. timeout: seconds. env: set beside what is inherited.
    Refused: asked_python (the interpreter of the llamafactory-cli is not known), asked_time (no answer in so many
    seconds), asked_exit (it ended and said nothing; reason: the exit code), asked_said (reason: its last line).
    """
    if cli.python is None:
        return Refused("asked_python", {"reason": cli.path})
    inherited = {key: value for key, value in os.environ.items() if key not in HIDDEN}
    try:
        done = subprocess.run(
            [cli.python, str(SCRIPTS / f"{script}.py"), *arguments],
            input=json.dumps(payload),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            cwd=cwd,
            env={**inherited, **(env or {})},
        )
    except subprocess.TimeoutExpired:
        return Refused("asked_time", {"reason": f"{timeout:g}"})
    except OSError as error:
        return Refused("asked_said", {"reason": str(error)})
    if done.returncode == 0:
        return done.stdout
    lines = done.stderr.strip().splitlines()
    return Refused("asked_said", {"reason": lines[-1]}) if lines else Refused("asked_exit", {"reason": done.returncode})


def ask_json(cli: Cli, script: str, payload: Any, **options: Any) -> Any | Refused:
    """As `ask`, with the printed JSON read."""
    text = ask(cli, script, payload, **options)
    if isinstance(text, Refused):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        return Refused("asked_said", {"reason": str(error)})
