"""An alert, and what a rule is asked about and answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Self

from msgspec import Meta

from lfdash.errors import RecordError
from lfdash.files import as_record
from lfdash.runs.alerts.levels import LossLevels
from lfdash.runs.alerts.machine import MachineWindow
from lfdash.runs.record import Finite, Text
from lfdash.runs.view import RunView

Name = Annotated[str, Meta(pattern=r"^[a-z_]{1,30}\Z")]
LATEST = 253402300000.0  # the end of the year 9999; no calendar goes further
Value = str | float | int


@dataclass(frozen=True)
class Alert:
    """A rule was true. run_id, run, attempt: of which run ("", "", 0: of the workspace). occasion: what tells two
    alerts of one rule apart; of each occasion an attempt has one alert. step: since which step, None where that says
    nothing. time: when it was seen, epoch seconds. params: fill the rule's text."""

    rule: Name
    run_id: Text
    run: Text
    attempt: int
    occasion: Text
    step: int | None
    time: Finite
    params: Mapping[str, Value] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, int, str]:
        """What there is one alert of, in a run's folder."""
        return self.rule, self.attempt, self.occasion

    @property
    def id(self) -> str:
        """The same among all runs."""
        return "/".join((self.run_id, self.rule, str(self.attempt), self.occasion))

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """The alert that a line of a file holds. RecordError for what is none."""
        found = as_record(cls, data, "an alert")
        if not all(name.isidentifier() for name in found.params):
            raise RecordError("an alert cannot be read: odd names")
        if not 0 <= found.time < LATEST:
            raise RecordError("an alert cannot be read: no date has that time")
        return found


@dataclass(frozen=True)
class Found:
    """A rule is true: since which step, of which occasion, and what its text is filled with."""

    step: int | None = None
    params: Mapping[str, Value] = field(default_factory=dict)
    occasion: str = ""

    def alert(self, rule: str, view: RunView | None, now: float) -> Alert:
        """The alert that it makes. view: the run that was looked at; None = the workspace."""
        run_id, run, attempt = (view.run_id, view.name, view.attempt) if view else ("", "", 0)
        return Alert(rule, run_id, run, attempt, self.occasion, self.step, now, self.params)


@dataclass(frozen=True)
class Disk:
    """The disk of the workspace. free: bytes. hours: until it is full as it fills now; None = it does not, or that is
    not known. day: of the look, as a word: of each there may be one alert."""

    free: float | None = None
    hours: float | None = None
    day: str = ""


@dataclass(frozen=True)
class Facts:
    """What is known at one look. view: the run; None when the workspace is looked at. levels: its losses, None while
    this attempt has logged none. machine: the last minutes of its devices. waiting: the jobs that wait, in order."""

    view: RunView | None = None
    levels: LossLevels | None = None
    machine: MachineWindow | None = None
    disk: Disk | None = None
    waiting: tuple[RunView, ...] = ()


def stopped_by(alert: Alert, refused: str = "") -> Alert:
    """That lfdash has asked the run of an alert to stop, and why; refused: why that could not be asked."""
    params: dict[str, Value] = {"rule": alert.rule, "refused": refused}
    return replace(alert, rule=STOP, occasion=alert.rule, params=params)


STOP = "auto_stop"  # no rule: what was done on an alert
