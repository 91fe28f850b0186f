"""Reads a configuration of any of the three kinds into a job, and says what became of each of its keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lfdash.errors import ConfigError
from lfdash.jobs.args import job_from_args
from lfdash.jobs.fields import BY_ARG, BY_ID, arguments
from lfdash.jobs.job import JobConfig, coerce
from lfdash.jobs.llamaboard_format import job_from_state
from lfdash.jobs.secret_arguments import clean
from lfdash.jobs.yaml_format import load
from lfdash.outcomes import Problem

BOARD_SCOPES = ("top.", "train.")


@dataclass(frozen=True)
class Loaded:
    """A configuration as a job.

    kind: "llamafactory" (its arguments; ours are the same) or "llamaboard" (its saved form). fields: how many
    settings of the form are given. extra: arguments kept under More arguments. unfit: among those, arguments
    that have a field but a value it cannot hold. unknown: keys of LlamaBoard's file that mean nothing to us.
    secrets: arguments that are now in a secret field; left_out: secret ones that have no such field.
    """

    job: JobConfig
    kind: Literal["llamafactory", "llamaboard"]
    fields: int
    extra: tuple[str, ...]
    unfit: tuple[Problem, ...]
    unknown: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def read_config(text: str, is_multimodal: Callable[[str], bool] = lambda _name: False) -> Loaded:
    """Reads YAML or JSON: LLaMA-Factory's arguments, LlamaBoard's saved form, or our own file.

    is_multimodal: whether a model (LlamaBoard's name) takes images. ConfigError says why a text is none of them.
    """
    document = load(text)
    if not document.args:
        raise ConfigError("empty", "it holds no setting")
    if any(key.startswith(BOARD_SCOPES) for key in document.args):
        return read_board(document.args, is_multimodal)
    job = job_from_args(document.args, document.env)
    return described(job, "llamafactory")


def read_board(state: Mapping[str, Any], is_multimodal: Callable[[str], bool]) -> Loaded:
    """LlamaBoard's saved form; keys that it has and we do not are named."""
    elements = {key: value for key, value in state.items() if value is not None}
    try:
        job = job_from_state(elements, multimodal=is_multimodal(str(state.get("top.model_name"))))
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError("board", "this LlamaBoard file cannot be read: {what}", what=str(error)) from error
    known = {"train.extra_args", "train.config_path", "train.swanlab_link", "top.lang"}
    unknown = tuple(
        key
        for key in state
        if key not in BY_ID and key not in known and not key.startswith(("eval.", "infer.", "export."))
    )
    return described(job, "llamaboard", unknown)


def described(job: JobConfig, kind: Literal["llamafactory", "llamaboard"], unknown: tuple[str, ...] = ()) -> Loaded:
    """A job with the account of its keys; what would be a secret in a file is taken out of its arguments."""
    found = clean(job)
    job = found.job
    told = tuple(job.extra), tuple(unfit(job.extra)), unknown
    return Loaded(job, kind, len(job.values), *told, found.moved, found.dropped)


def unfit(extra: Mapping[str, Any]) -> list[Problem]:
    """Extra arguments whose own field refuses their value."""
    found = []
    for name, value in extra.items():
        row = BY_ARG.get(name)
        if row is None or row.to_args is not None or arguments(row) != (name,):
            continue
        problem = coerce(row, value).problem
        if problem is not None:
            found.append(problem)
    return found
