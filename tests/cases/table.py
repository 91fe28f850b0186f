"""The table of the cases (cases.toml)."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from tests.support import FIXTURES

FILE = Path(__file__).with_name("cases.toml")


@dataclass(frozen=True)
class Case:
    """An input, and what is wanted of the dashboard."""

    file: Path
    wanted: str

    @property
    def text(self) -> str:
        """What the input holds."""
        return self.file.read_text(encoding="utf-8")


CASES = {
    number: Case(FIXTURES / row["file"], row["wanted"])
    for number, row in tomllib.loads(FILE.read_text(encoding="utf-8")).items()
}
