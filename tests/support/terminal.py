"""The command line in this process: its words, its exit code, what it says; and the end of what it has started."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lfdash.cli.main import run
from lfdash.engine.facade import open_workspace
from lfdash.runs.paths import marker
from lfdash.supervisor.processes import marked, send
from tests.support import ROOT

DEMO = ROOT / "configs" / "presets" / "demo.yaml"


@dataclass(frozen=True)
class Said:
    """What a command said. code: its exit code; out, err: standard output and error."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on standard output."""
        return json.loads(self.out)



def lfdash(*words: str | Path, stdin: str = "") -> Said:
    """Runs `lfdash WORDS`."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8"))
        code = run([str(word) for word in words], serve)
    return Said(code, out.getvalue(), err.getvalue())


SERVED: list[list[str]] = []  # what `serve` was called with, in place of a server


def serve(words: list[str]) -> None:
    SERVED.append(words)


def end_runs(folder: Path) -> None:
    """Kills what still runs in a workspace: nothing may outlive a failed test."""
    for view in open_workspace(folder, create=False).look():
        send(marked(marker(view.paths, view.attempt)), signal.SIGKILL)
