"""What comes after a sweep: its best settings trained for longer, and the weights of its best run exported."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

from lfdash.engine.chat_jobs import arguments_of, weights_in
from lfdash.engine.defaults import with_model_name
from lfdash.engine.resume import stored
from lfdash.engine.services import Services
from lfdash.engine.sweep_views import SweepView, TrialView
from lfdash.jobs.args import job_from_args
from lfdash.jobs.fields import BY_ID
from lfdash.jobs.job import JobConfig
from lfdash.jobs.secret_arguments import clean
from lfdash.jobs.sweep import with_values
from lfdash.outcomes import Refused, Value
from lfdash.runs.view import RunView

EPOCHS, STEPS = "train.num_train_epochs", "train.max_steps"
USUAL_EPOCHS = 3.0  # transformers' num_train_epochs (training_args.py)
MOST_TIMES = 100.0
EXPORT = "export"  # the kind (lfdash.jobs.kinds)
# of what loads a model: what `llamafactory-cli export` merges an adapter by; a quantized model cannot be merged into
MERGES = frozenset({
    "model_name_or_path", "adapter_name_or_path", "adapter_folder", "template", "finetuning_type", "trust_remote_code",
    "cache_dir", "model_revision", "resize_vocab", "add_tokens", "add_special_tokens", "new_special_tokens_config",
    "split_special_tokens", "use_fast_tokenizer",
})


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
    """Why the weights of a run cannot be exported; None when they can."""
    if view is None:
        return Refused("sweep_best_gone")
    if view.waiting is not None or not (view.saved.model or view.saved.checkpoints):
        return Refused("sweep_best_unsaved")
    return Refused("no_configuration") if stored(view) is None else None


def export_job(services: Services, view: RunView | None) -> JobConfig | Refused:
    """The export of what a run has saved, into a folder of its name. Refused: as `why_not_exported`."""
    refused = why_not_exported(view)
    document = stored(view) if view is not None else None
    if view is None or document is None or refused is not None:
        return refused or Refused("no_configuration")
    args = arguments_of(document.args, weights_in(view))
    merges = {name: value for name, value in args.items() if name in MERGES}
    job = job_from_args({**merges, "export_dir": free_folder(services, f"models/{view.name}")}, {}, EXPORT)
    return with_model_name(services, clean(job).job)


def free_folder(services: Services, stem: str) -> str:
    """A folder of the workspace that is not there yet."""
    folder, number = stem, 1
    while os.path.lexists(services.workspace.root / folder):
        number += 1
        folder = f"{stem}-{number}"
    return folder
