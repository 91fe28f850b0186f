"""What a run has made, and the job of any kind that loads it: a chat, an evaluation, an export."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lfdash.engine import models, on_disk
from lfdash.engine.context import holds_something
from lfdash.engine.dead_weights import dead_weights
from lfdash.engine.defaults import fit_to_machine, with_model_name
from lfdash.engine.resume import stored
from lfdash.engine.services import Services
from lfdash.engine.unsound import BASE_KEY, adapter_config, why_not_loaded
from lfdash.files import ABSENT, Absent, Unreadable
from lfdash.jobs.args import job_from_args
from lfdash.jobs.fields import BY_ID, BY_KIND_ARG, DATASETS
from lfdash.jobs.job import TARGET, JobConfig, new_job
from lfdash.jobs.kinds import JobKind, named
from lfdash.jobs.model_words import EXPORTS
from lfdash.jobs.rules import listed
from lfdash.jobs.secret_arguments import clean
from lfdash.jobs.stages import ADAPTER_METHODS
from lfdash.outcomes import Refused
from lfdash.runs.view import RunView

# what loads a model and writes its prompts; training has more, which `llamafactory-cli api` refuses
LOADS = frozenset({
    "model_name_or_path", "adapter_name_or_path", "adapter_folder", "template", "finetuning_type", "trust_remote_code",
    "quantization_bit", "quantization_method", "quantization_type", "double_quantization", "flash_attn", "use_unsloth",
    "rope_scaling", "cache_dir", "model_revision", "enable_thinking", "default_system", "tool_format", "resize_vocab",
    "add_tokens", "add_special_tokens", "new_special_tokens_config", "image_max_pixels", "image_min_pixels",
    "video_max_pixels", "video_min_pixels", "video_fps", "split_special_tokens", "use_fast_tokenizer", "infer_backend",
    "infer_dtype", "vllm_maxlen", "vllm_gpu_util", "vllm_enforce_eager", "vllm_config", "use_kv_cache",
})
# what a chat alone takes; an evaluation is a job of the trainer, an export computes nothing
INFERS = frozenset({"infer_backend", "infer_dtype", "vllm_maxlen", "vllm_gpu_util", "vllm_enforce_eager",
                    "vllm_config", "enable_thinking", "default_system"})
# llamafactory/model/adapter.py and hparams/parser.py: an adapter is not merged into quantized weights
QUANTIZES = frozenset({"quantization_bit", "quantization_method", "quantization_type", "double_quantization"})
COMPUTES = QUANTIZES | {"flash_attn"}
EVALUATED = 50  # rows that are proposed: a first score within minutes, and the form says so


def makes_weights(kind: JobKind) -> bool:
    """Whether runs of a kind leave weights: trainings and exports."""
    return kind.trains or kind.saves == "model"


def weights_in(view: RunView) -> str | Refused:
    """The folder of a run's weights, relative to the workspace: its own, else that of its last checkpoint; of an
    export its export folder. Refused: next_no_weights (runs of this kind leave none), next_nothing_saved."""
    kind = named(view.kind)
    if not makes_weights(kind):
        return Refused("next_no_weights")
    if view.waiting is not None:
        return Refused("next_waiting")
    if not kind.trains:
        document = stored(view)
        folder = document.args.get("export_dir") if document else None
        return folder if isinstance(folder, str) and folder else Refused("no_configuration")
    if view.saved.model:
        return view.output_dir
    if view.saved.checkpoints:
        return f"{view.output_dir}/checkpoint-{view.saved.checkpoints[-1]}"
    return Refused("next_nothing_saved")


def arguments_of(args: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """The arguments that load what a training with `args` has saved in `folder`.

    An adapter stands on those that it was trained on: all of them where a new one was made, else all but the last,
    which was trained further (llamafactory/model/adapter.py, _setup_lora_tuning). An OFT adapter is loaded while the
    method is called LoRA.
    """
    loads = {name: value for name, value in args.items() if name in LOADS}
    method = str(args.get("finetuning_type", "lora"))
    if method not in ADAPTER_METHODS:
        return {**loads, "model_name_or_path": folder, "finetuning_type": method}
    before = listed(args.get("adapter_name_or_path"))
    before = before if args.get("create_new_adapter") else before[:-1]
    return {**loads, "finetuning_type": "lora", "adapter_name_or_path": ",".join([*before, folder])}


def merged_arguments(args: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """The arguments that load the whole model that an export with `args` has written into `folder`."""
    left = {"adapter_name_or_path", "adapter_folder", "finetuning_type", *QUANTIZES}
    return {**{name: value for name, value in args.items() if name in LOADS - left}, "model_name_or_path": folder}


def loads_run(services: Services, view: RunView) -> dict[str, Any] | Refused:
    """The arguments that load what a run has made. Refused: as `weights_in`, no_configuration."""
    folder = weights_in(view)
    if isinstance(folder, Refused):
        return folder
    document = stored(view)
    if document is not None:
        args = (arguments_of if named(view.kind).trains else merged_arguments)(document.args, folder)
        return why_not_loaded(services, args) or args
    found = loads_folder(services, folder)
    own = not isinstance(found, Refused) and "adapter_name_or_path" in found  # else it may be anything
    return found if own or view.saved.model == "model" else Refused("no_configuration")


def loads_folder(services: Services, folder: str) -> dict[str, Any] | Refused:
    """The arguments that load a folder (relative to the workspace) or Hub id: an adapter on the model that it names,
    else a model; with the template of that model where LLaMA-Factory knows it. Refused: chat_folder (an adapter that
    names no model), adapter_unknown, and as `why_not_loaded`."""
    path = services.roots.readable(folder)
    adapter = adapter_config(path) if path else ABSENT
    if isinstance(adapter, Unreadable) and adapter.failure is not None:
        return Refused("unsound", {"code": "adapter_unknown", "value": folder, "reason": adapter.reason})
    if isinstance(adapter, Unreadable):
        return Refused("unsound", {"code": "adapter_broken", "value": folder, "reason": adapter.reason})
    if isinstance(adapter, Absent):
        return {"model_name_or_path": folder, "template": models.like(services, folder).template or "default"}
    base = adapter.get(BASE_KEY)
    if not isinstance(base, str) or not base:
        return Refused("chat_folder", {"path": folder})
    template = models.like(services, base).template or "default"
    args = {"model_name_or_path": base, "adapter_name_or_path": folder, "template": template}
    return why_not_loaded(services, args) or args


def why_unsound(services: Services, args: Mapping[str, Any]) -> Refused | None:
    """Why nothing good comes of loading this: files that are not there (any more), weights of a run whose loss was no
    number. None where nothing is known against it. Refused: next_gone, next_dead, next_dead_earlier,
    and as `why_not_loaded`."""
    for gone in on_disk.missing(services, args).values():
        return Refused("next_gone", {"path": gone[0].value})
    wrong = why_not_loaded(services, args)
    if wrong is not None:
        return wrong
    for dead in dead_weights(services, args).values():
        code = "next_dead_earlier" if dead[0].earlier else "next_dead"
        return Refused(code, {"step": dead[0].step, "earlier": dead[0].earlier})
    return None


def job_of(services: Services, kind: JobKind, args: Mapping[str, Any]) -> JobConfig:
    """A job of a kind that loads a model by these arguments; the rest is as in a new form of that kind."""
    left = (frozenset() if kind.serves else INFERS) | (frozenset() if kind.runs_model else COMPUTES)
    loads = {name: value for name, value in args.items() if name not in left}
    if kind.serves:
        job = job_from_args({"infer_backend": "huggingface", **loads}, {}, kind.name)
    else:
        given = job_from_args(loads, {}, kind.name)
        fresh, _ = fit_to_machine(services, new_job(kind.name))
        own = {name: value for name, value in fresh.values.items() if name.startswith(f"{kind.name}.")}
        job = JobConfig(kind.name, {**own, **given.values}, given.extra)
    return with_model_name(services, clean(job).job)


def job_for_run(services: Services, kind: JobKind, view: RunView) -> JobConfig | Refused:
    """A job of a kind that loads what a run has made; an evaluation of it has the run's data, an export a folder of its
    own. Both are to run where the run did. Refused: as `loads_run`."""
    args = loads_run(services, view)
    if isinstance(args, Refused):
        return args
    job = job_of(services, kind, args)
    document = stored(view)
    values: dict[str, Any] = {}
    if DATASETS[kind.name] and not kind.trains:
        values = data_of(services, kind, document.args if document else {})
    target = BY_KIND_ARG[kind.name].get("export_dir")
    if target is not None:
        values[target.id] = free_folder(services, view)
    made = JobConfig(job.kind, {**job.values, **values}, job.extra)
    place = view.target  # what a machine without GPUs could not train it can hardly measure
    return made.on(place) if place and not kind.trains and is_there(services, kind, place) else made


def is_there(services: Services, kind: JobKind, target: str) -> bool:
    """Whether a kind of job can be given to a target of now."""
    return f"{kind.name}.{TARGET}" in BY_ID and not isinstance(services.registry.targets.get(target), Refused)


def job_for_folder(services: Services, kind: JobKind, text: str) -> JobConfig | Refused:
    """A job of a kind that loads a typed folder (relative to the workspace) or Hub id: a run, an adapter, a checkpoint,
    else a model. Refused: as `loads_run` and `loads_folder`."""
    folder = text.strip().rstrip("/")
    view = by_folder(services, folder)
    if view is not None and folder in (view.output_dir, weights_in(view)):
        return job_for_run(services, kind, view)
    document = stored(view) if view else None
    path = services.roots.readable(folder)
    if document is not None and path is not None and (Path(path) / "adapter_config.json").is_file():
        args = arguments_of(document.args, folder)
        return why_not_loaded(services, args) or job_of(services, kind, args)
    found = loads_folder(services, folder)
    return found if isinstance(found, Refused) else job_of(services, kind, found)


def by_folder(services: Services, folder: str) -> RunView | None:
    """The run whose weights lie in a folder of the workspace, or are one of its checkpoints."""
    for view in services.registry.snapshot():
        made = None if named(view.kind).trains or view.waiting else weights_in(view)
        if folder in (view.output_dir, made) or folder.startswith(f"{view.output_dir}/checkpoint-"):
            return view
    return None


def data_of(services: Services, kind: JobKind, args: Mapping[str, Any]) -> dict[str, Any]:
    """What an evaluation of a run is proposed to be measured on: its evaluation data, else those it was trained on, as
    far as they are no ranked pairs."""
    folder = str(args.get("dataset_dir") or "data")
    known = services.datasets(folder).ranking
    names = listed(args.get("eval_dataset") or args.get("dataset"))
    values = {
        DATASETS[kind.name][0].id: [name for name in names if not known.get(name)],
        f"{kind.name}.dataset_dir": folder, f"{kind.name}.cutoff_len": args.get("cutoff_len"),
        f"{kind.name}.max_samples": EVALUATED,
    }
    return {name: value for name, value in values.items() if value and name in BY_ID}


def free_folder(services: Services, view: RunView) -> str:
    """A folder for an export of a run that holds nothing yet."""
    name, n = view.name.replace(" ", ""), 1
    while holds_something(services.workspace.root / EXPORTS / (f"{name}-{n}" if n > 1 else name)):
        n += 1
    return f"{EXPORTS}/{name}-{n}" if n > 1 else f"{EXPORTS}/{name}"
