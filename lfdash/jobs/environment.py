"""What is known of the machine, the data and LLaMA-Factory when a job is checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lfdash.jobs.resources import ResourceRequest
from lfdash.jobs.versions import EMPTY, ByVersion
from lfdash.outcomes import Level, Problem


@dataclass(frozen=True)
class ArgumentType:
    """What an argument of LLaMA-Factory takes. kind: as in `llamafactory.catalogue.Argument`; choices: () = any;
    nullable: whether it may be empty (null). default: what stands when it is not given."""

    kind: str
    choices: tuple[str, ...] = ()
    nullable: bool = True
    default: Any = None


@dataclass(frozen=True)
class Missing:
    """What an argument names and is not there. value: as named. lacks: where the folder is there, what it would need
    (one of these files); "" = nothing is there. near: a path of the workspace where what is meant may lie, "" = none.
    """

    value: str
    lacks: str = ""
    near: str = ""


@dataclass(frozen=True)
class DeadWeights:
    """Weights that an argument names, of a run whose loss was no number when it saved them. value: as named. step:
    since which it was none. earlier: the newest checkpoint from before, as the argument would name it, "" = none."""

    value: str
    step: int
    earlier: str = ""


@dataclass(frozen=True)
class Unsound:
    """What an argument names and cannot be loaded as it is, or is not known to be loadable. value: as named. code,
    params: of the problem's text; level: of the problem."""

    value: str
    code: str
    params: Mapping[str, Any] = field(default_factory=dict)
    level: Level = "error"


@dataclass(frozen=True)
class ModelFacts:
    """What the config.json of a model on this machine says. experts: how many each layer has (0 = no mixture);
    quantized: the method by which its weights are quantized, "" = none; pictures: whether it takes them."""

    experts: int = 0
    quantized: str = ""
    pictures: bool = False


@dataclass(frozen=True)
class Reached:
    """How far a checkpoint is: optimizer steps and epochs."""

    step: int
    epoch: float


@dataclass(frozen=True)
class Facts:
    """What the world says about a job, gathered by whoever asks for its problems.

    datasets: names in dataset_info.json, None when they are not known (an online source). dataset_problem: why
    that file cannot be read. unfit: dataset -> why its entry cannot be used. ranking: dataset -> whether its rows are
    ranked pairs. run_exists: a folder of the run's name exists. export_taken: the export folder holds something.
    outside: argument -> its path, for those that lead where they may not. roots: absolute folders below which
    output may lie. missing: argument -> what it names and is not there. dead_weights: argument -> what it names and is
    useless. unsound: argument -> what it names and cannot be loaded as it is. gpus: GPUs found, None = not known;
    gpu_names: as CUDA_VISIBLE_DEVICES names them. request: the devices that the job asks for, on all
    nodes; nodes: how many there are. target: what is wrong with the cluster that it is to run on, None = nothing.
    packages: distribution (lower case) -> version in LLaMA-Factory's environment, None = not known. python: the
    interpreter of that environment, "" = not known.
    arguments: every argument that exists, None = not known. templates: every chat template, None = not known.
    by_version: which version of LLaMA-Factory has which argument; installed: package -> version of the one that is
    used, of those that the table names.
    rows: dataset -> its number of rows, where they were counted. usable: dataset -> how many of them (within
    max_samples) the stage is trained on, where that is known. data: dataset -> what is wrong with its rows or entry.
    model_template: the chat template of the chosen model, "" = not known; fitting: all that fit it. model: what its
    config.json says, None = not known. model_bytes: size of its weights, free_disk: bytes free where runs are
    written, None = not known. reached: the checkpoint that is resumed from, None = none, or not known.
    """

    datasets: frozenset[str] | None = None
    dataset_problem: Problem | None = None
    unfit: Mapping[str, Problem] = field(default_factory=dict)
    ranking: Mapping[str, bool] = field(default_factory=dict)
    run_exists: bool = False
    export_taken: bool = False
    roots: tuple[str, ...] = ()
    outside: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, tuple[Missing, ...]] = field(default_factory=dict)
    dead_weights: Mapping[str, tuple[DeadWeights, ...]] = field(default_factory=dict)
    unsound: Mapping[str, tuple[Unsound, ...]] = field(default_factory=dict)
    gpus: int | None = None
    gpu_names: tuple[str, ...] = ()
    request: ResourceRequest = field(default_factory=ResourceRequest)
    nodes: int = 1
    target: Problem | None = None
    packages: Mapping[str, str] | None = None
    python: str = ""
    arguments: Mapping[str, ArgumentType] | None = None
    templates: frozenset[str] | None = None
    by_version: ByVersion = EMPTY
    installed: Mapping[str, str] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)
    usable: Mapping[str, int] = field(default_factory=dict)
    data: Mapping[str, tuple[Problem, ...]] = field(default_factory=dict)
    model_template: str = ""
    fitting: frozenset[str] = frozenset()
    model: ModelFacts | None = None
    model_bytes: int | None = None
    free_disk: int | None = None
    reached: Reached | None = None

    @property
    def gpus_used(self) -> int:
        """How many GPUs the job computes on, as far as that is known; 0 = the processor."""
        if self.request.cpu or self.gpus == 0:
            return 0
        return len(self.request.devices) or self.request.count or self.gpus or 0

    @property
    def processes(self) -> int:
        """How many processes train: one on each GPU, one on each node without GPUs."""
        return max(1, self.gpus_used, self.nodes)

    @property
    def transformers(self) -> str:
        """The version of transformers that will run the job; "" = not known."""
        return (self.packages or {}).get("transformers", "")
