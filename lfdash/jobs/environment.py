"""What is known of the machine, the data and LLaMA-Factory when a job is checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lfdash.outcomes import Problem


@dataclass(frozen=True)
class ArgumentType:
    """What an argument of LLaMA-Factory takes. kind: as in `llamafactory.catalogue.Argument`; choices: () = any;
    nullable: whether it may be empty (null)."""

    kind: str
    choices: tuple[str, ...] = ()
    nullable: bool = True


@dataclass(frozen=True)
class Facts:
    """What the world says about a job, gathered by whoever asks for its problems.

    datasets: names in dataset_info.json, None when they are not known (an online source). dataset_problem: why
    that file cannot be read. unfit: dataset -> why its entry cannot be used. ranking: dataset -> whether its rows are
    ranked pairs. run_exists: a folder of the run's name exists. export_taken: the export folder holds something.
    outside: argument -> its path, for those that lead where they may not. roots: absolute folders below which
    output may lie. gpus: GPUs found, None = not known.
    packages: distribution (lower case) -> version in LLaMA-Factory's environment, None = not known.
    arguments: every argument that exists, None = not known. templates: every chat template, None = not known.
    rows: dataset -> its number of rows, where they were counted. model_template: the chat template of the chosen
    model, "" = not known. model_bytes: size of its weights, free_disk: bytes free where runs are written,
    None = not known.
    """

    datasets: frozenset[str] | None = None
    dataset_problem: Problem | None = None
    unfit: Mapping[str, Problem] = field(default_factory=dict)
    ranking: Mapping[str, bool] = field(default_factory=dict)
    run_exists: bool = False
    export_taken: bool = False
    roots: tuple[str, ...] = ()
    outside: Mapping[str, str] = field(default_factory=dict)
    gpus: int | None = None
    packages: Mapping[str, str] | None = None
    arguments: Mapping[str, ArgumentType] | None = None
    templates: frozenset[str] | None = None
    rows: Mapping[str, int] = field(default_factory=dict)
    model_template: str = ""
    model_bytes: int | None = None
    free_disk: int | None = None
