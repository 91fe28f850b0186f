"""Asks the installed LLaMA-Factory something, in its own interpreter: a program of `scripts/`, JSON in and out."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from lfdash.llamafactory.locate import Cli
from lfdash.outcomes import Refused
from lfdash.runs.plan import UNSET

LOOK_S = 0.25  # between two looks at whether somebody wants it stopped
SCRIPTS = Path(__file__).with_name("scripts")
# What would make LLaMA-Factory believe that it is a rank or a run of a board, should the dashboard be started in one.
HIDDEN = frozenset({*UNSET, "LLAMABOARD_ENABLED", "LLAMABOARD_WORKDIR"})


class Answers(Protocol):
    """What may answer in place of a fresh interpreter (`warm.Warm`)."""

    def answer(
        self, script: str, arguments: Sequence[str], env: Mapping[str, str], cwd: Path | None, timeout: float,
        streams: tuple[int, int, int],
    ) -> int | None:
        """The exit code of a program; None: ask a fresh interpreter. TimeoutError."""
        ...


def ask(
    cli: Cli,
    script: str,
    payload: Any = None,
    *,
    arguments: Sequence[str] = (),
    timeout: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    warm: Answers | None = None,
    stop: threading.Event | None = None,
) -> str | Refused:
    """What the program `scripts/<script>.py` prints; takes as long as LLaMA-Factory's imports (8 s idle).

    payload: JSON for its standard input. timeout: seconds. env: set beside what is inherited. warm: is asked first.
    stop: ends it once it is set; not what `warm` runs.
    Refused: asked_python (the interpreter of the llamafactory-cli is not known), asked_time (no answer in so many
    seconds), asked_exit (it ended and said nothing; reason: the exit code), asked_said (reason: its last line),
    asked_stopped.
    """
    if cli.python is None:
        return Refused("asked_python", {"reason": cli.path})
    whole = {**{key: value for key, value in os.environ.items() if key not in HIDDEN}, **(env or {})}
    try:
        done = ask_warm(warm, script, payload, arguments, timeout, cwd, whole) if warm is not None else None
        if done is None:
            command = [cli.python, str(SCRIPTS / f"{script}.py"), *arguments]
            done = finished(command, json.dumps(payload), timeout, cwd, whole, stop)
        if done is None:
            return Refused("asked_stopped")
    except (subprocess.TimeoutExpired, TimeoutError):
        return Refused("asked_time", {"reason": f"{timeout:g}"})
    except OSError as error:
        return Refused("asked_said", {"reason": str(error)})
    if done.returncode == 0:
        return done.stdout
    lines = done.stderr.strip().splitlines()
    return Refused("asked_said", {"reason": lines[-1]}) if lines else Refused("asked_exit", {"reason": done.returncode})


def finished(
    command: Sequence[str], given: str, timeout: float, cwd: Path | None, env: Mapping[str, str],
    stop: threading.Event | None,
) -> subprocess.CompletedProcess[str] | None:
    """A program that has ended by itself; None when it was stopped. subprocess.TimeoutExpired, OSError."""
    end = time.monotonic() + timeout
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
        errors="replace", cwd=cwd, env=env,
    ) as process:
        text: str | None = given
        try:
            while True:
                left = end - time.monotonic()
                try:
                    out, err = process.communicate(text, timeout=max(0.0, left if stop is None else min(left, LOOK_S)))
                    return subprocess.CompletedProcess(command, process.returncode, out, err)
                except subprocess.TimeoutExpired:
                    text = None  # it goes on with what it was given
                    if stop is not None and stop.is_set():
                        return None
                    if time.monotonic() >= end:
                        raise
        finally:
            process.kill()  # nothing, once it has ended


def ask_warm(
    warm: Answers, script: str, payload: Any, arguments: Sequence[str], timeout: float, cwd: Path | None,
    env: Mapping[str, str],
) -> subprocess.CompletedProcess[str] | None:
    """What a program printed in a fork of the warm process; None when that does not run it. TimeoutError."""
    with ExitStack() as stack:
        given, out, err = (stack.enter_context(memory_file()) for _ in range(3))
        given.write(json.dumps(payload).encode())
        given.seek(0)
        code = warm.answer(script, arguments, env, cwd, timeout, (given.fileno(), out.fileno(), err.fileno()))
        if code is None:
            return None
        out.seek(0)  # the place in it is the child's, too
        err.seek(0)
        printed, said = (stream.read().decode("utf-8", "replace") for stream in (out, err))
        return subprocess.CompletedProcess([script], code, printed, said)


def memory_file() -> BinaryIO:
    """A file without a name and without a disk."""
    return open(os.memfd_create("lfdash"), "w+b", 0)


def ask_json(cli: Cli, script: str, payload: Any, **options: Any) -> Any | Refused:
    """As `ask`, with the printed JSON read."""
    text = ask(cli, script, payload, **options)
    if isinstance(text, Refused):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        return Refused("asked_said", {"reason": str(error)})
