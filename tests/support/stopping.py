"""The rules by which a sweep stops runs early, plain and slow, as their papers and the guide say them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median

from lfdash.jobs.sweep import Sweep


@dataclass
class Plain:
    """What the rules have seen of a sweep. at: run -> what it has logged, by percent; over: runs that are complete;
    pruned: the others that have ended; rungs: rung -> the values of the runs that have come to it, by run."""

    sweep: Sweep
    at: dict[int, dict[int, float]] = field(default_factory=dict)
    over: set[int] = field(default_factory=set)
    pruned: set[int] = field(default_factory=set)
    rungs: dict[int, dict[int, float]] = field(default_factory=dict)

    def look(self, run: int, values: Mapping[int, float]) -> bool:
        """A run has logged so much; whether it should be stopped now."""
        seen = self.at.setdefault(run, {})
        rule = {"median": self.below_median, "halving": self.below_third}[self.sweep.stop_early]
        hopeless = False
        for percent in sorted(values):
            if percent not in seen:
                seen[percent] = values[percent]
                hopeless |= rule(run, percent)
        return hopeless and len(self.over) + len(self.pruned) >= self.sweep.after_trials

    def better(self, one: float, other: float) -> bool:
        return one < other if self.sweep.direction == "minimize" else one > other

    def below_median(self, run: int, percent: int) -> bool:
        """Whether the best of a run is worse than the median of the complete ones at the same percent."""
        others = [self.at[other][percent] for other in self.over if percent in self.at.get(other, {})]
        if percent < self.sweep.after_percent or len(self.over) < max(1, self.sweep.after_trials) or not others:
            return False
        best = (min if self.sweep.direction == "minimize" else max)(self.at[run].values())
        return self.better(median(others), best)

    def below_third(self, run: int, percent: int) -> bool:
        """Whether a run is not among the best third of those that have come to the next rung: the first is at
        `after_percent`, each further one three times as far. Of fewer than three the best one goes on."""
        rung = max(1, self.sweep.after_percent)
        while percent >= rung:
            come = self.rungs.setdefault(rung, {})
            if run not in come:
                value = self.at[run][percent]
                come[run] = value
                if sum(self.better(other, value) for other in come.values()) >= max(1, len(come) // 3):
                    return True
            rung *= 3
        return False
