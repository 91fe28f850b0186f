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
    case: str = ""
    seen: str = ""
    result: str = "not run"
    counts: Counter[str] = field(default_factory=Counter)

    def note(self, seen: str, **counts: int) -> None:
        """What was seen, and how much of it; a row may be noted several times."""
        if seen not in self.seen:
            self.seen = f"{self.seen}; {seen}" if self.seen else seen
        self.counts.update(counts)


def fault(name: str, *, how: str, expected: str) -> Callable[[Test], Test]:
    """Makes a test a row of the table. The test takes the fixture `row` and notes what it saw."""
    mark = pytest.mark.fault_row(fault=name, how=how, expected=expected)
    return lambda test: mark(test)


def summary(rows: list[Row]) -> list[str]:
    """The table as lines, cases of one fault together, and the figures at its end."""
    kinds: dict[str, list[Row]] = {}
    for row in rows:
        kinds.setdefault(row.fault, []).append(row)
    lines = [line for cases in kinds.values() for line in describe(cases)]
    found = [row for row in rows if row.result != "skipped"]
    total = sum((row.counts for row in found), Counter[str]())
    tried = sum(max(1, row.counts["faults"]) for row in found)
    survived = sum(max(1, row.counts["faults"]) for row in found if row.result == "passed")
    lines.append(
        f"faults survived {survived} of {tried} ({len(kinds)} kinds), restarts survived {total['restarts']}, "
        f"bad inputs {total['inputs']}, runs lost {total['lost']}, second copies {total['copies']}"
    )
    return lines


def describe(cases: list[Row]) -> list[str]:
    """The lines of one kind of fault."""
    first = cases[0]
    results = Counter(row.result for row in cases)
    times = sum(max(1, row.counts["faults"]) for row in cases)
    seen = Counter(part for row in cases for part in row.seen.split("; ") if part)
    shown = [f"{count} x {part}" if count > 1 else part for part, count in seen.most_common(6)]
    lines = [f"{', '.join(f'{count} {result}' for result, count in sorted(results.items()))}: {first.fault} ({times})"]
    told = {"how": first.how, "expected": first.expected, "seen": "; ".join(shown) or "-"}
    lines += [f"    {name:9} {text}" for name, text in told.items()]
    return lines + [f"    {row.result}: {row.case}" for row in cases if row.result not in ("passed", "skipped")]
