"""A copy of the project that a test may change: what the tables promise is tried there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support import ROOT

FOLDERS = ("lfdash", "pages", "configs", "tests", "tools")
FILES = ("app.py", "pyproject.toml", "README.md")


class Copy:
    """The project's files below `root`, as far as its tests need them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in FOLDERS:
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in FILES:
            shutil.copy(ROOT / name, root / name)

    def put(self, file: str, before: str, text: str) -> None:
        """Puts a text where a pattern is found in a file, which must be once (lines begin at `^`)."""
        path = self.root / file
        source = path.read_text(encoding="utf-8")
        (place,) = re.finditer(before, source, re.MULTILINE)
        path.write_text(source[: place.start()] + text + source[place.start() :], encoding="utf-8")

    def add(self, file: str, text: str) -> None:
        """Writes a new file."""
        path = self.root / file
        assert not path.exists(), file
        path.write_text(text, encoding="utf-8")

    def say(self, section: str, text: str) -> None:
        """Adds a line to the English texts."""
        self.put("lfdash/locales/en.toml", rf"(?<=^\[{section}\]\n)", f"{text}\n")

    def run(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Runs a Python program in the copy, with the copy's lfdash."""
        return subprocess.run(
            [sys.executable, *words], cwd=self.root, env={**os.environ, "PYTHONPATH": str(self.root), **env},
            capture_output=True, text=True, timeout=300,
        )

    def test(self, *words: str, **env: str) -> str:
        """Runs tests of the copy, which must pass (those that need LLaMA-Factory are left out); what pytest said."""
        done = self.run("-m", "pytest", "-v", "-p", "no:cacheprovider", "-m", "not train_env", *words, **env)
        assert done.returncode == 0, done.stdout[-2500:] + done.stderr
        return done.stdout

    def golden(self) -> None:
        """`make golden`, without the tests that write none."""
        golden = ("tests/jobs/test_args.py", "tests/ui/shared/test_charts.py", "tests/ui/curves/test_specs.py")
        self.test("-k", "golden", *golden, LFDASH_GOLDEN="write")

    def shows(self, what: str, *words: str) -> dict[str, Any]:
        """What a part of tests/programs/promises.py finds in the copy."""
        done = self.run("-m", "tests.programs.promises", what, str(self.root / "workspace"), *words)
        assert done.returncode == 0, done.stdout + done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer
