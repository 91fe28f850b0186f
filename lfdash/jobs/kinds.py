"""KINDS: every kind of job, one row a kind. Its command, page, checks, devices and details derive from it.

A new kind is a row here; its own fields in `fields`, under the scope of its name (at least `output_dir`, the name of
its runs); the script of its page, two lines as in pages/evaluate.py; and its texts: `ui.page_NAME`, `ui.welcome_NAME`,
`ui.runs_kind_NAME`, and `ui.preparing_NAME` where it neither trains nor serves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Args = Mapping[str, Any]  # LLaMA-Factory's arguments

DOES = ("do_train", "do_eval", "do_predict")
# llamafactory/api/app.py and api/chat.py: by default it listens on every address, asks for no key, writes each request
# into its log, and reads files that a request names
PORT_VARIABLE, KEY_VARIABLE = "API_PORT", "API_KEY"
OF_A_JOB = frozenset({
    *DOES, "stage", "dataset", "eval_dataset", "dataset_dir", "export_dir", "predict_with_generate", "finetuning_type",
    "template", "lora_rank", "cutoff_len", "tokenized_path",
})
OF_A_RUN = OF_A_JOB - {"finetuning_type", "template", "cutoff_len"} | {"output_dir", "learning_rate"}
# what `llamafactory-cli chat` and `api` take beside what they share with a job (ModelArguments, GeneratingArguments)
OF_A_CHAT = ("infer_backend", "infer_dtype", "vllm_maxlen", "vllm_gpu_util", "vllm_enforce_eager", "vllm_config")
IN_A_CHAT = frozenset({
    "model_name_or_path", "adapter_name_or_path", "template", "finetuning_type", "trust_remote_code", "temperature",
    "quantization_bit", "quantization_method", "flash_attn", "max_new_tokens", "top_p", "top_k", "do_sample",
    "repetition_penalty", "rope_scaling", "use_cache", "default_system", "enable_thinking", "cutoff_len",
    "image_max_pixels", "video_max_pixels", "video_fps", *OF_A_CHAT,
})
LOOPBACK = {"API_HOST": "127.0.0.1", "API_VERBOSE": "0", "ALLOW_LOCAL_FILES": "0"}


@dataclass(frozen=True)
class JobKind:
    """One kind of job.

    name: as runs record it; the scope of its own fields. command: of llamafactory-cli. page: the script that draws
    it, relative to the project. tabs: the details of a run, in order (keys of `ui.train.monitor.DETAILS`). needs:
    what a job cannot do without, in the order of the form (keys of `checks.NEEDS`). asked_by: whether arguments that
    come without a kind are for this one. takes_devices: whether a job with these arguments uses GPUs where there are
    any. queued: whether a job may wait for its turn. stem: what a new run's name starts with. starts_from: what an
    empty form is filled with, "preset" (it offers them; else LlamaBoard's defaults) or "model" (the one of the form
    that was open before). trains: whether it changes weights step by step, and so has a loss, checkpoints to resume
    from, and results to train on. runs_model: whether the model computes, so that it may be quantized when loaded;
    else it is only written anew. quantizer: LlamaBoard sends the quantization method even when nothing is quantized.
    saves: what takes disk space. done: key of the text that says what a run that succeeded has left; "" where that is
    read from its folder. ended: the same of one that was stopped. serves: whether it answers requests until it is
    stopped: it gets a port of its own on loopback (`PORT_VARIABLE`), and ends when nobody asks it any more. env: what
    its environment always holds. made_secrets: variables that get a new random value with each start.
    """

    name: str
    command: str
    page: str
    tabs: tuple[str, ...]
    needs: tuple[str, ...]
    stem: str
    asked_by: Callable[[Args], bool] = lambda args: False
    takes_devices: Callable[[Args], bool] = lambda args: True
    queued: bool = True
    starts_from: Literal["preset", "model"] = "model"
    trains: bool = False
    runs_model: bool = True
    quantizer: bool = False
    saves: Literal["checkpoints", "model", "results"] = "results"
    done: str = ""
    ended: str = ""
    serves: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    made_secrets: tuple[str, ...] = ()


def merges(args: Args) -> bool:
    """Whether arguments are those of `llamafactory-cli export`."""
    return "export_dir" in args and not any(args.get(name) for name in DOES)


def evaluates(args: Args) -> bool:
    """Whether arguments evaluate or predict without training."""
    wanted = any(args.get(name) for name in ("do_eval", "do_predict", "predict_with_generate"))
    return wanted and not args.get("do_train") and not merges(args)


def chats(args: Args) -> bool:
    """Whether arguments are those of `llamafactory-cli api`, `chat` or `webchat`."""
    if OF_A_RUN & args.keys():
        return False
    own = any(name in args for name in OF_A_CHAT)
    return own or {"model_name_or_path", "template"} <= args.keys() <= IN_A_CHAT


KINDS = (
    JobKind(
        name="train",
        command="train",
        page="app.py",
        tabs=("log", "curves", "files", "configuration"),
        needs=("model", "name", "dataset", "reward", "training", "template"),
        stem="run",
        starts_from="preset",
        trains=True,
        saves="checkpoints",
    ),
    JobKind(
        name="eval",
        command="train",  # which also evaluates and predicts
        page="pages/evaluate.py",
        tabs=("results", "predictions", "log", "files", "configuration"),
        needs=("model", "name", "dataset", "template", "generation"),
        stem="eval",
        asked_by=evaluates,
        quantizer=True,
        done="ui.scored",
    ),
    JobKind(
        name="export",
        command="export",
        page="pages/export.py",
        tabs=("log", "files", "configuration"),
        needs=("model", "name", "export_dir", "weights", "no_adapter", "template"),
        stem="export",
        asked_by=merges,
        takes_devices=lambda args: args.get("export_device", "cpu") == "auto",
        runs_model=False,
        saves="model",
        done="ui.exported",
    ),
    JobKind(
        name="chat",
        command="api",
        page="pages/chat.py",
        tabs=("conversation", "log", "files", "configuration"),
        needs=("model", "name", "template"),
        stem="chat",
        asked_by=chats,
        done="ui.chat_ended",
        ended="ui.chat_ended",
        serves=True,
        env=LOOPBACK,
        made_secrets=(KEY_VARIABLE,),
    ),
)
BY_NAME = {kind.name: kind for kind in KINDS}
SERVING = next(kind for kind in KINDS if kind.serves)  # what *Try it* opens
EVALUATING = next(kind for kind in KINDS if kind.asked_by is evaluates)  # what *Evaluate* opens
MERGING = next(kind for kind in KINDS if kind.asked_by is merges)  # what *Export* opens
DEFAULT = KINDS[0]  # of arguments that no other kind asks for, and of runs of the plain CLI


def named(name: str) -> JobKind:
    """The kind of this name; the default one for a name that is not known, as a newer version may have written."""
    return BY_NAME.get(name, DEFAULT)


def kind_of(args: Args) -> JobKind:
    """The kind of job that arguments are for."""
    return next((kind for kind in KINDS if kind.asked_by(args)), DEFAULT)
