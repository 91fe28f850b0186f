"""Changes of a job in terms of LLaMA-Factory's arguments, and what a cure of the form changes in those terms. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lfdash.jobs.args import build_args, build_env, job_from_args, row_args
from lfdash.jobs.cures import with_fix
from lfdash.jobs.fields import BY_ID, ROWS, arguments
from lfdash.jobs.job import JobConfig
from lfdash.jobs.rules import EXTRA
from lfdash.outcomes import Problem, Value

OUTPUT = "output_dir"
AS_LISTS = "top.as_lists"
MODEL_NAME = "top.model_name"
OF_THE_MODEL = {MODEL_NAME, "top.multimodal"}


def with_arguments(job: JobConfig, changes: Mapping[str, Any]) -> JobConfig:
    """The job with some of LLaMA-Factory's arguments changed; None takes one out.

    What no argument says (secrets, names, values that do not apply now) stays as it was; but another model does not
    keep the name of the one before.
    """
    args = {name: value for name, value in {**build_args(job), **changes}.items() if value is not None}
    meant = job_from_args(args, build_env(job))
    silent = {row.id for row in ROWS[meant.kind] if not job.sends(row) or not row_args(row, job)}
    silent.discard(AS_LISTS)  # what is a list now
    if "model_name_or_path" in changes:
        silent -= OF_THE_MODEL
        if OUTPUT not in changes:  # the folder is the old model's, and follows the new one
            meant = replace(meant, values={name: value for name, value in meant.values.items() if name != MODEL_NAME})
    kept = {name: value for name, value in job.values.items() if name in silent}
    return replace(meant, values={**kept, **meant.values})


def fix_arguments(job: JobConfig, fix: Mapping[str, Value | None] | None) -> dict[str, Any] | None:
    """What a cure changes in a job: argument (or variable of its environment) -> new value, None = taken out.

    None when it changes nothing that LLaMA-Factory is given.
    """
    if not fix:
        return None
    cured = with_fix(job, fix)
    changed = difference(build_args(job), build_args(cured))
    if f"{job.kind}.output_dir" not in fix and OUTPUT not in job.extra:
        changed.pop(OUTPUT, None)  # the run's folder follows from its model and method
    return changed or difference(build_env(job), build_env(cured)) or None


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What of `after` is new or other than `before`; None for what is gone."""
    changed = {name: value for name, value in after.items() if name not in before or before[name] != value}
    return {**dict.fromkeys(name for name in before if name not in after), **changed}


def argument_of(job: JobConfig, problem: Problem) -> str | None:
    """The argument that a problem is about; the variable of a field that sets one, the field's own name where it has
    neither; None for the whole job."""
    row = BY_ID.get(problem.field or "")
    name = problem.params.get("name")
    if problem.field == EXTRA or (row is not None and name in arguments(row)):
        return None if name is None else str(name)
    if row is None:
        return problem.field
    sent = tuple(row_args(row, job)) if job.sends(row) else ()
    return next(iter((*sent, *arguments(row))), None) or row.secret or row.env or row.name
