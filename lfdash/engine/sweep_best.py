"""What comes after a sweep: its best settings trained for longer, and the weights of its best run exported."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lfdash.engine.loading import job_for_run, weights_in
from lfdash.engine.services import Services
from lfdash.engine.sweep_views import SweepView, TrialView
from lfdash.jobs.fields import BY_ID
from lfdash.jobs.job import JobConfig
from lfdash.jobs.kinds import MERGING
from lfdash.jobs.sweep import with_values
from lfdash.outcomes import Refused, Value
from lfdash.runs.view import RunView

EPOCHS, STEPS = "train.num_train_epochs", "train.max_steps"
USUAL_EPOCHS = 3.0  # transformers' num_train_epochs (training_args.py)
MOST_TIMES = 100.0


@dataclass(frozen=True)
class Longer:
    """The job with a trial's settings that trains for longer. field: whose value is larger; before, now: its value."""

    job: JobConfig
    field: str
    before: float
    now: float


def longer(view: SweepView, trial: TrialView, times: float) -> Longer | Refused:
    """A new training with the settings of a trial, for `times` as many steps where the job counts steps, else epochs;
    without a name. It begins anew: what the trial has learned is not taken over, so that the learning rate's schedule
    fits. Refused: sweep_times."""
    if not 1 < times <= MOST_TIMES:
        return Refused("sweep_times", {"value": f"{times:g}", "most": f"{MOST_TIMES:g}"})
    job = with_values(view.sweep, view.job, trial.values, trial.number, "")
    values: dict[str, Value] = {name: value for name, value in job.values.items() if name != f"{job.kind}.output_dir"}
    steps = job.get(STEPS)
    if isinstance(steps, int) and steps > 0:
        now = math.ceil(steps * times)
        return Longer(JobConfig(job.kind, {**values, STEPS: now}, job.extra), STEPS, steps, now)
    given = job.values.get(EPOCHS)
    before = float(given) if isinstance(given, int | float) else USUAL_EPOCHS
    most = BY_ID[EPOCHS].max
    epochs = before * times if most is None else min(before * times, float(most))
    return Longer(JobConfig(job.kind, {**values, EPOCHS: epochs}, job.extra), EPOCHS, before, epochs)


def why_not_exported(view: RunView | None) -> Refused | None:
    """Why the weights of a run cannot be exported; None when they can. Refused: sweep_best_gone, as `weights_in`."""
    if view is None:
        return Refused("sweep_best_gone")
    folder = weights_in(view)
    return folder if isinstance(folder, Refused) else None


def export_job(services: Services, view: RunView | None) -> JobConfig | Refused:
    """The export of what a run has saved. Refused: sweep_best_gone, as `job_for_run`."""
    return Refused("sweep_best_gone") if view is None else job_for_run(services, MERGING, view)
