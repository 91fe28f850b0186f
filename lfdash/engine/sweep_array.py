"""A sweep whose runs go to a scheduler that takes several in one submission: an array of them is handed over at once,
and the scheduler keeps to how many go on at a time.

Only where no run is chosen by the results of earlier ones (grid, random). A next array follows when none of the last
one's runs goes on any more. Exactly once, as for one run: the journal names the runs, their folders are made, and the
array is submitted; a run that was made and whose array never came is taken away and made anew.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lfdash.engine import context
from lfdash.engine.plans import Prepared, prepare
from lfdash.engine.services import Services
from lfdash.engine.sweep_records import SweepRecord
from lfdash.engine.sweep_target import LASTING, Handover, together
from lfdash.engine.sweep_turn import Turn, replaced_name
from lfdash.engine.sweep_views import planned
from lfdash.jobs import checks
from lfdash.jobs.job import JobConfig
from lfdash.jobs.sweep import Sweep, with_values
from lfdash.jobs.sweep_values import name_of
from lfdash.launchers.base import Array, ArrayLauncher
from lfdash.launchers.slurm_script import array_name
from lfdash.outcomes import Refused
from lfdash.supervisor import failpoints

if TYPE_CHECKING:  # Optuna is loaded when there is a sweep
    from optuna.trial import FrozenTrial

    from lfdash.engine.sweep_study import Study

logger = logging.getLogger(__name__)


def turn_of(services: Services, record: SweepRecord, study: Study, handover: Handover) -> Turn:
    """A turn of a sweep, as its target takes runs."""
    found = together(services, record.job, record.sweep)
    if isinstance(found, Refused):
        handover.unknown[record.id] = found
        return WaitingTurn(services, record, study, handover)
    handover.unknown.pop(record.id, None)
    return Turn(services, record, study, handover) if found is None else ArrayTurn(
        services, record, study, handover, *found
    )


def preview(services: Services, job: JobConfig, sweep: Sweep, sweep_id: str) -> str | Refused:
    """What is submitted for the first runs of a grid that gets that id; "" where runs are handed over one by one, and
    where their values are not drawn yet. Each job of it runs the script of its own run: that of `Prepared.plan`, which
    lies in the run's folder. Refused: it is not known just now how many runs an array may have."""
    found = together(services, job, sweep)
    runs = planned(sweep)
    if isinstance(found, Refused):
        return found
    if found is None or not runs:
        return ""
    launcher, most = found
    waiting = {entry.paths.root for entry in services.registry.queue.jobs.entries()}
    names: set[str] = set()

    def taken(name: str) -> bool:  # as `Turn.named`
        root = services.workspace.root / replaced_name(job, name).folder
        return name in names or root in waiting or root.exists()

    plans = []
    for number, run in enumerate(runs[:most]):
        names.add(name := name_of(run.values.items(), taken))
        plans.append(prepare(services, replaced_name(with_values(sweep, job, run.values, number, "x"), name), "").plan)
    return launcher.array_script(plans, array_name(sweep_id), min(sweep.parallel, len(plans)))


class WaitingTurn(Turn):
    """A turn that hands nothing over: it is not known just now how."""

    def lost(self, trial: FrozenTrial) -> None:
        """A trial that was named and not handed over has to wait."""

    def go_on(self) -> None:
        """The next ones have to."""


class ArrayTurn(Turn):
    """A turn that hands several trials over at once, `most` of them at most."""

    def __init__(
        self, services: Services, record: SweepRecord, study: Study, handover: Handover, launcher: ArrayLauncher,
        most: int,
    ) -> None:
        super().__init__(services, record, study, handover)
        self.launcher = launcher
        self.most = min(most, handover.most.get(record.id, most))

    def lost(self, trial: FrozenTrial) -> None:
        """A trial that was named and not handed over is in the next array."""

    def go_on(self) -> None:
        """Hands the next trials over, once no trial of the last array goes on any more."""
        from optuna.trial import TrialState

        going = [one for one in self.study.trials if one.state is TrialState.RUNNING]
        if self.rests() or self.services.registry.queue.jobs.settings().paused:
            return
        if any(one.user_attrs.get("queued") or self.is_there(one) for one in going):
            return
        while len(going) < self.most and self.study.left:
            asked = self.study.ask()
            if asked is None:
                break
            failpoints.hit("array.asked")
            if self.is_there(asked):  # of a journal that was put back: it is looked at in the next turn
                return
            going.append(asked)
        self.submit(going[: self.most])

    def submit(self, trials: Sequence[FrozenTrial]) -> None:
        """Submits trials, named and checked: those that ask for the same as the first."""
        made: list[tuple[FrozenTrial, Prepared]] = []
        for trial in trials:
            ready = self.ready(trial, [one.plan.output_dir for _, one in made])
            if ready is not None:
                made.append(ready)
        kinds = [self.launcher.alike(one.plan) for _, one in made]
        made = [pair for pair, kind in zip(made, kinds, strict=True) if kind == kinds[0]]
        if not made:
            return
        record, sweep = self.record, self.sweep
        script = self.services.workspace.private / "sweeps" / record.id / "arrays"
        array = Array(
            array_name(record.id), min(sweep.parallel, len(made)), script / f"{made[0][0].number}.sh"
        )
        jobs = [(one.plan, one.record) for _, one in made]
        outcome = self.services.registry.dispatcher.arrays.launch(jobs, array)
        failpoints.hit("array.queued")
        if isinstance(outcome, Refused):
            self.refused(made, outcome)
            return
        self.handover.accepted(record.id, self.launcher_name)
        for trial, _ in made:
            self.study.note(trial, queued=True)

    def ready(self, trial: FrozenTrial, names: Sequence[str]) -> tuple[FrozenTrial, Prepared] | None:
        """A trial that can be submitted; None for one whose job has problems, which is told. names: folders that
        others of its array will have."""
        from optuna.trial import TrialState

        trial, job = self.named(trial, names)
        errors = [one for one in checks.problems(job, context.of(self.services, job)) if one.level == "error"]
        if errors:
            self.study.tell(trial, TrialState.FAIL, reason="problems")
            return None
        return trial, prepare(self.services, job, f"sweep {self.record.name}", self.run_id(trial))

    def refused(self, made: Sequence[tuple[FrozenTrial, Prepared]], outcome: Refused) -> None:
        """What a refusal means: for one trial, or for all."""
        from optuna.trial import TrialState

        culprit = next((trial for trial, one in made if one.plan.run_id == outcome.params.get("run_id")), None)
        if culprit is not None and outcome.code in LASTING:
            self.study.tell(culprit, TrialState.FAIL, reason=outcome.code)
            return
        if culprit is not None and outcome.code == "exists":  # somebody took the name in this moment
            self.study.note(culprit, name="")
            return
        logger.warning("%d trials of sweep %s have to wait: %s", len(made), self.record.id, outcome.code)
        self.handover.refused(self.record.id, self.launcher_name, outcome, len(made))
