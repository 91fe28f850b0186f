"""A Slurm of programs that run nothing (tests/fixtures/fake_slurm.py): what it says and does is a test's wish."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.support import FIXTURES

PROGRAMS = ("sbatch", "squeue", "scontrol", "scancel")
GONE = "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)"
LIMIT = (
    "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy "
    "(job submit limit, user's size and/or time limits)"
)


class FakeSlurm:
    """Its programs come first in PATH. folder: of its files."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        folder.mkdir()
        text = (FIXTURES / "fake_slurm.py").read_text(encoding="utf-8").replace('"FOLDER"', repr(str(folder)))
        for name in PROGRAMS:
            (folder / name).write_text(f"#!{sys.executable} -IS\n{text}")
            (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def says(self, name: str, text: str = "") -> None:
        """Writes one of its files; "" takes it away."""
        path = self.folder / name
        path.write_text(text) if text else path.unlink(missing_ok=True)

    def calls(self, program: str) -> list[str]:
        """The calls of a program so far."""
        path = self.folder / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if line.split()[0] == program]

    def jobs(self) -> dict[str, int]:
        """Number of each job, or array -> how many it is."""
        path, found = self.folder / "jobs", {}
        for line in path.read_text().splitlines() if path.exists() else []:
            number = line.partition("|")[0].partition("_")[0]
            found[number] = found.get(number, 0) + 1
        return found
