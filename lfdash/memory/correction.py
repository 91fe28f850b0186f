"""By how much past runs were off an estimate, and what that makes of another one. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

Figure = Literal["allocated", "reserved", "driver"]
MOST = 0.15  # share that an estimate is corrected by at most; further off, something else was measured
# Bytes that a card, a driver or a version may take more or less whatever the training: the CUDA context was 0.74 GiB on
# an H200 (docs/benchmarks.md), and 0.3 to 0.8 are told of other cards.
CONSTANT = 1 << 29


@dataclass(frozen=True)
class Off:
    """One figure of past runs against the same figure of their estimates: ratio, and bytes."""

    ratio: float
    gap: int

    @property
    def is_far(self) -> bool:
        """Whether it is too far off to correct anything by it."""
        return abs(self.ratio - 1) > MOST and abs(self.gap) > CONSTANT

    def of(self, size: int) -> int:
        """A figure of another training, corrected. A gap so small that it may be the same for every training counts by
        its bytes where its share would be more: that of a tiny model says little of a large one."""
        more = (self.ratio - 1) * size
        most = MOST * size if abs(self.gap) > CONSTANT else min(MOST * size, abs(self.gap))
        return size + round(max(-most, min(most, more)))


@dataclass(frozen=True)
class Learned:
    """What past runs say of trainings of one kind (`learned.PastRuns`).

    allocated, reserved, driver: each compared with the same figure; None where no run has it. What the card showed
    (driver) counts only where PyTorch logged nothing. run: the name of the nearest; runs: how many.
    """

    run: str
    runs: int
    allocated: Off | None = None
    reserved: Off | None = None
    driver: Off | None = None

    @property
    def figures(self) -> Mapping[Figure, Off | None]:
        """All three by name."""
        return {"allocated": self.allocated, "reserved": self.reserved, "driver": self.driver}

    @property
    def differs(self) -> bool:
        """Whether they are too far off to correct anything."""
        return any(off is not None and off.is_far for off in self.figures.values())

    @property
    def compared(self) -> Figure:
        """Which figure decides what must be free on the card."""
        return "reserved" if self.reserved else "driver" if self.driver else "allocated"


class Past(Protocol):
    """Past runs on such a card."""

    def of(self, kind: tuple[object, ...]) -> Learned | None:
        """What they say of trainings of a kind (`Subject.kind`); None where nothing."""
