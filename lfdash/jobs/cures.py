"""What cures a problem: a change of arguments as a change of the form, which is then what is sent. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lfdash.jobs.args import build_args, build_env, job_from_args, same
from lfdash.jobs.fields import BY_ID, BY_KIND_ARG, arguments
from lfdash.jobs.job import JobConfig
from lfdash.outcomes import Problem, Value

EXTRA_PREFIX = "extra."  # of a cure's key that is an argument without a field


def cure(job: JobConfig, changes: Mapping[str, Any]) -> dict[str, Value | None]:
    """A change of arguments as a change of the form: field ids, and `extra.NAME` for an argument that no field sends.

    changes: argument -> its new value, None = taken out. With the answer the job's arguments are changed so: where a
    field would keep a value without sending it (it does not apply now), the argument goes beside the fields.
    """
    args = {name: value for name, value in {**build_args(job), **changes}.items() if value is not None}
    meant = job_from_args(args, build_env(job), job.kind)
    fix: dict[str, Value | None] = {}
    for name, value in changes.items():
        row = BY_KIND_ARG[job.kind].get(name)
        if name in job.extra:
            fix[EXTRA_PREFIX + name] = None
        if row is not None and (value is None or row.id in meant.values or job.sends(row)):
            fix[row.id] = meant.values.get(row.id)
    sent = build_args(with_fix(job, fix))
    for name, value in changes.items():
        if value is not None and not (name in sent and same(sent[name], value)):
            fix[EXTRA_PREFIX + name] = value
            row = BY_KIND_ARG[job.kind].get(name)
            if row is not None and not job.sends(row):
                fix.pop(row.id, None)
    return fix


def whole(job: JobConfig, problem: Problem) -> Problem:
    """A problem whose cure also takes away the extra arguments that would be sent instead of the fields it sets."""
    if problem.fix is None:
        return problem
    names = {name for target in problem.fix if target in BY_ID for name in arguments(BY_ID[target])}
    gone = {EXTRA_PREFIX + name: None for name in names & job.extra.keys()}
    return replace(problem, fix={**gone, **problem.fix})


def with_fix(job: JobConfig, fix: Mapping[str, Value | None]) -> JobConfig:
    """The job after the cure of a problem; a key `extra.NAME` is an argument without a field."""
    values, extra = dict(job.values), dict(job.extra)
    for target, value in fix.items():
        part, name = (extra, target.removeprefix(EXTRA_PREFIX)) if target.startswith(EXTRA_PREFIX) else (values, target)
        if value is None:
            part.pop(name, None)
        else:
            part[name] = value
    return replace(job, values=values, extra=extra)
