"""What kind of run a folder holds: model, stage, method. From our record, or from what LLaMA-Factory leaves."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from lfdash.errors import ConfigError
from lfdash.files import FileMark, is_absent, look_json, look_mark, open_plain
from lfdash.jobs import yaml_format
from lfdash.jobs.converters import SAVES
from lfdash.jobs.kinds import DEFAULT, kind_of
from lfdash.jobs.stages import METHODS
from lfdash.runs.paths import STATE, RunPaths
from lfdash.runs.record import RunRecord

CARD_BYTES = 1 << 14  # of a model card, which begins with what is read here
CONFIG_BYTES = 1 << 20
EVALUATION = kind_of({"do_predict": True}).name
MEASURED = ("predict_results.json", "eval_results.json", "generated_predictions.jsonl")
TRAINED = ("train_results.json", STATE, "adapter_config.json", "config.json")


@dataclass(frozen=True)
class RunMetadata:
    """kind: the name of the kind of job. model, stage, method: as LLaMA-Factory calls them; "" = not known."""

    kind: str = DEFAULT.name
    model: str = ""
    stage: str = ""
    method: str = ""


NOT_KNOWN = RunMetadata()


def of_record(record: RunRecord) -> RunMetadata:
    """What our record says."""
    return RunMetadata(record.kind, record.model, record.stage, record.method)


def of_plain(paths: RunPaths) -> RunMetadata:
    """What the folder of a run of the plain CLI tells.

    Sources in turn: its arguments (LlamaBoard writes them down), the adapter's own configuration, the model card,
    and where it lies (saves/<model>/<method>/<run>). OSError when one of them could not be read.
    """
    told = from_arguments(paths)
    kind = kind_by(told, paths)
    found = [told, from_adapter(paths.root), from_card(paths.root), from_place(paths.root)]
    model, stage, method = (
        next((value for about in found if (value := getattr(about, name))), "") for name in ("model", "stage", "method")
    )
    return RunMetadata(kind, model, stage, method)


def kind_of_plain(paths: RunPaths) -> str:
    """On which page a run of the plain CLI is shown: an evaluation where its arguments ask for one, or it has left
    nothing else; any other counts as training. OSError when something of it could not be read."""
    mark = look_mark(paths.training_args)
    told = NOT_KNOWN if mark is None else kept_arguments(paths.root, mark)
    return EVALUATION if kind_by(told, paths) == EVALUATION else DEFAULT.name


def kind_by(told: RunMetadata, paths: RunPaths) -> str:
    """The kind of a run. told: what its arguments say. OSError when its folder cannot be looked at."""
    return EVALUATION if not told.model and only_measured(paths) else told.kind


@lru_cache(maxsize=1024)
def kept_arguments(folder: Path, _mark: FileMark) -> RunMetadata:
    """What a training_args.yaml says; read again when it changed. OSError: that is not kept."""
    return from_arguments(RunPaths(folder))


FIRST_LINES = 4096  # bytes of a log: some twenty lines


def only_measured(paths: RunPaths) -> bool:
    """Whether a folder has results, and nothing of what a training leaves: at its end (llamafactory: train/sft,
    workflow.py), or while it goes on, which is lines with a loss. OSError when that cannot be seen."""
    trained, measured = (
        any(look_mark(paths.named(name)) is not None for name in names) for names in (TRAINED, MEASURED)
    )
    scores = look_json(paths.all_results)  # transformers, Trainer.save_metrics: begin with train, eval or predict
    trained |= any(name.startswith("train_") for name in scores)
    measured |= any(name.startswith(("eval_", "predict_")) for name in scores)
    return measured and not trained and '"loss"' not in read_head(paths.trainer_log, FIRST_LINES)


def from_arguments(paths: RunPaths) -> RunMetadata:
    """training_args.yaml, as far as it can be read."""
    head = read_head(paths.training_args, CONFIG_BYTES)
    try:
        args: Mapping[str, Any] = yaml_format.load(head).args
    except ConfigError:
        return NOT_KNOWN
    stage, method = args.get("stage"), args.get("finetuning_type")
    return RunMetadata(kind_of(args).name, last_part(args.get("model_name_or_path")), text(stage), text(method))


def from_adapter(folder: Path) -> RunMetadata:
    """adapter_config.json of peft."""
    head = read_head(folder / "adapter_config.json", CONFIG_BYTES)
    try:
        data = json.loads(head)
        method = text(data.get("peft_type")).lower()
        model = last_part(data.get("base_model_name_or_path"))
        return RunMetadata(model=model, method=method if method in METHODS else "")
    except (ValueError, AttributeError, RecursionError):
        return NOT_KNOWN


def from_card(folder: Path) -> RunMetadata:
    """README.md: transformers writes the model, LLaMA-Factory the method among its tags."""
    head = read_head(folder / "README.md", CARD_BYTES)
    matter = re.match(r"---\n(.*?)\n---\n", head, re.DOTALL)
    if matter is None:
        return NOT_KNOWN
    model = re.search(r"^base_model:\s*(?:\n- )?(\S+)$", matter[1], re.MULTILINE)
    tags = re.findall(r"^- (\S+)$", matter[1], re.MULTILINE)
    method = next((tag for tag in tags if tag in METHODS), "") if "llama-factory" in tags else ""
    return RunMetadata(model=last_part(model[1]) if model else "", method=method)


def from_place(folder: Path) -> RunMetadata:
    """The usual place of a run: .../saves/<model>/<method>/<run>, or .../<model>/<method>/<stage>."""
    method, model = folder.parent.name, folder.parent.parent.name
    return RunMetadata(model=model, method=method) if method in METHODS and model != SAVES else NOT_KNOWN


def read_head(path: Path, size: int) -> str:
    """The first `size` bytes of a plain file as text; a link to one will do. "" where there is none, OSError when
    reading failed."""
    try:
        with open_plain(path, follow=True) as file:
            return file.read(size).decode("utf-8", "replace")
    except OSError as error:
        if is_absent(error):
            return ""
        raise


def last_part(value: Any) -> str:
    """The last part of a path or hub name."""
    return text(value).replace("\\", "/").rstrip("/").rpartition("/")[2]


def text(value: Any) -> str:
    """A short string; "" for anything else."""
    return value if isinstance(value, str) and len(value) <= 300 else ""
