"""The job that loads a run's weights, or a model, for a chat."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lfdash.engine import context
from lfdash.engine.chat.connection import connection_of
from lfdash.engine.defaults import fresh_name, with_model_name
from lfdash.engine.plans import prepare
from lfdash.engine.resume import stored
from lfdash.engine.services import Services
from lfdash.engine.submit import submit
from lfdash.files import read_json_file
from lfdash.jobs import checks
from lfdash.jobs.args import job_from_args
from lfdash.jobs.job import JobConfig
from lfdash.jobs.kinds import SERVING, named
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
WEIGHTS = ("adapter_name_or_path", "finetuning_type")
UNTALKING = frozenset({"rm"})  # stages whose models give scores: the API answers 405 (can_generate in hf_engine.py)


def why_not_tried(view: RunView) -> Refused | None:
    """Why one cannot chat with what a run has saved; None when one can."""
    if not named(view.kind).trains:
        return Refused("try_no_training")
    if view.waiting is not None or not (view.saved.model or view.saved.checkpoints):
        return Refused("try_nothing_saved")
    document = stored(view)
    if document is None:
        return Refused("no_configuration")
    if str(document.args.get("stage", "sft")) in UNTALKING:
        return Refused("try_scores")
    return None


def weights_in(view: RunView) -> str:
    """The folder of a run's weights: its own, else that of its last checkpoint."""
    if view.saved.model or not view.saved.checkpoints:
        return view.output_dir
    return f"{view.output_dir}/checkpoint-{view.saved.checkpoints[-1]}"


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


def job_for_run(services: Services, view: RunView) -> JobConfig | Refused:
    """The chat with what a run has saved. Refused: as `why_not_tried`."""
    refused = why_not_tried(view)
    document = stored(view)
    if refused is not None or document is None:
        return refused or Refused("no_configuration")
    return job_of(services, arguments_of(document.args, weights_in(view)))


def job_of(services: Services, args: Mapping[str, Any]) -> JobConfig:
    """The chat of arguments that load a model."""
    job = job_from_args({"infer_backend": "huggingface", **args}, {}, SERVING.name)
    return with_model_name(services, clean(job).job)


def job_for_base(services: Services, view: RunView) -> JobConfig | Refused:
    """The chat with the model that a chat's or a training's weights were made from. Refused: no_configuration,
    chat_base (it is the base already, or it is not known what it was made from)."""
    document = stored(view)
    if document is None:
        return Refused("no_configuration")
    args = {name: value for name, value in document.args.items() if name in LOADS}
    adapters = args.pop("adapter_name_or_path", None)
    if adapters is None and not named(view.kind).trains:
        made = by_folder(services, str(args.get("model_name_or_path", "")))
        before = stored(made) if made else None
        if before is None:
            return Refused("chat_base")
        args = {**args, "model_name_or_path": before.args.get("model_name_or_path")}
    return job_of(services, {name: value for name, value in args.items() if name not in WEIGHTS})


def by_folder(services: Services, folder: str) -> RunView | None:
    """The run whose weights lie in a folder of the workspace, or are one of its checkpoints."""
    for view in services.registry.snapshot():
        if folder == view.output_dir or folder.startswith(f"{view.output_dir}/checkpoint-"):
            return view
    return None


def job_for_folder(services: Services, text: str) -> JobConfig | Refused:
    """The chat with a typed folder (relative to the workspace) or Hub id: an adapter on the model that it names, a run,
    else a model. Refused: chat_folder (an adapter that names no model)."""
    folder = text.strip().rstrip("/")
    view = by_folder(services, folder)
    if view is not None and view.output_dir == folder and why_not_tried(view) is None:
        return job_for_run(services, view)
    path = services.roots.readable(folder)
    adapter = read_json_file(Path(path) / "adapter_config.json") if path else None
    if not isinstance(adapter, dict) or not adapter:
        return job_of(services, {"model_name_or_path": folder, "template": "default"})
    document = stored(view) if view else None
    if document is not None:
        return job_of(services, arguments_of(document.args, folder))
    base = adapter.get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        return Refused("chat_folder", {"path": folder})
    return job_of(services, {"model_name_or_path": base, "adapter_name_or_path": folder, "template": "default"})


def reached(services: Services, view: RunView) -> str:
    """How a chat is reached: "" where it answers, else the code of why it does not."""
    found = connection_of(services.registry, view)
    return found.code if isinstance(found, Refused) else ""


def launch(services: Services, job: JobConfig, header: str, *, beside: bool = False) -> str | Refused:
    """Starts a chat under a fresh name; where its devices are in use, it waits in the queue. Its run id.

    header: the comment at the top of its YAML file. beside: even where others have the devices.
    Refused: problems (what is wrong with the job), blocked_*, and as `Dispatcher.launch`.
    """
    if services.blocked is not None:
        return services.blocked
    name = fresh_name(services, SERVING.stem)
    job = JobConfig(job.kind, {**job.values, f"{job.kind}.output_dir": name}, job.extra)
    wrong = [found for found in checks.problems(job, context.of(services, job)) if found.level == "error"]
    if wrong:
        return Refused("chat_problem", {"field": wrong[0].field or "–", "code": wrong[0].code})
    prepared = prepare(services, job, header)
    outcome = submit(services, prepared, "beside" if beside else "start")
    if isinstance(outcome, Refused) and outcome.code == "busy":
        outcome = submit(services, prepared, "queue")
    return outcome if isinstance(outcome, Refused) else outcome.run_id
