"""RULES: every alert, one row each. The settings, their page, the texts (`[alerts]` of the locales) and the tests are
made from these rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from lfdash.runs.alerts import states, training
from lfdash.runs.alerts.alert import Facts, Found

Check = Callable[[Facts, Mapping[str, float]], Found | None]
About = Literal["run", "end", "workspace"]  # a run that goes on, one that is over, what belongs to none
Level = Literal["error", "warning", "info"]


@dataclass(frozen=True)
class Threshold:
    """A number that decides. unit: key of its word; whole: whether it has no fraction."""

    name: str
    default: float
    least: float
    most: float
    unit: str
    whole: bool = True

    def fits(self, value: object) -> bool:
        """Whether a value can be one."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return self.least <= value <= self.most and (not self.whole or value == int(value))


@dataclass(frozen=True)
class Rule:
    """What is told when. check: pure; gets the thresholds by name. stops: whether a run may be stopped on it. lasts:
    whether it is said of the run until somebody has read it; of others the page says itself when they are true. badge:
    whether the run is marked in lists."""

    name: str
    about: About
    level: Level
    check: Check
    thresholds: tuple[Threshold, ...] = ()
    stops: bool = False
    lasts: bool = True
    badge: bool = False


MINUTES = Threshold("minutes", 10, 1, 10_000, "minutes")

RULES = (
    Rule("nan", "run", "error", training.nan_loss, (Threshold("rows", 3, 3, 10_000, "rows"),), stops=True, badge=True),
    Rule(
        "diverged", "run", "error", training.diverged,
        (Threshold("rise", 75, 10, 10_000, "percent"), Threshold("rows", 5, 5, 50, "rows")), stops=True, badge=True,
    ),
    Rule(
        "plateau", "run", "warning", training.plateau,
        (
            Threshold("share", 40, 5, 100, "percent"), Threshold("steps", 300, 20, 10_000_000, "steps"),
            Threshold("gain", 0.5, 0.01, 50, "percent", whole=False),
        ),
        badge=True,
    ),
    Rule(
        "overfit", "run", "warning", training.overfit,
        (Threshold("evaluations", 3, 1, 1000, "evaluations"), Threshold("rise", 10, 0.1, 1000, "percent", whole=False)),
        badge=True,
    ),
    Rule("stall", "run", "warning", states.stalled, (Threshold("minutes", 1, 1, 10_000, "minutes"),), lasts=False),
    Rule("gpu_idle", "run", "warning", states.gpu_idle, (MINUTES, Threshold("load", 5, 1, 90, "percent"))),
    Rule(
        "gpu_memory", "run", "warning", states.gpu_memory,
        (Threshold("share", 98, 50, 100, "percent"), Threshold("minutes", 2, 1, 10_000, "minutes")),
    ),
    Rule(
        "ram", "run", "warning", states.main_memory,
        (Threshold("share", 95, 50, 100, "percent"), Threshold("minutes", 1, 1, 10_000, "minutes")),
    ),
    Rule(
        "disk", "workspace", "warning", states.disk_full,
        (Threshold("hours", 12, 1, 1000, "hours"), Threshold("free", 2, 0, 100_000, "gib", whole=False)),
    ),
    Rule("queue", "workspace", "warning", states.queue_blocked),
    Rule("failed", "end", "error", states.failed, lasts=False),
    Rule("ended", "end", "info", states.ended, lasts=False),
)
BY_NAME = {rule.name: rule for rule in RULES}
