"""Several runs in one submission, where their scheduler takes them so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lfdash.engine.handing import Handing
from lfdash.engine.later import Later
from lfdash.engine.rights import Right
from lfdash.launchers.base import Array, ArrayLauncher, ArrayTask, Launched
from lfdash.outcomes import Refused
from lfdash.queue.commands import taken
from lfdash.queue.store import QueueEntry
from lfdash.runs.plan import LaunchPlan
from lfdash.runs.record import RunRecord


@dataclass(frozen=True)
class ArrayStart:
    """Starts arrays of runs. entries: the jobs that wait."""

    handing: Handing
    entries: Callable[[], tuple[QueueEntry, ...]]

    def launch(
        self, jobs: Sequence[tuple[LaunchPlan, RunRecord]], array: Array
    ) -> tuple[Launched, ...] | Refused:
        """Starts runs of one target in one submission: all, or none. Its scheduler gives the devices out.

        Refused: as `Dispatcher.launch`; of one of them its id is in the params (`run_id`).
        """
        for plan, _ in jobs:
            refused = self.handing.unfit(plan)
            if refused is not None:
                return of_run(refused, plan)
        return self.handing.with_right(lambda right: self._launch(right, jobs, array))

    def _launch(
        self, right: Right, jobs: Sequence[tuple[LaunchPlan, RunRecord]], array: Array
    ) -> tuple[Launched, ...] | Refused | Later[tuple[Launched, ...] | Refused]:
        entries, tasks = self.entries(), []
        for plan, record in jobs:
            may = right.to_start(plan, record)
            missing = self.handing.missing(plan)
            if missing:
                may = Refused("secret_missing", {"name": ", ".join(missing)})
            elif taken(plan, entries):
                may = Refused("exists", {"path": plan.output_dir})
            if isinstance(may, Refused):
                return of_run(may, plan)
            tasks.append(ArrayTask(plan, may, self.handing.secrets(plan)))
        launcher = self.handing.launcher(jobs[0][1])
        assert isinstance(launcher, ArrayLauncher)
        plans = [plan for plan, _ in jobs]
        notes = [self.handing.note_place(plan) for plan in plans]

        def settle(outcome: tuple[Launched, ...] | Refused) -> tuple[Launched, ...] | Refused:
            if isinstance(outcome, Refused):
                for plan, note in zip(plans, notes, strict=True):
                    self.handing.undone(plan, note)
            else:
                for launched in outcome:
                    self.handing.watcher.hold(launched.run_id, launched.handle)
            return outcome

        return self.handing.apart(right, lambda: launcher.submit_array(array, tasks), settle, plans[-1])


def of_run(refused: Refused, plan: LaunchPlan) -> Refused:
    """A refusal of one of several runs."""
    return Refused(refused.code, {**refused.params, "run_id": plan.run_id})
