"""Reads a configuration of any form into a job, and says what became of each of its keys."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from lfdash.errors import ConfigError
from lfdash.jobs.args import HUBS, job_from_args
from lfdash.jobs.command_format import Command, is_command, read_command
from lfdash.jobs.fields import BY_KIND_ARG, ROWS, arguments
from lfdash.jobs.foreign import refuse_foreign, refuse_many, refuse_unknown
from lfdash.jobs.job import JobConfig, coerce
from lfdash.jobs.llamaboard_format import SCOPES, Older, job_from_board
from lfdash.jobs.secret_arguments import clean
from lfdash.jobs.yaml_format import Document, load
from lfdash.outcomes import Problem

OPTION = re.compile(r"^[^#\n]*\s--[a-z]", re.MULTILINE)  # of a shell's command
Form = Literal["llamafactory", "llamaboard", "command"]
SET_BY_A_JOB = frozenset({"FORCE_TORCHRUN", "LLAMABOARD_ENABLED", "LLAMABOARD_WORKDIR", "PATH"})
NAMED = 10  # names that a sentence lists; of more it says how many


@dataclass(frozen=True)
class Loaded:
    """A configuration as a job.

    kind: "llamafactory" (its arguments; ours are the same), "llamaboard" (its saved form) or "command" (a shell command
    that starts it). fields: how many settings of the form are given. extra: arguments kept under More arguments.
    unfit: settings that have a field but a value it cannot hold: of LLaMA-Factory's they are among `extra`. unknown:
    keys of LlamaBoard's file that mean nothing to us. secrets: arguments that are now in a secret field; left_out:
    secret ones that have no such field. command: what else a shell command said. older: words of LlamaBoard's older
    versions; see `llamaboard_format.Board`. beside: the model's path, where it was found in a file beside a form that
    has none; "" else.
    """

    job: JobConfig
    kind: Form
    fields: int
    extra: tuple[str, ...]
    unfit: tuple[Problem, ...]
    unknown: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    command: Command | None = None
    older: tuple[Older, ...] = ()
    beside: str = ""

    @property
    def variables(self) -> tuple[str, ...]:
        """Variables that a command sets and a job does not keep, or whose value the text does not say."""
        if self.command is None:
            return ()
        dropped = [name for name in self.command.env if name not in kept_variables()]
        return (*dropped, *(name for name in self.command.unset_env if name not in SET_BY_A_JOB))


def few(names: Iterable[str]) -> list[str]:
    """The first names, and how many more there are."""
    all_names = list(names)
    more = len(all_names) - NAMED
    return [*all_names[:NAMED], f"+ {more}"] if more > 0 else all_names


def no_images(_model: str) -> bool:
    """What is asked of a model where nobody knows the models."""
    return False


def read_config(
    text: str,
    is_multimodal: Callable[[str], bool] = no_images,
    known: Collection[str] = frozenset(),
    read_file: Callable[[str], str | None] = lambda _path: None,
) -> Loaded:
    """Reads YAML or JSON (LLaMA-Factory's arguments, LlamaBoard's saved form, our own file) or a shell command.

    is_multimodal: whether a model (LlamaBoard's name) takes images. known: names of all arguments, beside those that
    have a field. read_file: the text of a file that a command names. ConfigError says why a text is none of them.
    """
    if is_command(text):
        return from_command(read_command(text, read_file))
    document = document_of(text)
    if not document.args:
        raise ConfigError("empty", "it holds no setting")
    refuse_many(document.args)
    if any(key.startswith(SCOPES) for key in document.args):
        return read_board(document.args, is_multimodal)
    refuse_foreign(document.args)
    if known:
        refuse_unknown(document.args, {*known, *(name for names in BY_KIND_ARG.values() for name in names)})
    return described(job_from_args(document.args, document.env), "llamafactory")


def document_of(text: str) -> Document:
    """A text's YAML or JSON. ConfigError, also for a shell script, which is none of another program."""
    no_command = ConfigError("no_command", "no command in it starts LLaMA-Factory")
    if text.startswith("#!"):
        raise no_command
    try:
        return load(text)
    except ConfigError:
        if OPTION.search(text):
            raise no_command from None
        raise


def from_command(command: Command) -> Loaded:
    """A command's arguments, with the variables before it that a job keeps; tokens among these go to their fields."""
    if not command.args:
        raise ConfigError("empty", "it holds no setting")
    refuse_many(command.args)
    job = job_from_args(command.args, command.env)
    secrets = {row.id: command.env[row.secret] for row in ROWS[job.kind] if row.secret and command.env.get(row.secret)}
    found = described(replace(job, values={**secrets, **job.values}), "command")
    names = tuple(row.secret for row in ROWS[job.kind] if row.id in secrets and row.secret)
    return replace(found, secrets=(*found.secrets, *names), command=command)


def kept_variables() -> frozenset[str]:
    """The variables that a job keeps, or sets by itself."""
    rows = {name for some in ROWS.values() for row in some for name in (row.env, row.secret) if name}
    hubs = {name for hub in HUBS.values() for name in hub}
    return frozenset({*rows, *hubs, *SET_BY_A_JOB})


def read_board(state: Mapping[str, Any], is_multimodal: Callable[[str], bool]) -> Loaded:
    """LlamaBoard's saved form, of any of its tabs and versions; what it has and we do not is named."""
    found = job_from_board(state, multimodal=is_multimodal(str(state.get("top.model_name"))))
    loaded = described(found.job, "llamaboard", found.unknown)
    return replace(loaded, unfit=found.unfit, older=found.older)


def described(job: JobConfig, kind: Form, unknown: tuple[str, ...] = ()) -> Loaded:
    """A job with the account of its keys; what would be a secret in a file is taken out of its arguments."""
    found = clean(job)
    job = found.job
    told = tuple(job.extra), tuple(unfit(job)), unknown
    return Loaded(job, kind, len(job.values), *told, found.moved, found.dropped)


def unfit(job: JobConfig) -> list[Problem]:
    """Extra arguments whose own field refuses their value."""
    found = []
    for name, value in job.extra.items():
        row = BY_KIND_ARG[job.kind].get(name)
        if row is None or row.to_args is not None or arguments(row) != (name,):
            continue
        problem = coerce(row, value).problem
        if problem is not None:
            found.append(problem)
    return found
