"""The rows of the fault suite: fault, injected how, what is expected, what was seen; printed when the session ends."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import pytest

LONG = os.environ.get("LFDASH_FAULTS") == "long"  # make faults
Test = TypeVar("Test", bound=Callable[..., object])


@dataclass
class Row:
    """One line of the table. `counts`: faults, restarts, inputs (bad ones tried), lost (runs), copies (second ones)."""

    fault: str
    how: str
    expected: str
    seen: str = ""
    result: str = "not run"
    counts: Counter[str] = field(default_factory=Counter)

    def note(self, seen: str, **counts: int) -> None:
        """What was seen, and how much of it; a row may be noted several times."""
        self.seen = f"{self.seen}; {seen}" if self.seen and seen not in self.seen else self.seen or seen
        self.counts.update(counts)


def fault(name: str, *, how: str, expected: str) -> Callable[[Test], Test]:
    """Makes a test a row of the table. The test takes the fixture `row` and notes what it saw."""
    mark = pytest.mark.fault_row(fault=name, how=how, expected=expected)
    return lambda test: mark(test)


def summary(rows: list[Row]) -> list[str]:
    """The table as lines, and the figures at its end."""
    found = [row for row in rows if row.result != "skipped"]
    lines = []
    for row in rows:
        lines.append(f"{row.result.upper():7} {row.fault}")
        for name in ("how", "expected", "seen"):
            lines.append(f"        {name:8} {getattr(row, name) or '-'}")
    total = sum((row.counts for row in found), Counter[str]())
    tried = sum(max(1, row.counts["faults"]) for row in found)
    survived = sum(max(1, row.counts["faults"]) for row in found if row.result == "passed")
    lines.append(
        f"faults survived {survived} of {tried} ({len(found)} kinds), restarts survived {total['restarts']}, "
        f"bad inputs {total['inputs']}, runs lost {total['lost']}, second copies {total['copies']}"
    )
    return lines
