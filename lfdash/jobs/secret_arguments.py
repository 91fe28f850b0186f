"""Arguments that hold a token or a key: they are taken out of a job before anything writes it down. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from lfdash.jobs.field import Field
from lfdash.jobs.fields import ROWS
from lfdash.jobs.job import JobConfig

# argument -> the environment variable that does the same, for those that a field of the form has
VARIABLES: Mapping[str, str] = {
    "hf_hub_token": "HF_TOKEN",
    "hub_token": "HF_TOKEN",
    "push_to_hub_token": "HF_TOKEN",
    "swanlab_api_key": "SWANLAB_API_KEY",
    "wandb_api_key": "WANDB_API_KEY",
}
# also of arguments that there are not (wandb_token): the nearest one that there is must not be offered its value
NAMED = re.compile(r"(?:^|_)(?:api_?key|access_key|secret(?:_key)?|password|passwd|token)$")
VOCABULARY = frozenset({"bos_token", "eos_token", "pad_token", "unk_token"})  # words of a tokenizer, no secrets
# what tokens look like wherever they stand: Hugging Face, OpenAI, GitHub, GitLab, Slack, AWS, a password in an address
LOOKS = re.compile(
    r"\bhf_[A-Za-z0-9]{30,}\b|\bsk-[A-Za-z0-9_-]{24,}|\bgh[oprsu]_[A-Za-z0-9]{30,}\b|\bglpat-[\w-]{18,}"
    r"|\bxox[abprs]-[\w-]{10,}|\bAKIA[0-9A-Z]{16}\b|\w://[^/\s:@]*:[^/\s@]+@"
)
LINE = re.compile(r"^(?P<key>[ \t]*[\"']?(?P<name>[\w.]+)[\"']?[ \t]*:[ \t]*)(?P<value>\S.*)$", re.MULTILINE)
PAIR = re.compile(r"(?P<key>[\"'](?P<name>[\w.]+)[\"']\s*:\s*)(?P<value>\"[^\"]*\"|'[^']*')")  # in a line of JSON
HIDDEN = "•••"


@dataclass(frozen=True)
class Cleaned:
    """A job without tokens in its arguments. moved: arguments that are now in their secret field; dropped: those
    that have none, or whose field holds another value."""

    job: JobConfig
    moved: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


def is_secret(name: str) -> bool:
    """Whether an argument holds a secret, by its name."""
    return name in VARIABLES or (bool(NAMED.search(name.lower())) and name.lower() not in VOCABULARY)


def field_of(name: str, kind: str) -> Field | None:
    """The secret field that does what an argument would."""
    variable = VARIABLES.get(name)
    return next((row for row in ROWS[kind] if variable and row.secret == variable), None)


def clean(job: JobConfig) -> Cleaned:
    """Moves secret arguments into their fields, where there is one that is empty; the others are dropped."""
    values, moved, dropped = dict(job.values), [], []
    for name in [name for name in job.extra if is_secret(name)]:
        row, value = field_of(name, job.kind), job.extra[name]
        if value is None or value == "":
            continue
        if row is not None and isinstance(value, str) and values.get(row.id, value) == value:
            values[row.id] = value
            moved.append(name)
        else:
            dropped.append(name)
    extra = {name: value for name, value in job.extra.items() if not is_secret(name)}
    return Cleaned(replace(job, values=values, extra=extra), tuple(moved), tuple(dropped))


def without(args: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Arguments without the secret ones, and variable -> value of those that a variable can carry."""
    left = {name: value for name, value in args.items() if not is_secret(name)}
    return left, {VARIABLES[name]: str(args[name]) for name in args if name in VARIABLES and args[name]}


def looks_secret(value: Any) -> bool:
    """Whether a value, or one inside of it, looks like a token."""
    if isinstance(value, str):
        return bool(LOOKS.search(value))
    if isinstance(value, Mapping):
        return any(map(looks_secret, value.values()))
    return isinstance(value, list) and any(map(looks_secret, value))


def hide(text: str) -> str:
    """A configuration's text (YAML or JSON) with its tokens hidden: what others wrote, LlamaBoard for one, has them in
    clear."""

    def hidden(found: re.Match[str]) -> str:
        name = found["name"].rpartition(".")[2]
        empty = found["value"].rstrip(",") in ('""', "''", "null", "~")
        return found[0] if empty or not is_secret(name) else found["key"] + HIDDEN

    return LOOKS.sub(HIDDEN, LINE.sub(hidden, PAIR.sub(hidden, text)))
