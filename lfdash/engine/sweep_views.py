"""A sweep as it is shown: its trials as the journal tells them, its best, and the runs that a grid would have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from lfdash.engine.sweep_records import SweepRecord
from lfdash.jobs.job import JobConfig
from lfdash.jobs.sweep import Sweep
from lfdash.jobs.sweep_values import key_of, name_of
from lfdash.outcomes import Value

if TYPE_CHECKING:  # Optuna is loaded when there is a sweep
    from lfdash.engine.sweep_study import Study

TrialStatus = Literal["waiting", "running", "complete", "pruned", "failed", "stopped"]
ENDED = ("complete", "pruned", "failed")
REASONS = ("problems", "gone", "by_hand", "no_metric", "dead", "failed")  # that have words of their own
STATUS: dict[str, TrialStatus] = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running"}


@dataclass(frozen=True)
class TrialView:
    """A trial as it is shown. values: by field id. run_id: of its run. state: "stopped" by the sweep's stop. value: of
    its metric: of a complete trial by `sweep_value.measured`, of a pruned one the last one known. at, of: of a complete
    trial's value, see `Measured`; None of one that an older lfdash measured, by its best value. reason: why it failed:
    the code of a text in the locales' [sweep]. error: what its run said then. percent: how far its run was when it was
    last reported. superseded: whether its values are tried again since, or wait for it. repeats: the number of the
    trial whose values it tries again. tries: how many runs these have had with it."""

    number: int
    values: dict[str, Value]
    run_id: str
    name: str
    state: TrialStatus
    value: float | None = None
    reason: str = ""
    percent: int | None = None
    at: int | None = None
    error: str = ""
    superseded: bool = False
    repeats: int | None = None
    of: int | None = None
    tries: int = 1


@dataclass(frozen=True)
class SweepView:
    """A sweep as it is shown. state: "done" when nothing is left to be tried. count: of the runs that it will have.
    braked: whether it was stopped since its first runs failed. again: how many failed runs *Go on* tries again: those
    of a sweep that is over, or braked."""

    id: str
    name: str
    tag: str
    created: float
    state: Literal["going", "stopped", "done"]
    sweep: Sweep
    job: JobConfig
    count: int
    trials: tuple[TrialView, ...] = ()
    importance: dict[str, float] = field(default_factory=dict)
    braked: bool = False
    again: int = 0

    @property
    def last(self) -> list[TrialView]:
        """One trial for each setting of values: the last that was made, where they were tried again."""
        before = {one.repeats for one in self.trials}
        return [one for one in self.trials if one.number not in before]

    @property
    def complete(self) -> list[TrialView]:
        """The trials whose value is known for good, the best first."""
        done = [one for one in self.trials if one.state == "complete" and one.value is not None]
        sign = 1 if self.sweep.direction == "minimize" else -1
        return sorted(done, key=lambda one: (sign * (one.value or 0.0), one.number))

    @property
    def best(self) -> TrialView | None:
        """The complete trial with the best value."""
        return next(iter(self.complete), None)

    @property
    def ended(self) -> int:
        """How many of its runs have ended, those aside that are tried again."""
        return sum(one.state in ENDED and not one.superseded for one in self.trials)

    @property
    def failed(self) -> list[TrialView]:
        """The failed trials that are not tried again."""
        return [one for one in self.trials if one.state == "failed" and not one.superseded]


def how_measured(view: SweepView, trial: TrialView, words: Callable[..., str]) -> str:
    """What a complete trial's value is, as a text. words: the text of a key in the reader's language."""
    if trial.of is not None and trial.of > 1:
        return words("sweep.by_median", count=trial.of, at=trial.at)
    key = "sweep.by_best" if view.sweep.metric.startswith("eval_") else "sweep.by_single"
    return words(key, at="?" if trial.at is None else trial.at)


def braked_by(view: SweepView, words: Callable[[str], str]) -> dict[str, Value]:
    """What the text sweep.braked takes. words: the text of a key in the reader's language."""
    failed = [one for one in view.failed if one.reason not in ("gone", "by_hand")]
    newest = next(reversed(failed), None)
    reason = "failed" if newest is None else newest.reason
    why = (newest.error.rstrip(".") if newest is not None else "") or words(
        f"sweep.why_{reason if reason in REASONS else 'refused'}"
    )
    return {"count": len(failed), "why": why}


@dataclass(frozen=True)
class PlannedRun:
    """A run that a sweep would have."""

    name: str
    values: dict[str, Value]


def planned(sweep: Sweep) -> tuple[PlannedRun, ...]:
    """The runs of a grid, in order, by the names that they have where those are free; none of a strategy that draws."""
    if sweep.strategy != "grid":
        return ()
    names: set[str] = set()
    found = []
    for values in sweep.grid():
        name = name_of(values.items(), names.__contains__)
        names.add(name)
        found.append(PlannedRun(name, values))
    return tuple(found)


def view_of(record: SweepRecord, study: Study) -> SweepView:
    """A sweep as its journal says."""
    from lfdash.engine.sweep_study import FAILED, is_repeat, run_id_of

    current = {one.number for one in study.current}
    trials: list[TrialView] = []
    tries: dict[int | None, int] = {}  # trial -> how many runs its values have had with it
    for one in study.trials:
        if is_repeat(one):
            continue
        reason = str(one.user_attrs.get("reason", ""))
        state = "stopped" if reason == "stopped" else STATUS[one.state.name]
        known, before = one.intermediate_values, one.user_attrs.get("again")
        tries[one.number] = tries.get(before, 0) + (reason != "taken")  # that one had no run
        trials.append(TrialView(
            one.number, dict(one.params), run_id_of(record.id, one.number), str(one.user_attrs.get("name", "")), state,
            one.value if one.value is not None else known[max(known)] if known else None,
            reason, max(known, default=None), one.user_attrs.get("at"),
            str(one.user_attrs.get("error", "")), one.number not in current, before,
            one.user_attrs.get("of"), tries[one.number],
        ))
    running = any(one.state == "running" for one in trials)
    left = study.left
    done = record.state == "going" and not running and not left
    state_now: Literal["going", "stopped", "done"] = "done" if done else record.state
    count = record.sweep.count
    return SweepView(
        record.id, record.name, record.tag, record.created, state_now, record.sweep, record.job, count, tuple(trials),
        {key_of_field(record.sweep, name): part for name, part in study.importance().items()},
        record.braked, len(study.ended_for(FAILED)) if done or record.braked else 0,
    )


def key_of_field(sweep: Sweep, field_id: str) -> str:
    """What a setting is called in the sweep's file."""
    return next(key_of(one.row) for one in sweep.dimensions if one.field == field_id)
