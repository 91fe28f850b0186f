"""RULES: what several values say together, and what cures it.

They are those of LLaMA-Factory's own parser (llamafactory/hparams/parser.py and *_args.py); each
row is a condition over the built arguments, so that it also sees arguments without a field.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lfdash.jobs.job import LARGEST
from lfdash.jobs.kinds import chats
from lfdash.jobs.stages import BY_CODE, METHODS
from lfdash.outcomes import Level

Args = Mapping[str, Any]
Cure = Mapping[str, Any]  # argument -> its value; None = not given
EXTRA = "train.extra_args"
STAGE = "train.training_stage"
METHOD = "top.finetuning_type"
MODEL_PATH = "top.model_path"
PEFT_ONLY = ("loraplus_lr_ratio", "use_rslora", "use_dora", "pissa_init")
LAYER_OPTIMIZERS = ("use_galore", "use_apollo", "use_badam")
NO_PISSA = {"pissa_init": None}
NO_LAYERS = dict.fromkeys(LAYER_OPTIMIZERS)


@dataclass(frozen=True)
class Rule:
    """One condition that stops a run: where it shows, its text, when it is broken, and the certain cure.

    The cure switches off what is optional; where two settings of equal weight clash there is none. params: what fills
    its text. level: as in `outcomes.Problem`.
    """

    field: str
    code: str
    broken: Callable[[Args], object]
    fix: Cure | Callable[[Args], Cure] | None = None
    params: Mapping[str, str] = dataclasses.field(default_factory=dict)
    level: Level = "error"


@dataclass(frozen=True)
class Finding:
    """What was found wrong with a job's arguments as the world is. As `Rule`, with the cure as it is."""

    field: str
    code: str
    params: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    level: Level = "error"
    fix: Cure | None = None


def stage(args: Args) -> str:
    return str(args.get("stage", "sft"))


def method(args: Args) -> str:
    return str(args.get("finetuning_type", "lora"))


def number(args: Args, name: str) -> float:
    """A numeric argument; 0 when it is missing or something else, at most LARGEST (more is refused elsewhere)."""
    value = args.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return 0.0
    return float(max(-LARGEST, min(value, LARGEST))) if value == value else 0.0


def zero3(args: Args) -> bool:
    return "z3" in str(args.get("deepspeed", ""))


def many(args: Args, names: tuple[str, ...]) -> int:
    return sum(bool(args.get(name)) for name in names)


def rounded(name: str) -> Callable[[Args], Cure]:
    """The cure of a number of steps that is not whole."""
    return lambda args: {name: round(args[name])}


RULES = (
    Rule("train.use_galore", "lora_galore", lambda a: method(a) == "lora" and many(a, LAYER_OPTIMIZERS), NO_LAYERS),
    Rule("train.use_galore", "one_optimizer", lambda a: many(a, LAYER_OPTIMIZERS) > 1),
    Rule("train.mask_history", "mask_prompt", lambda a: a.get("mask_history") and a.get("train_on_prompt")),
    Rule(
        "train.neat_packing", "neat_sft", lambda a: stage(a) != "sft" and a.get("neat_packing"),
        {"neat_packing": None},
    ),
    Rule(
        "train.train_on_prompt", "prompt_sft",
        lambda a: stage(a) != "sft" and (a.get("train_on_prompt") or a.get("mask_history")),
        {"train_on_prompt": None, "mask_history": None},
    ),
    Rule(
        "train.use_llama_pro", "llama_pro", lambda a: method(a) == "full" and a.get("use_llama_pro"),
        {"use_llama_pro": None},
    ),
    Rule(
        "train.use_pissa", "lora_only", lambda a: method(a) != "lora" and many(a, PEFT_ONLY),
        dict.fromkeys(PEFT_ONLY),
    ),
    Rule(
        "train.use_pissa", "pissa_stage",
        lambda a: a.get("pissa_init")
        and (stage(a) in ("ppo", "kto") or (stage(a) == "dpo" and a.get("pref_loss") not in ("orpo", "simpo"))),
        NO_PISSA,
    ),
    Rule(
        "top.quantization_bit", "quant_method", lambda a: a.get("quantization_bit") and method(a) not in ("lora", "oft"),
        {"finetuning_type": "lora"},
    ),
    Rule("train.use_pissa", "quant_pissa", lambda a: a.get("quantization_bit") and a.get("pissa_init"), NO_PISSA),
    Rule(
        "train.resize_vocab", "quant_resize", lambda a: a.get("quantization_bit") and a.get("resize_vocab"),
        {"resize_vocab": None},
    ),
    # an adapter says itself whether it is OFT's; LLaMA-Factory loads it while the method is called lora
    Rule(
        "top.checkpoint_path", "adapter_method", lambda a: a.get("adapter_name_or_path") and method(a) != "lora",
        lambda a: {"finetuning_type": "lora", "adapter_name_or_path": a["adapter_name_or_path"]} if method(a) == "oft" else {},
    ),
    Rule(
        "train.create_new_adapter", "quant_new_adapter",
        lambda a: a.get("quantization_bit") and a.get("adapter_name_or_path") and a.get("create_new_adapter"),
        {"create_new_adapter": None},
    ),
    Rule(
        "train.eval_dataset", "eval_twice", lambda a: a.get("eval_dataset") and number(a, "val_size") > 1e-6,
        {"val_size": None},
    ),
    Rule(
        "train.eval_strategy", "eval_needs_data",
        lambda a: a.get("eval_strategy", "no") != "no" and not a.get("eval_dataset") and number(a, "val_size") < 1e-6,
        {"val_size": 0.1},
    ),
    Rule(
        "train.early_stopping_steps", "early_needs_eval",
        lambda a: a.get("early_stopping_steps") and a.get("eval_strategy", "no") == "no",
        {"early_stopping_steps": None},
    ),
    Rule(
        "train.early_stopping_steps", "early_needs_metric", lambda a: a.get("early_stopping_steps") and not a.get("metric_for_best_model"),
        {"metric_for_best_model": "eval_loss"},
    ),
    Rule(
        "train.load_best_model_at_end", "best_stage", lambda a: stage(a) in ("rm", "ppo") and a.get("load_best_model_at_end"),
        {"load_best_model_at_end": None},
    ),
    Rule(
        "train.reward_model_type", "reward_type",
        lambda a: stage(a) == "ppo" and a.get("reward_model_type", "lora") == "lora" and method(a) != "lora",
        {"reward_model_type": "full"},
    ),
    Rule(
        "train.image_max_pixels", "image_pixels", lambda a: 0 < number(a, "image_max_pixels") < number(a, "image_min_pixels"),
        {"image_min_pixels": None},
    ),
    Rule(
        "train.video_max_pixels", "video_pixels", lambda a: 0 < number(a, "video_max_pixels") < number(a, "video_min_pixels"),
        {"video_min_pixels": None},
    ),
    Rule("train.compute_type", "fp16_bf16", lambda a: a.get("fp16") and a.get("bf16")),
    Rule(
        "train.compute_type", "pure_bf16_zero3", lambda a: a.get("pure_bf16") and zero3(a),
        {"pure_bf16": None, "bf16": True},
    ),
    Rule("train.use_pissa", "pissa_zero3", lambda a: a.get("pissa_init") and zero3(a), NO_PISSA),
    Rule("top.booster", "unsloth_zero3", lambda a: a.get("use_unsloth") and zero3(a), {"use_unsloth": None}),
    Rule(
        "train.ds_stage", "galore_deepspeed", lambda a: a.get("deepspeed") and (a.get("use_galore") or a.get("use_apollo")),
        NO_LAYERS,
    ),
    Rule(
        "train.val_size", "ppo_eval", lambda a: stage(a) == "ppo" and (number(a, "val_size") > 1e-6 or a.get("eval_dataset")),
        {"val_size": None, "eval_dataset": None},
    ),
    Rule(
        "train.num_train_epochs", "epochs_zero",
        lambda a: a.get("do_train") and a.get("num_train_epochs") == 0 and number(a, "max_steps") <= 0,
        {"num_train_epochs": 3.0},
    ),
    Rule("train.logging_steps", "steps_zero", lambda a: a.get("logging_steps") == 0, {"logging_steps": 5}),
    Rule("train.logging_steps", "steps_whole", lambda a: fraction(a, "logging_steps"), rounded("logging_steps")),
    Rule("train.save_steps", "steps_whole", lambda a: fraction(a, "save_steps"), rounded("save_steps")),
    Rule("train.eval_steps", "steps_whole", lambda a: fraction(a, "eval_steps"), rounded("eval_steps")),
    Rule(
        "top.checkpoint_path", "adapter_list", lambda a: isinstance(a.get("adapter_name_or_path"), list),
        lambda a: {"adapter_name_or_path": ",".join(map(str, a["adapter_name_or_path"]))},
    ),
    Rule(
        "train.load_best_model_at_end", "best_strategy",
        lambda a: a.get("load_best_model_at_end")
        and a.get("save_strategy", "steps") not in ("best", a.get("eval_strategy", "no")),
        lambda a: {"save_strategy": a["eval_strategy"]} if a.get("eval_strategy", "no") != "no" else {"load_best_model_at_end": None},
    ),
    Rule(
        "train.load_best_model_at_end", "best_steps",
        lambda a: a.get("load_best_model_at_end")
        and a.get("save_strategy", "steps") == a.get("eval_strategy") == "steps"
        and number(a, "eval_steps") >= 1
        and number(a, "save_steps") % number(a, "eval_steps") != 0,
        lambda a: {"save_steps": a["eval_steps"]},
    ),
    Rule(
        "train.pref_loss", "dpo_smoothing",
        lambda a: stage(a) == "dpo" and a.get("pref_loss", "sigmoid") != "sigmoid" and number(a, "dpo_label_smoothing") > 1e-6,
        {"dpo_label_smoothing": None},
    ),
    Rule(METHOD, "method_unknown", lambda a: method(a) not in METHODS, params={"known": ", ".join(METHODS)}),
    Rule(STAGE, "stage_unknown", lambda a: stage(a) not in BY_CODE, params={"known": ", ".join(BY_CODE)}),
    Rule(EXTRA, "export_quant_dataset", lambda a: a.get("export_quantization_bit") and not a.get("export_quantization_dataset")),
    Rule(
        EXTRA, "generate_stage", lambda a: stage(a) != "sft" and a.get("predict_with_generate"),
        {"predict_with_generate": None},
    ),
    Rule(
        EXTRA, "generate_accuracy", lambda a: a.get("predict_with_generate") and a.get("compute_accuracy"),
        {"compute_accuracy": None},
    ),
    Rule(
        EXTRA, "infer_backend", lambda a: a.get("infer_backend", "huggingface") != "huggingface" and not chats(a),
        {"infer_backend": None},
    ),
    Rule(
        EXTRA, "interleave_concat", lambda a: a.get("interleave_probs") and a.get("mix_strategy", "concat") == "concat",
        {"mix_strategy": "interleave_under"},
    ),
    Rule(EXTRA, "interleave_length", lambda a: a.get("interleave_probs") and not lengths_agree(a)),
    Rule(
        EXTRA, "quant_device_map", lambda a: a.get("do_train") and a.get("quantization_device_map") == "auto",
        {"quantization_device_map": None},
    ),
    Rule(
        EXTRA, "quant_bits",
        lambda a: any(a.get(f"{name}_model_quantization_bit") not in (None, 4, 8) for name in ("ref", "reward")),
    ),
    Rule(
        EXTRA, "stream_samples", lambda a: a.get("streaming") and a.get("max_samples") is not None,
        {"max_samples": None},
    ),
    Rule(EXTRA, "stream_split", lambda a: a.get("streaming") and 1e-6 < number(a, "val_size") < 1, {"val_size": None}),
    Rule("train.max_steps", "stream_steps", lambda a: a.get("streaming") and number(a, "max_steps") <= 0),
    Rule(
        "train.project", "trackio_project",
        lambda a: "trackio" in str(a.get("report_to")) and a.get("project", "huggingface") == "",
        {"project": None},
    ),
    # transformers looks into the run's own folder then, and ends: the folder is new (Resume gives the path itself)
    Rule(
        "train.resume_from_checkpoint", "resume_newest", lambda a: a.get("do_train") and a.get("resume_from_checkpoint") is True,
        {"resume_from_checkpoint": None},
    ),
    Rule("train.warmup_steps", "warmup_negative", lambda a: number(a, "warmup_steps") < 0, {"warmup_steps": None}),
    Rule(
        "train.warmup_ratio", "warmup_twice", lambda a: number(a, "warmup_steps") > 0 and number(a, "warmup_ratio") > 0,
        {"warmup_ratio": None},
    ),
)


def lengths_agree(args: Args) -> bool:
    """Whether there is one probability for each dataset (training's, and evaluation's where there are any)."""
    count = len(listed(args.get("interleave_probs")))
    asked = [listed(args.get(name)) for name in ("dataset", "eval_dataset")]
    return all(len(names) == count for names in asked if names)


def fraction(args: Args, name: str) -> bool:
    """A number of steps above 1 that is not whole (below 1 it is a share of all steps)."""
    value = number(args, name)
    return value > 1 and not value.is_integer()


def listed(value: Any) -> list[str]:
    """Dataset names of an argument: a comma-separated string or a list."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return [str(item) for item in value] if isinstance(value, list) else []
