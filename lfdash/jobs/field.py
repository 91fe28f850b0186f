"""What a row of the table is: Field, and When it applies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lfdash.outcomes import Value

Get = Callable[[str], Value | None]  # field id -> effective value
Kind = Literal["bool", "int", "float", "text", "choice", "choices"]


@dataclass(frozen=True)
class When:
    """A condition over other fields, as data: it decides both whether a row is shown and whether it is sent.

    op: "always", "is" (the field has one of `values`), "given" (it has any value), "and", "or", "not".
    """

    op: Literal["always", "is", "given", "and", "or", "not"] = "always"
    field: str = ""
    values: tuple[Value, ...] = ()
    parts: tuple[When, ...] = ()

    def holds(self, get: Get) -> bool:
        """Whether the condition is true for the effective values that `get` returns."""
        if self.op == "is":
            return get(self.field) in self.values
        if self.op == "given":
            return get(self.field) is not None
        if self.op == "and":
            return all(part.holds(get) for part in self.parts)
        if self.op == "or":
            return any(part.holds(get) for part in self.parts)
        return self.op == "always" or not self.parts[0].holds(get)

    @property
    def names(self) -> frozenset[str]:
        """Ids of the fields it looks at."""
        own = frozenset({self.field}) if self.field else frozenset[str]()
        return own.union(*(part.names for part in self.parts))

    def __and__(self, other: When) -> When:
        return When("and", parts=(self, other))

    def __or__(self, other: When) -> When:
        return When("or", parts=(self, other))

    def __invert__(self) -> When:
        return When("not", parts=(self,))


ALWAYS = When()
KIND = "job.kind"  # not a field: the kind of the job, which conditions may look at


def is_(field_id: str, *values: Value) -> When:
    """The field has one of the values."""
    return When("is", field_id, values)


def given(field_id: str) -> When:
    """The field has any value."""
    return When("given", field_id)


ToArgs = Callable[[Any, Get], dict[str, Any]]
FromArgs = Callable[[Mapping[str, Any]], Value | None]


@dataclass(frozen=True)
class Field:
    """One setting of a job.

    name: unique in its scope. default: value of a new form (LlamaBoard's); None = not given there. group: where
    the form shows it. scope: "top" (all jobs) or the name of the kind of job that has it (see `kinds`), as in
    LlamaBoard's element ids. kind: what it holds; derived from the default when not said. min, max: inclusive.
    choices: the values offered, or the name of a list that is known only at run time ("models", "templates",
    "datasets", "gpus", "targets", "checkpoints"). open: other values are accepted too. arg: LLaMA-Factory's argument;
    "" = none; the name when not said. to_args and from_args: for rows that are not sent as they are. when: where it
    applies. absent: what LLaMA-Factory takes when it is not given (only for fields that a `when` looks at). secret:
    environment variable of a value that goes nowhere else. env: environment variable that it sets instead of an
    argument. wide: a whole line. hidden: never drawn. board: LlamaBoard has this element.
    """

    name: str
    default: Value | None = None
    group: str = ""
    scope: str = "train"
    kind: Kind = "text"
    min: float | None = None
    max: float | None = None
    choices: tuple[str, ...] | str = ()
    open: bool = False
    arg: str | None = None
    to_args: ToArgs | None = None
    from_args: FromArgs | None = None
    when: When = ALWAYS
    absent: Value | None = None
    secret: str | None = None
    env: str | None = None
    wide: bool = False
    hidden: bool = False
    board: bool = True

    @property
    def id(self) -> str:
        """The key in the session and in LlamaBoard's files, e.g. `train.lora_rank`."""
        return f"{self.scope}.{self.name}"


@dataclass(frozen=True)
class Group:
    """Fields that are shown together, where `when` holds."""

    name: str
    when: When = ALWAYS
