"""The last minutes of the machine as the rules look at them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

KEEP_S = 3600.0  # of what was seen
GAP_S = 120.0  # between two looks, after which nothing is known of the time before


@dataclass(frozen=True)
class Look:
    """The machine at `time` (epoch seconds), as far as one run is concerned: percent, None = not known. load: of the
    busiest of its devices. memory: of the fullest of them. ram: main memory."""

    time: float
    load: float | None = None
    memory: float | None = None
    ram: float | None = None


@dataclass
class MachineWindow:
    """What was seen of late, oldest first."""

    looks: deque[Look] = field(default_factory=deque)

    def add(self, look: Look) -> None:
        """Takes a look that is newer than the last one; others are known."""
        if self.looks and look.time <= self.looks[-1].time:
            return
        if self.looks and look.time - self.looks[-1].time > GAP_S:
            self.looks.clear()
        self.looks.append(look)
        while self.looks[0].time < look.time - KEEP_S:
            self.looks.popleft()

    def lasting(self, name: str, seconds: float) -> tuple[float, float] | None:
        """(lowest, highest) of what was seen in the last `seconds`; None where that is not known for all of it.

        name: a quantity of `Look`.
        """
        if not self.looks:
            return None
        begin = self.looks[-1].time - seconds
        if self.looks[0].time > begin:
            return None
        values: list[float] = []
        for look in reversed(self.looks):
            value: float | None = getattr(look, name)
            if value is None:
                return None
            values.append(value)
            if look.time <= begin:
                break
        return min(values), max(values)
