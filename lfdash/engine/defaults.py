"""What is filled into a job before it is shown or run: a fresh name, what this machine decides, the model's name."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any

from lfdash.engine.context import MODEL, PATH, known_model
from lfdash.engine.on_target import facts_of, target_of, usual_gpus
from lfdash.engine.services import Services
from lfdash.jobs.fields import BY_ID
from lfdash.jobs.job import JobConfig
from lfdash.outcomes import Value

MULTIMODAL = "top.multimodal"

Note = tuple[str, dict[str, Any]]  # key of a text, and its parameters


def now() -> datetime:
    """The local time, in one place so that tests can set it."""
    return datetime.now()


def fresh_name(services: Services, stem: str, differs: str = "") -> str:
    """A run name that no run of the workspace has: `<stem>-<MMDD>-<HHMM>`; where that is taken what differs from the
    preset behind it, else the second of now, else `-2`, `-3`... on top.

    differs: "lr2e-5_r16"; "" when nothing does.
    """
    base = f"{stem}-{now():%m%d-%H%M}"
    taken = {view.name for view in services.registry.snapshot()}
    if base not in taken:
        return base
    base = f"{base}-{differs}" if differs else f"{base}{now():%S}"
    name, n = base, 1
    while name in taken:
        n += 1
        name = f"{base}-{n}"
    return name


def fit_to_machine(services: Services, job: JobConfig) -> tuple[JobConfig, list[Note]]:
    """The job with what this machine decides, where it runs here: compute type without a GPU, preprocessing workers.

    Returns the job and what was changed, as text keys with parameters, so that it can be said.
    """
    if not services.launcher_on(job.target).local:
        return fit_to_target(services, job)
    values = dict(job.values)
    notes: list[Note] = []
    compute = values.get("train.compute_type")
    if services.devices.gpu_count == 0 and compute in ("bf16", "pure_bf16", "fp16"):
        values["train.compute_type"] = "fp32"
        notes.append(("ui.note_cpu_compute", {"was": compute}))
    elif services.devices.gpus and not services.devices.bf16 and compute in ("bf16", "pure_bf16"):
        values["train.compute_type"] = "fp16"
        notes.append(("ui.note_old_gpu", {"was": compute}))
    workers = f"{job.kind}.preprocessing_num_workers"
    if workers in BY_ID and values.get(workers) is None:
        values[workers] = min(16, os.cpu_count() or 1)
    return JobConfig(job.kind, values, job.extra), notes


def fit_to_target(services: Services, job: JobConfig) -> tuple[JobConfig, list[Note]]:
    """The same for a cluster, as far as its last test told; what is not known is left as it is."""
    target = target_of(services, job)
    found = facts_of(services, target)
    compute = job.values.get("train.compute_type")
    if target is None or found is None or found.gpus is None or compute not in ("bf16", "pure_bf16", "fp16"):
        return job, []
    params = {"was": compute, "target": target.name}
    if not found.gpus and not job.get("train.gpu_count") and not usual_gpus(target):
        fitted, note = "fp32", "target.note_no_gpu"
    elif found.gpus and found.bf16 is False and compute != "fp16":
        fitted, note = "fp16", "target.note_old_gpu"
    else:
        return job, []
    return JobConfig(job.kind, {**job.values, "train.compute_type": fitted}, job.extra), [(note, params)]


def with_model_name(services: Services, job: JobConfig) -> JobConfig:
    """The job with the name of its model filled in when its path is a known one."""
    found = known_model(services, job.values.get(PATH))
    if found is None or MODEL in job.values:
        return job
    name, multimodal = found
    known: dict[str, Value] = {MODEL: name}
    if multimodal:
        known[MULTIMODAL] = True
    return JobConfig(job.kind, {**job.values, **known}, job.extra)


def with_model_path(services: Services, job: JobConfig) -> JobConfig:
    """The job with the path of its model filled in when only its name is given, and that is a known one: what
    LlamaBoard's saved form needs, which keeps the name alone."""
    model = services.upstream.models.get(str(job.values.get(MODEL) or ""))
    if model is None or not model.paths or PATH in job.values:
        return job
    hub = str(job.values.get("top.hub_name") or "huggingface")
    path = model.paths.get(hub) or next(iter(model.paths.values()))
    return JobConfig(job.kind, {**job.values, PATH: path}, job.extra)
