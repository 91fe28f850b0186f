"""What is known of a run that failed: its cause, and a bundle of files for whoever is asked about it."""

from __future__ import annotations

import importlib.metadata
import io
import json
import platform
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from lfdash.runs.console import last_lines
from lfdash.runs.diagnose import Diagnosis, diagnose
from lfdash.runs.log_reader import tail_bytes
from lfdash.runs.results import experiment_link
from lfdash.runs.view import RunView

CONSOLE_END = 1 << 20  # bytes of the console log that a bundle holds
SMALL = 1 << 18  # bytes of any other file
# what a scheduler says of a job is another cause where nothing of it was begun
UNBEGUN = {"slurm_ended": "slurm_unbegun", "ray_ended": "ray_unbegun"}


def explain(view: RunView) -> Diagnosis | None:
    """The known cause of a failed run, from what its newest attempt printed and how it ended; None when unknown."""
    try:
        log = view.paths.printed
        own = log == view.paths.console
        printed = last_lines(log, view.paths.attempt(view.attempt).console_start() if own else 0)
    except OSError:  # its error line is known all the same
        printed = []
    found = diagnose(printed, view.exit_code, view.error)
    if found is not None and view.never_began and found.id in UNBEGUN:
        return replace(found, id=UNBEGUN[found.id])
    return found


def bundle(view: RunView, packages: Mapping[str, str], redact: Callable[[str], str]) -> bytes:
    """A ZIP for a bug report: the run's records and logs, and the versions of what ran it.

    packages: distribution -> version in LLaMA-Factory's environment. redact: takes secrets out of a text;
    every file goes through it. No weights, no data.
    """
    paths = view.paths
    files = {path.name: end_of(path, SMALL) for path in (
        paths.record, paths.training_args, paths.exit, paths.running_log, paths.trainer_log, paths.trainer_state,
    )}
    files[paths.console.name] = end_of(paths.console, CONSOLE_END)
    files["shim.log"] = end_of(paths.attempt(view.attempt).shim_log, SMALL)
    files["summary.json"] = json.dumps(summary(view, packages), indent=2, ensure_ascii=False).encode()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            if content:
                archive.writestr(name, redact(content.decode("utf-8", "replace")))
    return stream.getvalue()


def end_of(path: Path, size: int) -> bytes:
    """The end of a file, or why it could not be read."""
    try:
        return tail_bytes(path, size)
    except OSError as error:
        return f"could not be read: {error.strerror}\n".encode()


def summary(view: RunView, packages: Mapping[str, str]) -> dict[str, object]:
    """How the run ended, on what, and the cause where it is known."""
    found = explain(view)
    return {
        "run": view.name,
        "state": view.state.name,
        "attempt": view.attempt,
        "exit_code": view.exit_code,
        "error": view.error,
        "cause": found and {"id": found.id, "line": found.line},
        "link": experiment_link(view.paths),
        "lfdash": importlib.metadata.version("lfdash"),
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": dict(sorted(packages.items())),
    }
