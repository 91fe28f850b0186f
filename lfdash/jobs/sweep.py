"""A sweep: one training job, several values for some of its settings, and how they are tried. Pure.

Its file is the job's YAML with one more mapping, `sweep`. What is tried next is decided elsewhere, by Optuna
(engine/sweep_study.py); here is what can be said beforehand: the settings, the grid, the count, the names, what is
wrong.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import yaml

from lfdash.jobs.args import build_args, build_env
from lfdash.jobs.field import Field
from lfdash.jobs.fields import BY_ID
from lfdash.jobs.job import JobConfig, coerce
from lfdash.jobs.kinds import named
from lfdash.jobs.sweep_values import Dimension, key_of, read_dimension, row_named
from lfdash.jobs.yaml_format import Dumper, dump
from lfdash.outcomes import Problem, Value

KEY = "sweep"  # the mapping's name in the file
SETTINGS = "settings"  # in it: argument -> its values
MOST_TRIALS = 1000
STRATEGIES = ("grid", "random", "tpe")
STOPPING = ("never", "median", "halving")
SEEDS = ("same", "varied")
DIRECTIONS = ("minimize", "maximize")
SEED = "train.seed"
UPSTREAM_SEED = 42  # what transformers' TrainingArguments takes without one (training_args.py: seed)
UP = re.compile(r"accuracy|reward|bleu|rouge|margin")  # of these metrics, more is better

# How a sweep is run: rows as those of a job, so that values are read and refused in the same way.
OPTIONS = (
    Field("name", "", KEY, KEY),
    Field("strategy", "grid", KEY, KEY, "choice", choices=STRATEGIES),
    Field("trials", None, KEY, KEY, "int", min=1, max=MOST_TRIALS),
    Field("metric", None, KEY, KEY),
    Field("direction", None, KEY, KEY, "choice", choices=DIRECTIONS),
    Field("parallel", None, KEY, KEY, "int", min=1, max=64),
    Field("seed", "same", KEY, KEY, "choice", choices=SEEDS),
    Field("stop_early", "never", KEY, KEY, "choice", choices=STOPPING),
    Field("after_trials", 3, KEY, KEY, "int", min=1, max=MOST_TRIALS),
    Field("after_percent", 20, KEY, KEY, "int", min=0, max=99),
    Field("sampler_seed", 0, KEY, KEY, "int", min=0, max=2**31 - 1),
)
OPTION = {row.name: row for row in OPTIONS}
# what an adapter is made with; one that is there keeps its own
OF_A_NEW_ADAPTER = frozenset({
    "lora_rank", "lora_alpha", "lora_dropout", "lora_target", "use_rslora", "use_dora", "pissa_init", "pissa_iter",
    "oft_block_size", "oft_target", "module_dropout", "additional_target",
})
DRAWN = 20  # trials of a strategy that draws, where it is not said


@dataclass(frozen=True)
class Sweep:
    """What is tried, and how.

    dimensions: the settings, in the order in which names tell them. strategy: "grid" tries all combinations; "random"
    and "tpe" (Tree-structured Parzen Estimator) draw `trials` of them. metric: a column of what runs log; a run's value
    is told by engine/sweep_value.py. parallel: jobs that are handed to the queue at once. seed: of the trials'
    training, the job's own for all ("same") or one more for each ("varied"). stop_early: runs are stopped whose metric
    is worse than the median of the others at the same part of the run ("median"), or that are not among the best third
    at 1/3 steps ("halving"), once `after_trials` have ended and not before `after_percent` of the run. sampler_seed: of
    what is drawn.
    """

    dimensions: tuple[Dimension, ...]
    name: str = ""
    strategy: str = "grid"
    trials: int | None = None
    metric: str = "loss"
    direction: str = "minimize"
    parallel: int = 1
    seed: str = "same"
    stop_early: str = "never"
    after_trials: int = 3
    after_percent: int = 20
    sampler_seed: int = 0

    @property
    def count(self) -> int:
        """The number of runs."""
        if self.strategy == "grid":
            return math.prod(len(dimension.values) for dimension in self.dimensions)
        return self.trials or DRAWN

    def grid(self) -> tuple[dict[str, Value], ...]:
        """All combinations, by field id; the last setting changes quickest."""
        every = itertools.product(*(dimension.values for dimension in self.dimensions))
        return tuple({d.field: v for d, v in zip(self.dimensions, values, strict=True)} for values in every)

    def written(self) -> dict[str, Any]:
        """As a `sweep` mapping; `read_sweep` gives the same sweep of it."""
        own = {row.name: getattr(self, row.name) for row in OPTIONS}
        settings = {key_of(dimension.row): dimension.written() for dimension in self.dimensions}
        return {**{name: value for name, value in own.items() if value not in (None, "")}, SETTINGS: settings}


def read_sweep(raw: Any, job: JobConfig) -> Sweep | tuple[Problem, ...]:
    """The sweep that a `sweep` mapping means for a job; or everything that is wrong with it.

    Problem: sweep_kind, sweep_mapping, sweep_key, sweep_no_setting, sweep_unknown, what `read_dimension` refuses, what
    the options' rows refuse, and what `check` finds.
    """
    if not named(job.kind).trains:
        return (Problem(None, "sweep_kind"),)
    if not isinstance(raw, Mapping):
        return (Problem(KEY, "sweep_mapping"),)
    known = ", ".join([SETTINGS, *OPTION])
    wrong = [Problem(KEY, "sweep_key", {"name": str(k), "known": known}) for k in raw if k not in {SETTINGS, *OPTION}]
    dimensions, unfit = read_dimensions(raw.get(SETTINGS))
    given: dict[str, Any] = {}
    for name, row in OPTION.items():
        got = coerce(row, raw.get(name))
        if got.problem is not None:
            wrong.append(got.problem)
        elif got.value is not None:
            given[name] = got.value
    wrong += unfit
    if wrong:
        return tuple(wrong)
    sweep = filled_in(given, dimensions, job)
    return tuple(check(sweep, job)) or sweep


def read_dimensions(raw: Any) -> tuple[tuple[Dimension, ...], list[Problem]]:
    """The settings of a sweep, and what is wrong with them."""
    if not isinstance(raw, Mapping) or not raw:
        return (), [Problem(KEY, "sweep_no_setting")]
    found: dict[str, Dimension] = {}
    wrong: list[Problem] = []
    for name, values in raw.items():
        row = row_named(str(name))
        one = Problem(KEY, "sweep_unknown", {"name": str(name)}) if row is None else read_dimension(row, values)
        if isinstance(one, Problem):
            wrong.append(one)
        elif one.field in found:
            wrong.append(Problem(one.field, "sweep_setting_twice", {"name": str(name)}))
        else:
            found[one.field] = one
    return tuple(found.values()), wrong


def filled_in(given: Mapping[str, Any], dimensions: tuple[Dimension, ...], job: JobConfig) -> Sweep:
    """The sweep with what was not said: the evaluation's loss where the job has one, its direction, and how many jobs
    are in the queue at once: all of those that are known beforehand, one of those that follow from the ones before."""
    metric = given.get("metric") or ("eval_loss" if evaluates(job) else "loss")
    own = {"metric": metric, "direction": "maximize" if UP.search(metric) else "minimize", **given}
    sweep = Sweep(dimensions, **{name: value for name, value in own.items() if name != "parallel"})
    learns = sweep.strategy == "tpe" or sweep.stop_early != "never"
    parallel = given.get("parallel") or (1 if learns else max(1, min(sweep.count, 64)))
    trials = sweep.trials or (None if sweep.strategy == "grid" else DRAWN)
    return replace(sweep, parallel=parallel, trials=trials)


def evaluates(job: JobConfig) -> bool:
    """Whether a job logs the loss of an evaluation while it trains."""
    return str(build_args(job).get("eval_strategy", "no")) != "no"


def check(sweep: Sweep, job: JobConfig) -> list[Problem]:
    """What is wrong with the settings together."""
    wrong: list[Problem] = []
    grid = sweep.strategy == "grid"
    wrong += [
        Problem(one.field, "sweep_grid_range", {"value": str(one.written())})
        for one in sweep.dimensions if grid and one.continuous
    ]
    if grid and sweep.trials is not None:
        wrong.append(Problem(f"{KEY}.trials", "sweep_grid_trials", {"value": sweep.trials}))
    if not wrong and sweep.count > MOST_TRIALS:
        wrong.append(Problem(KEY, "sweep_many", {"count": sweep.count, "max": MOST_TRIALS}))
    if sweep.seed == "varied" and any(one.field == SEED for one in sweep.dimensions):
        wrong.append(Problem(SEED, "sweep_seed"))
    if not re.fullmatch(r"[\w./-]{1,80}", sweep.metric):
        wrong.append(Problem(f"{KEY}.metric", "sweep_metric", {"value": sweep.metric[:80]}))
    elif sweep.metric.startswith("eval_") and not evaluates(job):
        wrong.append(Problem(f"{KEY}.metric", "sweep_no_eval", {"value": sweep.metric}))
    for one in sweep.dimensions:
        if not one.row.when.holds(job.get) and not depends(one, sweep):
            wrong.append(Problem(one.field, "sweep_not_applied", {"name": key_of(one.row)}))
        elif key_of(one.row) in OF_A_NEW_ADAPTER and continues_adapter(job):
            wrong.append(Problem(one.field, "sweep_old_adapter", {"name": key_of(one.row)}))
    return wrong


def continues_adapter(job: JobConfig) -> bool:
    """Whether the job trains an adapter further that is there (llamafactory/model/adapter.py, _setup_lora_tuning)."""
    args = build_args(job)
    return bool(args.get("adapter_name_or_path")) and not args.get("create_new_adapter")


def depends(dimension: Dimension, sweep: Sweep) -> bool:
    """Whether it hangs on another setting of the sweep whether one applies."""
    return bool(dimension.row.when.names & {one.field for one in sweep.dimensions})


def with_values(sweep: Sweep, job: JobConfig, values: Mapping[str, Value], number: int, name: str) -> JobConfig:
    """The job of one trial. values: by field id; number: of the trial, from 0; name: of its run."""
    changed: dict[str, Value] = {**job.values, **values, f"{job.kind}.output_dir": name}
    if sweep.seed == "varied":
        own = job.values.get(SEED)
        changed[SEED] = (own if isinstance(own, int) else UPSTREAM_SEED) + number
    return replace(job, values=changed)


def parted(args: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """A file's mapping as the job's arguments and the sweep's mapping (None where it has none)."""
    return {name: value for name, value in args.items() if name != KEY}, args.get(KEY)


def document(job: JobConfig, sweep: Sweep, header: str) -> str:
    """The file of a sweep: the job's YAML, without the name of a run, and its `sweep` mapping."""
    args = build_args(job)
    args.pop("output_dir", None)
    body = yaml.dump({KEY: sweep.written()}, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=1000)
    return f"{dump(args, [header], build_env(job))}\n### {KEY}\n{body}"


def label_of(field: str) -> str:
    """What a setting is called in tables and files."""
    return key_of(BY_ID[field])
