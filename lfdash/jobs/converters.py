"""How the rows that are not sent as they are become arguments, and come back.

Every `*_from` returns None for what its `*_to` would not give back exactly: the argument is then kept as an
extra one, unchanged. Source of each: LlamaBoard's `_parse_train_args` (llamafactory/webui/runner.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from lfdash.jobs.field import KIND, Get
from lfdash.jobs.kinds import named
from lfdash.jobs.stages import ADAPTER_METHODS
from lfdash.outcomes import Value

SAVES = "saves"  # folder of the runs, in the workspace
DEEPSPEED = re.compile(r"deepspeed/ds_z([23])_(offload_)?config\.json")
BOOSTERS: Mapping[str, Mapping[str, Any]] = {
    "auto": {"flash_attn": "auto"},
    "flashattn2": {"flash_attn": "fa2"},
    "unsloth": {"flash_attn": "auto", "use_unsloth": True},
    "liger_kernel": {"flash_attn": "auto", "enable_liger_kernel": True},
}
COMPUTE = ("bf16", "fp16", "pure_bf16")  # fp32 is none of them


def model_name(get: Get) -> str:
    """The model's name in the path of its runs: the one given, else the last part of its path."""
    name = get("top.model_name")
    path = str(get("top.model_path") or "").replace("\\", "/").rstrip("/")
    return str(name) if name else path.rsplit("/", 1)[-1]


def save_dir(get: Get, name: str) -> str:
    """Where a run of this model and method lies; a name with a separator is a path and stays as it is.

    Source: get_save_dir in llamafactory/webui/common.py (which takes spaces out of names).
    """
    if "/" in name:
        return name
    parts = (model_name(get), str(get("top.finetuning_type")), name)
    return "/".join([SAVES, *(part.replace(" ", "") for part in parts)])


def saved_name(path: str, method: str, model: str | None = None) -> str:
    """The inverse of `save_dir` for one path: the bare name where it has the usual shape (and is of the model)."""
    parts = path.split("/")
    usual = len(parts) == 4 and parts[0] == SAVES and parts[2] == method and all(parts)
    return parts[3] if usual and model in (None, parts[1]) else path


def model_of(args: Mapping[str, Any]) -> str:
    """The model's part of the folders of runs that arguments mean."""
    given = {"top.model_name": name_from(args), "top.model_path": args.get("model_name_or_path")}
    return model_name(given.get).replace(" ", "")


def method_of(args: Mapping[str, Any]) -> str:
    """The fine-tuning type that arguments mean."""
    return str(args.get("finetuning_type", "lora"))


def output_to(value: str, get: Get) -> dict[str, Any]:
    return {"output_dir": save_dir(get, value)}


def output_from(args: Mapping[str, Any]) -> Value | None:
    path = args.get("output_dir")
    return saved_name(path, method_of(args)) if isinstance(path, str) and path else None


def name_from(args: Mapping[str, Any]) -> Value | None:
    """The model's name that an output folder of the usual shape says, where the path says another."""
    path = args.get("output_dir")
    if not isinstance(path, str) or saved_name(path, method_of(args)) == path:
        return None
    return path.split("/")[1]


def names_to(argument: str) -> Callable[[list[str], Get], dict[str, Any]]:
    """Runs by name -> one argument with their folders, comma-separated."""

    def convert(value: list[str], get: Get) -> dict[str, Any]:
        return {argument: ",".join(save_dir(get, str(name)) for name in value)}

    return convert


def names_from(argument: str) -> Callable[[Mapping[str, Any]], Value | None]:
    """Runs of the same model and method by name, all others by path."""

    def convert(args: Mapping[str, Any]) -> Value | None:
        text = args.get(argument)
        if not isinstance(text, str) or not text:
            return None
        return [saved_name(part, method_of(args), model_of(args)) for part in text.split(",")]

    return convert


def checkpoint_to(value: list[str], get: Get) -> dict[str, Any]:
    """Adapters are loaded onto the model; the weights of a full or freeze run take its place."""
    if get("top.finetuning_type") in ADAPTER_METHODS:
        return names_to("adapter_name_or_path")(value, get)
    return {"model_name_or_path": save_dir(get, str(value[0]))}


def checkpoint_from(args: Mapping[str, Any]) -> Value | None:
    return names_from("adapter_name_or_path")(args) if method_of(args) in ADAPTER_METHODS else None


def listed_to(argument: str) -> Callable[[list[str], Get], dict[str, Any]]:
    """A list of words -> one comma-separated string."""

    def convert(value: list[str], _get: Get) -> dict[str, Any]:
        return {argument: ",".join(map(str, value))}

    return convert


def listed_from(argument: str) -> Callable[[Mapping[str, Any]], Value | None]:
    def convert(args: Mapping[str, Any]) -> Value | None:
        text = args.get(argument)
        return text.split(",") if isinstance(text, str) and text else None

    return convert


def booster_to(value: str, get: Get) -> dict[str, Any]:
    """LlamaBoard uses the Liger kernel in training only."""
    sent = dict(BOOSTERS[value])
    if not named(str(get(KIND))).trains:
        sent.pop("enable_liger_kernel", None)
    return sent


def booster_from(args: Mapping[str, Any]) -> Value | None:
    """The booster whose arguments are all there, the one with most of them first."""
    for name, sent in sorted(BOOSTERS.items(), key=lambda item: -len(item[1])):
        if all(args.get(key) == value for key, value in sent.items()):
            return name
    return None


def compute_to(value: str, _get: Get) -> dict[str, Any]:
    """Only the flag that is on: the others are off by default (LlamaBoard drops them too before it runs)."""
    return {value: True} if value in COMPUTE else {}


def compute_from(args: Mapping[str, Any]) -> Value | None:
    on = [name for name in COMPUTE if args.get(name) is True]
    return on[0] if len(on) == 1 else None


def bits_to(value: str, _get: Get) -> dict[str, Any]:
    return {"quantization_bit": int(value)}


def bits_from(args: Mapping[str, Any]) -> Value | None:
    bits = args.get("quantization_bit")
    return str(bits) if isinstance(bits, int) and not isinstance(bits, bool) else None


def export_bits_to(value: str, _get: Get) -> dict[str, Any]:
    return {"export_quantization_bit": int(value)}


def export_bits_from(args: Mapping[str, Any]) -> Value | None:
    bits = args.get("export_quantization_bit")
    return str(bits) if isinstance(bits, int) and not isinstance(bits, bool) else None


def pixels(text: str) -> int:
    """`768*768` or `589824` -> number of pixels. ValueError for anything else."""
    found = re.fullmatch(r"\s*(\d+)\s*(?:\*\s*(\d+)\s*)?", text)
    if found is None:
        raise ValueError(text)
    return int(found[1]) * int(found[2] or 1)


def pixels_to(argument: str) -> Callable[[str, Get], dict[str, Any]]:
    def convert(value: str, _get: Get) -> dict[str, Any]:
        return {argument: pixels(value)}

    return convert


def pixels_from(argument: str) -> Callable[[Mapping[str, Any]], Value | None]:
    def convert(args: Mapping[str, Any]) -> Value | None:
        number = args.get(argument)
        return str(number) if isinstance(number, int) and not isinstance(number, bool) and number >= 0 else None

    return convert


def deepspeed_to(value: str, get: Get) -> dict[str, Any]:
    offload = "offload_" if get("train.ds_offload") else ""
    return {"deepspeed": f"deepspeed/ds_z{value}_{offload}config.json"}


def deepspeed_from(args: Mapping[str, Any]) -> Value | None:
    found = DEEPSPEED.fullmatch(str(args.get("deepspeed")))
    return found[1] if found else None


def offload_to(_value: bool, _get: Get) -> dict[str, Any]:
    return {}  # part of the name that the stage's row makes


def offload_from(args: Mapping[str, Any]) -> Value | None:
    found = DEEPSPEED.fullmatch(str(args.get("deepspeed")))
    return True if found and found[2] else None


def predict_to(value: bool, _get: Get) -> dict[str, Any]:
    """Predictions are written to a file, or the loss is computed."""
    return {"do_predict": True} if value else {"do_eval": True}


def predict_from(args: Mapping[str, Any]) -> Value | None:
    if args.get("do_predict") is True:
        return True
    return False if args.get("do_eval") is True else None


# arguments with several words that LLaMA-Factory takes as one text with commas and as a list: split_arg in its
# hparams/data_args.py and finetuning_args.py, and transformers' report_to
LISTS = frozenset({
    "dataset", "eval_dataset", "lora_target", "additional_target", "oft_target", "freeze_trainable_modules",
    "freeze_extra_modules", "galore_target", "apollo_target", "report_to",
})


def lists_from(args: Mapping[str, Any]) -> Value | None:
    """The arguments that are given as a list, to be sent as one again."""
    return [name for name in args if name in LISTS and is_list(args[name])] or None


def is_list(value: Any) -> bool:
    """Whether a value is a list of words that can stand in one text with commas."""
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(word, str) and word == word.strip() and word and "," not in word for word in value)


def as_text(args: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments whose lists of words are one text with commas."""
    return {name: ",".join(v) if name in LISTS and is_list(v) else v for name, v in args.items()}


def as_given(args: dict[str, Any], get: Get) -> dict[str, Any]:
    """What a row sends, as a list where it was given as one."""
    lists = get("top.as_lists")
    if not isinstance(lists, list):
        return args
    return {name: v.split(",") if name in lists and isinstance(v, str) else v for name, v in args.items()}


MULTIMODAL = (
    "freeze_vision_tower", "freeze_multi_modal_projector", "freeze_language_model",
    "image_max_pixels", "image_min_pixels", "video_max_pixels", "video_min_pixels",
)


def multimodal_from(args: Mapping[str, Any]) -> Value | None:
    """Arguments that only a multimodal model takes say that it is one."""
    return True if any(name in args for name in MULTIMODAL) else None


def nothing_to(_value: Value, _get: Get) -> dict[str, Any]:
    return {}
