"""Which packages a job needs beside LLaMA-Factory's own: a table, and what of it is not installed there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from packaging.requirements import Requirement
from packaging.version import InvalidVersion, Version

from lfdash.jobs.environment import Facts
from lfdash.jobs.fields import BY_KIND_ARG
from lfdash.jobs.kinds import JobKind
from lfdash.jobs.rules import EXTRA, Args, Finding, stage
from lfdash.outcomes import Level

BNB = "bitsandbytes>=0.39.0"
BNB_OPTIMIZERS = (
    "adamw_bnb_8bit", "adamw_8bit", "paged_adamw_32bit", "paged_adamw_8bit", "ademamix", "ademamix_8bit",
    "paged_ademamix_32bit", "paged_ademamix_8bit", "lion_8bit", "lion_32bit", "paged_lion_32bit", "paged_lion_8bit",
    "rmsprop_bnb", "rmsprop_bnb_8bit", "rmsprop_bnb_32bit",
)
GALORE_OPTIMIZERS = tuple(
    f"galore_{name}{layers}" for name in ("adamw", "adamw_8bit", "adafactor") for layers in ("", "_layerwise")
)
# optim -> what it needs, in requirements; transformers/trainer_optimizer.py. "" = pip has it under no such name
OPTIMIZERS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(BNB_OPTIMIZERS, (BNB,)),
    **{name: ("galore-torch", BNB) if "8bit" in name else ("galore-torch",) for name in GALORE_OPTIMIZERS},
    **dict.fromkeys(("apollo_adamw", "apollo_adamw_layerwise"), ("apollo-torch",)),
    **dict.fromkeys(("lomo", "adalomo"), ("lomo-optim",)),
    **dict.fromkeys(("adamw_torch_4bit", "adamw_torch_8bit"), ("torchao>=0.4.0",)),
    **dict.fromkeys(("schedule_free_adamw", "schedule_free_sgd"), ("schedulefree",)),
    "schedule_free_radam": ("schedulefree>=1.4.0",),
    "grokadamw": ("grokadamw",),
    "stable_adamw": ("torch-optimi",),
    "adamw_apex_fused": ("apex",),
    "adamw_anyprecision": ("torchdistx",),
    "adamw_torch_xla": ("torch-xla",),
    "adamw_torch_npu_fused": ("torch-npu",),
}
# report_to -> the packages of which one is enough; transformers/integrations/integration_utils.py
TRACKERS: Mapping[str, tuple[str, ...]] = {
    "wandb": ("wandb",),
    "tensorboard": ("tensorboard", "tensorboardx"),
    "mlflow": ("mlflow", "mlflow-skinny"),
    "trackio": ("trackio",),
    "swanlab": ("swanlab",),
    "neptune": ("neptune", "neptune-client"),
    "comet_ml": ("comet-ml",),
    "azure_ml": ("azureml-sdk", "azureml-core"),
    "codecarbon": ("codecarbon",),
    "clearml": ("clearml",),
    "dagshub": ("dagshub",),
    "flyte": ("flytekit",),
    "dvclive": ("dvclive",),
}
# method by which a model's weights are quantized -> what loads them; llamafactory/model/model_utils/quantization.py
LOADERS = {"gptq": "gptqmodel>=2.0.0", "awq": "autoawq", "aqlm": "aqlm>=1.1.0"}
NOT_ON_THE_INDEX = frozenset({"apex", "torchdistx"})  # pip would install something else, or nothing
FP8_STAGES = ("pt", "sft")  # whose trainers look at fp8_backend (train/fp8_utils.py)
# built against the installed torch
NO_ISOLATION = frozenset({"flash-attn", "gptqmodel", "autoawq", "transformer-engine"})


@dataclass(frozen=True)
class Need:
    """A package that an argument asks for. wanted: requirements of which one is enough, the first is what pip is told.
    asks: whether a value of the argument needs it. code, level: of the problem."""

    argument: str
    wanted: tuple[str, ...]
    asks: Callable[[Any], object] = bool
    code: str = "package_missing"
    level: Level = "error"


# what LLaMA-Factory asks for before it trains (hparams/parser.py, _check_extra_dependencies), and what it takes later
NEEDS = (
    Need("use_unsloth", ("unsloth",)),
    Need("enable_liger_kernel", ("liger-kernel",)),
    Need("use_galore", ("galore-torch",)),
    Need("use_apollo", ("apollo-torch",)),
    Need("use_badam", ("badam>=1.2.1",)),
    Need("use_adam_mini", ("adam-mini",)),
    Need("use_swanlab", ("swanlab",)),
    Need("use_kt", ("kt-kernel",)),
    Need("use_kt", ("transformers-kt",)),
    Need("use_kt", ("accelerate-kt",)),
    Need("mixture_of_depths", ("mixture-of-depth>=1.1.6",)),
    Need("deepspeed", ("deepspeed",)),
    Need("plot_loss", ("matplotlib",)),
    Need("export_quantization_bit", ("optimum>=1.24.0",)),
    Need("export_quantization_bit", ("gptqmodel>=2.0.0",)),
    Need("predict_with_generate", ("jieba",)),
    Need("predict_with_generate", ("nltk",)),
    Need("predict_with_generate", ("rouge-chinese",)),
    Need("infer_backend", ("vllm",), lambda value: value == "vllm"),
    Need("infer_backend", ("sglang",), lambda value: value == "sglang"),
    Need("flash_attn", ("flash-attn",), lambda value: value == "fa2", "flash_attn_missing", "warning"),
)


def needs(args: Args, facts: Facts) -> Iterator[Need]:
    """The packages that a job needs."""
    yield from (need for need in NEEDS if args.get(need.argument) and need.asks(args[need.argument]))
    if args.get("quantization_bit"):
        method = args.get("quantization_method", "bnb")
        package = {"bnb": BNB, "bitsandbytes": BNB, "hqq": "hqq", "eetq": "eetq"}.get(str(method))
        yield from [Need("quantization_bit", (package,))] if package else ()
    if args.get("fp8") and args.get("fp8_backend") == "te" and stage(args) in FP8_STAGES:
        yield Need("fp8_backend", ("transformer-engine[pytorch]",))
    optimizer = args.get("optim")
    for package in OPTIMIZERS.get(optimizer, ()) if isinstance(optimizer, str) else ():
        yield Need("optim", (package,))
    trackers = args.get("report_to")
    for tracker in trackers if isinstance(trackers, list) else [trackers]:
        if isinstance(tracker, str) and tracker in TRACKERS:
            yield Need("report_to", TRACKERS[tracker])
    if facts.model is not None and facts.model.quantized in LOADERS:
        yield Need("model_name_or_path", (LOADERS[facts.model.quantized],))


def missing(kind: JobKind, args: Args, facts: Facts) -> Iterator[Finding]:
    """The packages that a job needs and LLaMA-Factory's environment has not, or only in too old a version."""
    if facts.packages is None:
        return
    installed = {canonical(name): version for name, version in facts.packages.items()}
    told = set()
    for need in needs(args, facts):
        fitting = [Requirement(text) for text in need.wanted]
        if any(suits(item, installed.get(item.name)) for item in fitting) or need.wanted in told:
            continue
        told.add(need.wanted)
        row = BY_KIND_ARG[kind.name].get(need.argument)
        version = installed.get(fitting[0].name)
        params = {
            "name": need.argument, "package": fitting[0].name, "command": install_line(facts.python, need.wanted[0]),
        }
        if version is not None:
            yield Finding(row.id if row else EXTRA, "package_old", {**params, "version": version}, need.level)
        elif fitting[0].name in NOT_ON_THE_INDEX:
            yield Finding(row.id if row else EXTRA, "package_elsewhere", {**params, "command": ""}, need.level)
        else:
            yield Finding(row.id if row else EXTRA, need.code, params, need.level)


def wanted(args: Args, facts: Facts) -> list[str]:
    """The names of the packages that a job needs beside LLaMA-Factory's own, whether they are there or not."""
    return sorted({Requirement(need.wanted[0]).name for need in needs(args, facts)})


def suits(wanted: Requirement, version: str | None) -> bool:
    """Whether an installed version (None = not installed) is one that is wanted."""
    if version is None:
        return False
    try:
        return wanted.specifier.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return True  # a build of somebody's own: its name has to do


def install_line(python: str, *requirements: str) -> str:
    """What installs packages into an environment, to be pasted into a shell. python: its interpreter, "" = unknown."""
    start = [python, "-m", "pip"] if python else ["pip"]
    names = {Requirement(text).name for text in requirements}
    options = ["--no-build-isolation"] if names & NO_ISOLATION else []
    return shlex.join([*start, "install", *options, *requirements])


def canonical(name: str) -> str:
    """The name of a distribution as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()
