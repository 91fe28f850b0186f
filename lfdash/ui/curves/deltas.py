"""What a browser has been sent of one place of the page, so that only what is new travels.

A message has a number, `seq`, and says by `base` on which one it stands; None where it says all. `parts`: what changed,
by name, None for what is gone. `lines`: of each line that changed, how many of its points stay, and those after them.
A browser that is somewhere else asks for all (see lfdash/ui/browser/deltas.js, the other half of this).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Points = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
DIGITS = 6  # of a value: more than can be seen or read
LARGEST = 1e300  # no browser draws more


@dataclass
class Sent:
    """What the browser has, if every message came. signature: of what it belongs to; another one begins anew."""

    signature: Any = None
    seq: int = 0
    parts: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, Points] = field(default_factory=dict)

    def message(self, signature: Any, parts: Mapping[str, Any], lines: Mapping[str, Points]) -> dict[str, Any]:
        """What is to be sent so that the browser has these parts and lines, and no others; counted as sent. parts:
        none is None, and none is changed afterwards."""
        base: int | None = self.seq
        if self.seq == 0 or signature != self.signature:
            base, self.signature, self.parts, self.lines = None, signature, {}, {}
        changed: dict[str, Any] = {name: value for name, value in parts.items() if self.parts.get(name) != value}
        changed |= {name: None for name in self.parts if name not in parts}
        drawn: dict[str, Any] = {}
        for name, points in lines.items():
            keep = alike(self.lines.get(name), points)
            if name not in self.lines or keep < len(points[0]) or keep < len(self.lines[name][0]):
                drawn[name] = [keep, *(short(column[keep:]) for column in points)]
        drawn |= {name: None for name in self.lines if name not in lines}
        self.parts, self.lines = dict(parts), dict(lines)
        if base is None or changed or drawn:
            self.seq += 1
        message = {"seq": self.seq, "base": base, "parts": changed, "lines": drawn}
        return {name: value for name, value in message.items() if value != {}}

    def forget(self) -> None:
        """The browser has nothing of it, or not that: the next message says all."""
        self.signature = None
        self.parts, self.lines = {}, {}
        self.seq += 1


def alike(before: Points | None, points: Points) -> int:
    """How many points at the beginning are the same."""
    if before is None:
        return 0
    most = min(len(before[0]), len(points[0]))
    other = (before[0][:most] != points[0][:most]) | (before[1][:most] != points[1][:most])
    return int(np.argmax(other)) if other.any() else most


def short(values: npt.NDArray[np.float64]) -> list[float]:
    """Numbers as they travel: with six digits, whole ones as they are."""
    clipped = np.clip(values, -LARGEST, LARGEST)
    return [int(value) if value == int(value) and abs(value) < 2**53 else float(f"{value:.{DIGITS}g}")
            for value in clipped.tolist()]
