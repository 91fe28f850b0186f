"""JobConfig <-> LLaMA-Factory's arguments. Pure: no files, no clock, no machine.

Two laws hold for everything: `build_args(job_from_args(m)) == m` for every mapping m, and
`build_args(load(dump(job))) == build_args(job)`. Whatever a field would not give back exactly stays an extra
argument.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lfdash.jobs import converters
from lfdash.jobs.field import Field
from lfdash.jobs.fields import ROWS, arguments
from lfdash.jobs.job import JobConfig, coerce
from lfdash.jobs.kinds import kind_of, named
from lfdash.outcomes import Value

HUB = "hub"  # stands in a row's `env` for the variables that choose the hub
# llamafactory/extras/misc.py, use_modelscope and use_openmind; Hugging Face is what it takes without them
HUBS: Mapping[str, Mapping[str, str]] = {
    "huggingface": {},
    "modelscope": {"USE_MODELSCOPE_HUB": "1"},
    "openmind": {"USE_OPENMIND_HUB": "1"},
}


def build_args(job: JobConfig) -> dict[str, Any]:
    """LLaMA-Factory's arguments: every given field that applies, then the extra ones."""
    args: dict[str, Any] = {}
    for row in ROWS[job.kind]:
        if job.sends(row):
            args.update(row_args(row, job))
    args.update(job.extra)
    return args


def row_args(row: Field, job: JobConfig) -> dict[str, Any]:
    """What one row sends."""
    value = job.values[row.id]
    sent = {arguments(row)[0]: value} if row.to_args is None else row.to_args(value, job.get)
    return converters.as_given(sent, job.get)


def build_env(job: JobConfig, args: Mapping[str, Any] | None = None) -> dict[str, str]:
    """The environment that a job asks for, without secrets. args: the job's own, where they are made already.

    LLaMA-Factory refuses DeepSpeed that was not started by torchrun (hparams/parser.py).
    """
    env: dict[str, str] = dict(named(job.kind).env)
    for row in ROWS[job.kind]:
        if row.env and job.sends(row):
            value = job.values[row.id]
            if row.env == HUB:
                env.update(HUBS[str(value)])
                continue
            env[row.env] = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    if (build_args(job) if args is None else args).get("deepspeed"):
        env["FORCE_TORCHRUN"] = "1"
    return env


def hub_of(env: Mapping[str, str]) -> str | None:
    """The hub that an environment asks for; None when it asks for none."""
    return next((hub for hub, wanted in HUBS.items() if wanted and wanted.items() <= env.items()), None)


def secret_names(job: JobConfig) -> tuple[str, ...]:
    """The environment variables whose values the launch adds and nothing ever writes down."""
    typed = tuple(row.secret for row in ROWS[job.kind] if row.secret and job.sends(row))
    return (*typed, *named(job.kind).made_secrets)


def job_from_args(args: Mapping[str, Any], env: Mapping[str, str] | None = None, kind: str | None = None) -> JobConfig:
    """The job that arguments (and the environment that a file names) mean. Never loses or changes one.

    kind: the name of what they are for, where it is known better than they say.
    """
    kind = kind or kind_of(args).name
    values = {**values_from_env(env or {}, kind), **values_from_args(args, kind)}
    while True:
        job = JobConfig(kind, values)
        made = build_args(job)
        wrong = [row.id for row in ROWS[kind] if row.id in values and not comes_back(row, job, made, args)]
        if not wrong:
            extra = {key: value for key, value in args.items() if key not in made}
            return JobConfig(kind, values, extra)
        for field_id in wrong:
            del values[field_id]


def comes_back(row: Field, job: JobConfig, made: Mapping[str, Any], args: Mapping[str, Any]) -> bool:
    """Whether a row applies and everything it sends is what the arguments say."""
    if not job.sends(row):
        return False
    return all(key in args and same(made[key], args[key]) for key in row_args(row, job))


def same(a: Any, b: Any) -> bool:
    """Equal, and not just as True equals 1."""
    return bool(a == b) and isinstance(a, bool) == isinstance(b, bool)


def values_from_args(args: Mapping[str, Any], kind: str) -> dict[str, Value]:
    """For every row the value that the arguments suggest."""
    values: dict[str, Value] = {}
    plain = converters.as_text(args)
    for row in ROWS[kind]:
        if row.from_args is not None:
            raw = row.from_args(args if row.hidden else plain)
        else:
            names = arguments(row)
            raw = plain.get(names[0]) if names else None
        got = coerce(row, raw)
        if got.value is not None:
            values[row.id] = got.value
    return values


def values_from_env(env: Mapping[str, str], kind: str) -> dict[str, Value]:
    """For every row that goes to the environment the value that it has there."""
    values: dict[str, Value] = {}
    for row in ROWS[kind]:
        got = coerce(row, hub_of(env) if row.env == HUB else env.get(row.env) if row.env else None)
        if got.value is not None:
            values[row.id] = got.value
    return values
