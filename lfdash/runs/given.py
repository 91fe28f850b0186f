"""What a run was given: LLaMA-Factory's arguments, from its folder, without secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from lfdash.errors import ConfigError
from lfdash.files import FileMark, is_absent, look_json, look_mark, open_plain
from lfdash.jobs import yaml_format
from lfdash.jobs.secret_arguments import HIDDEN, is_secret, looks_secret
from lfdash.runs.metadata import of_plain
from lfdash.runs.paths import RunPaths

CARD, ADAPTER = "README.md", "adapter_config.json"
CARD_BYTES = 1 << 15  # of a model card: what was given stands behind its usual text
KEPT = 4096  # runs whose arguments are held
LINE = re.compile(r"^- (\w+): (.+)$", re.MULTILINE)
DATASETS = re.compile(r"^This model .*? on the (\S.{0,300}?) datasets?\.", re.MULTILINE)
HEADING = "### Training hyperparameters"
# what transformers writes into a model card -> LLaMA-Factory's argument (transformers/modelcard.py)
CARD_NAMES = {
    "learning_rate": "learning_rate", "train_batch_size": "per_device_train_batch_size",
    "eval_batch_size": "per_device_eval_batch_size", "seed": "seed",
    "gradient_accumulation_steps": "gradient_accumulation_steps", "lr_scheduler_type": "lr_scheduler_type",
    "lr_scheduler_warmup_steps": "warmup_steps", "lr_scheduler_warmup_ratio": "warmup_ratio",
    "num_epochs": "num_train_epochs", "training_steps": "max_steps", "label_smoothing_factor": "label_smoothing_factor",
}
# what peft writes into an adapter_config.json -> LLaMA-Factory's argument (llamafactory/model/adapter.py)
ADAPTER_NAMES = {
    "r": "lora_rank", "lora_alpha": "lora_alpha", "lora_dropout": "lora_dropout", "use_rslora": "use_rslora",
    "use_dora": "use_dora",
}


@dataclass(frozen=True)
class GivenArguments:
    """args: argument -> value. env: what its file says about the environment. source: "file" (training_args.yaml: all
    that was given), "card" (the model card and the adapter's configuration: a part), "spoiled" (a file that cannot be
    read), "" (nothing tells). folder: what a run without a training_args.yaml was about by its folder (where it lies,
    the adapter's base model, the text of the model card): names as there, not as they were given."""

    args: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    folder: Mapping[str, Any] = field(default_factory=dict)

    @property
    def tells(self) -> bool:
        """Whether anything is known that can be compared."""
        return self.source in ("file", "card") or bool(self.folder)

    @property
    def known(self) -> bool:
        """Whether an argument that is missing here was not given: only the whole file tells that."""
        return self.source == "file"


NOTHING = GivenArguments()


def given_arguments(paths: RunPaths) -> GivenArguments:
    """What a run was given; read again only when its file changed, or could not be read."""
    try:
        mark = look_mark(paths.training_args)
        if mark is not None:
            return from_file(paths.training_args, mark)
        args = left_arguments(paths)
        folder = folder_arguments(paths)
        return GivenArguments(args, {}, "card" if args else "", folder) if args or folder else NOTHING
    except OSError:
        return GivenArguments(source="spoiled")


def left_arguments(paths: RunPaths) -> dict[str, Any]:
    """What a run without a training_args.yaml was given, as far as what it left tells: the model card, and the
    adapter's configuration. OSError when reading failed."""
    found: dict[str, Any] = {}
    for name, read in ((CARD, from_card), (ADAPTER, from_adapter)):
        path = paths.root / name
        mark = look_mark(path)
        found |= read(path, mark) if mark is not None else {}
    return found


def folder_arguments(paths: RunPaths) -> dict[str, Any]:
    """What a run without a training_args.yaml was about, as the table of the runs knows it. OSError when reading
    failed."""
    about = of_plain(paths)
    told = {"model_name_or_path": about.model, "stage": about.stage, "finetuning_type": about.method}
    mark = look_mark(paths.root / CARD)
    told["dataset"] = dataset_of_card(paths.root / CARD, mark) if mark is not None else ""
    return hidden({name: value for name, value in told.items() if value})


def of_text(text: str) -> GivenArguments:
    """What a job that waits will be given. text: of its training_args.yaml."""
    try:
        document = yaml_format.load(text)
    except ConfigError:
        return GivenArguments(source="spoiled")
    return GivenArguments(hidden(document.args), hidden(document.env), "file")


@lru_cache(maxsize=KEPT)
def from_file(path: Path, _mark: FileMark) -> GivenArguments:
    """The arguments of a training_args.yaml. OSError when reading failed: that is not kept."""
    return of_text(head_of(path, yaml_format.MAX_BYTES + 1))


@lru_cache(maxsize=KEPT)
def from_card(path: Path, _mark: FileMark) -> dict[str, Any]:
    """What a model card tells: the hyper-parameters that transformers notes there. OSError when reading failed: that is
    not kept."""
    try:
        text = head_of(path, CARD_BYTES).partition(HEADING)[2].partition("\n###")[0]
    except OSError as error:
        if is_absent(error):
            return {}
        raise
    told = {CARD_NAMES[name]: value for name, value in LINE.findall(text) if name in CARD_NAMES}
    return hidden({name: yaml_format.spoken(value) for name, value in told.items()})


@lru_cache(maxsize=KEPT)
def dataset_of_card(path: Path, _mark: FileMark) -> str:
    """The datasets that the text of a model card names, with commas; "" where it names none (transformers/modelcard.py,
    TrainingSummary.to_model_card). OSError when reading failed: that is not kept."""
    try:
        found = DATASETS.search(head_of(path, CARD_BYTES))
    except OSError as error:
        if is_absent(error):
            return ""
        raise
    return ", ".join(part for part in re.split(r",? and the |, the |, ", found[1]) if part) if found else ""


@lru_cache(maxsize=KEPT)
def from_adapter(path: Path, _mark: FileMark) -> dict[str, Any]:
    """What the configuration of a LoRA adapter tells. OSError when reading failed: that is not kept."""
    told = look_json(path)
    if told.get("peft_type") != "LORA":
        return {}
    return {argument: value for name, argument in ADAPTER_NAMES.items()
            if isinstance(value := told.get(name), int | float)}


def head_of(path: Path, size: int) -> str:
    """The first bytes of a plain file as text. OSError."""
    with open_plain(path, follow=True) as file:
        return file.read(size).decode("utf-8", "replace")


def hidden(args: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments in which no value is a secret."""
    return {
        name: HIDDEN if value and (is_secret(name) or looks_secret(value)) else value for name, value in args.items()
    }
