"""RULES: what several values say together, and what the world says to them.

Cross-field rules are those of LLaMA-Factory's own parser (llamafactory/hparams/parser.py and *_args.py); each
row is a condition over the built arguments, so that it also sees arguments without a field.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from lfdash.args import build_args
from lfdash.field import Problem, Value
from lfdash.fields import BY_KIND_ARG, ROWS
from lfdash.job import LARGEST, UNSEEN, ArgumentType, Facts, JobConfig, check, details
from lfdash.stages import BY_CODE, METHODS

Args = Mapping[str, Any]
EXTRA = "train.extra_args"
OUTPUT = "train.output_dir"
DATASET = "train.dataset"
STAGE = "train.training_stage"
METHOD = "top.finetuning_type"
MODEL_PATH = "top.model_path"
PEFT_ONLY = ("loraplus_lr_ratio", "use_rslora", "use_dora", "pissa_init")
LAYER_OPTIMIZERS = ("use_galore", "use_apollo", "use_badam")


@dataclass(frozen=True)
class Rule:
    """One condition that stops a run: where it shows, its text, when it is broken, and the certain cure."""

    field: str
    code: str
    broken: Callable[[Args], object]
    fix: Mapping[str, Value | None] | None = None


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


RULES = (
    Rule("train.use_galore", "lora_galore", lambda a: method(a) == "lora" and many(a, LAYER_OPTIMIZERS)),
    Rule("train.use_galore", "one_optimizer", lambda a: many(a, LAYER_OPTIMIZERS) > 1),
    Rule("train.mask_history", "mask_prompt", lambda a: a.get("mask_history") and a.get("train_on_prompt")),
    Rule(
        "train.neat_packing", "neat_sft", lambda a: stage(a) != "sft" and a.get("neat_packing"),
        {"train.neat_packing": None},
    ),
    Rule(
        "train.train_on_prompt", "prompt_sft",
        lambda a: stage(a) != "sft" and (a.get("train_on_prompt") or a.get("mask_history")),
        {"train.train_on_prompt": None, "train.mask_history": None},
    ),
    Rule("train.use_llama_pro", "llama_pro", lambda a: method(a) == "full" and a.get("use_llama_pro")),
    Rule("train.use_pissa", "lora_only", lambda a: method(a) != "lora" and many(a, PEFT_ONLY)),
    Rule(
        "train.use_pissa", "pissa_stage",
        lambda a: a.get("pissa_init")
        and (stage(a) in ("ppo", "kto") or (stage(a) == "dpo" and a.get("pref_loss") not in ("orpo", "simpo"))),
    ),
    Rule("top.quantization_bit", "quant_method", lambda a: a.get("quantization_bit") and method(a) not in ("lora", "oft")),
    Rule("train.use_pissa", "quant_pissa", lambda a: a.get("quantization_bit") and a.get("pissa_init")),
    Rule("train.resize_vocab", "quant_resize", lambda a: a.get("quantization_bit") and a.get("resize_vocab")),
    Rule("top.checkpoint_path", "adapter_method", lambda a: a.get("adapter_name_or_path") and method(a) != "lora"),
    Rule(
        "train.create_new_adapter", "quant_new_adapter",
        lambda a: a.get("quantization_bit") and a.get("adapter_name_or_path") and a.get("create_new_adapter"),
    ),
    Rule(
        "train.eval_dataset", "eval_twice", lambda a: a.get("eval_dataset") and number(a, "val_size") > 1e-6,
        {"train.val_size": None},
    ),
    Rule(
        "train.eval_strategy", "eval_needs_data",
        lambda a: a.get("eval_strategy", "no") != "no" and not a.get("eval_dataset") and number(a, "val_size") < 1e-6,
    ),
    Rule(
        "train.early_stopping_steps", "early_needs_eval",
        lambda a: a.get("early_stopping_steps") and a.get("eval_strategy", "no") == "no",
    ),
    Rule("train.early_stopping_steps", "early_needs_metric", lambda a: a.get("early_stopping_steps") and not a.get("metric_for_best_model")),
    Rule("train.load_best_model_at_end", "best_stage", lambda a: stage(a) in ("rm", "ppo") and a.get("load_best_model_at_end")),
    Rule(
        "train.reward_model_type", "reward_type",
        lambda a: stage(a) == "ppo" and a.get("reward_model_type", "lora") == "lora" and method(a) != "lora",
        {"train.reward_model_type": "full"},
    ),
    Rule("train.image_max_pixels", "image_pixels", lambda a: 0 < number(a, "image_max_pixels") < number(a, "image_min_pixels")),
    Rule("train.video_max_pixels", "video_pixels", lambda a: 0 < number(a, "video_max_pixels") < number(a, "video_min_pixels")),
    Rule("train.compute_type", "fp16_bf16", lambda a: a.get("fp16") and a.get("bf16")),
    Rule("train.compute_type", "pure_bf16_zero3", lambda a: a.get("pure_bf16") and zero3(a)),
    Rule("train.use_pissa", "pissa_zero3", lambda a: a.get("pissa_init") and zero3(a)),
    Rule("top.booster", "unsloth_zero3", lambda a: a.get("use_unsloth") and zero3(a)),
    Rule("train.ds_stage", "galore_deepspeed", lambda a: a.get("deepspeed") and (a.get("use_galore") or a.get("use_apollo"))),
    Rule("train.val_size", "ppo_eval", lambda a: stage(a) == "ppo" and (number(a, "val_size") > 1e-6 or a.get("eval_dataset"))),
    Rule("train.logging_steps", "steps_zero", lambda a: a.get("logging_steps") == 0, {"train.logging_steps": 5}),
    Rule("train.logging_steps", "steps_whole", lambda a: fraction(a, "logging_steps")),
    Rule("train.save_steps", "steps_whole", lambda a: fraction(a, "save_steps")),
    Rule("train.eval_steps", "steps_whole", lambda a: fraction(a, "eval_steps")),
    Rule("top.checkpoint_path", "adapter_list", lambda a: isinstance(a.get("adapter_name_or_path"), list)),
    Rule(
        "train.load_best_model_at_end", "best_strategy",
        lambda a: a.get("load_best_model_at_end")
        and a.get("save_strategy", "steps") not in ("best", a.get("eval_strategy", "no")),
    ),
    Rule(
        "train.load_best_model_at_end", "best_steps",
        lambda a: a.get("load_best_model_at_end")
        and a.get("save_strategy", "steps") == a.get("eval_strategy") == "steps"
        and number(a, "eval_steps") >= 1
        and number(a, "save_steps") % number(a, "eval_steps") != 0,
    ),
    Rule(
        "train.pref_loss", "dpo_smoothing",
        lambda a: stage(a) == "dpo" and a.get("pref_loss", "sigmoid") != "sigmoid" and number(a, "dpo_label_smoothing") > 1e-6,
    ),
    Rule(METHOD, "method_unknown", lambda a: method(a) not in METHODS),
    Rule(STAGE, "stage_unknown", lambda a: stage(a) not in BY_CODE),
    Rule(EXTRA, "export_quant_dataset", lambda a: a.get("export_quantization_bit") and not a.get("export_quantization_dataset")),
    Rule(EXTRA, "generate_stage", lambda a: stage(a) != "sft" and a.get("predict_with_generate")),
    Rule(EXTRA, "generate_accuracy", lambda a: a.get("predict_with_generate") and a.get("compute_accuracy")),
    Rule(EXTRA, "infer_backend", lambda a: a.get("infer_backend", "huggingface") != "huggingface"),
    Rule(EXTRA, "interleave_concat", lambda a: a.get("interleave_probs") and a.get("mix_strategy", "concat") == "concat"),
    Rule(EXTRA, "interleave_length", lambda a: a.get("interleave_probs") and not lengths_agree(a)),
    Rule(EXTRA, "quant_device_map", lambda a: a.get("do_train") and a.get("quantization_device_map") == "auto"),
    Rule(
        EXTRA, "quant_bits",
        lambda a: any(a.get(f"{name}_model_quantization_bit") not in (None, 4, 8) for name in ("ref", "reward")),
    ),
    Rule(EXTRA, "stream_samples", lambda a: a.get("streaming") and a.get("max_samples") is not None),
    Rule(EXTRA, "stream_split", lambda a: a.get("streaming") and 1e-6 < number(a, "val_size") < 1),
    Rule("train.max_steps", "stream_steps", lambda a: a.get("streaming") and number(a, "max_steps") <= 0),
    Rule(
        "train.project", "trackio_project",
        lambda a: "trackio" in str(a.get("report_to")) and a.get("project", "huggingface") == "",
    ),
    Rule("train.warmup_steps", "warmup_negative", lambda a: number(a, "warmup_steps") < 0),
    Rule("train.warmup_ratio", "warmup_twice", lambda a: number(a, "warmup_steps") > 0 and number(a, "warmup_ratio") > 0),
)  # fmt: skip


def lengths_agree(args: Args) -> bool:
    """Whether there is one probability for each dataset (training's, and evaluation's where there are any)."""
    count = len(listed(args.get("interleave_probs")))
    asked = [listed(args.get(name)) for name in ("dataset", "eval_dataset")]
    return all(len(names) == count for names in asked if names)


def fraction(args: Args, name: str) -> bool:
    """A number of steps above 1 that is not whole (below 1 it is a share of all steps)."""
    value = number(args, name)
    return value > 1 and not value.is_integer()


def problems(job: JobConfig, facts: Facts) -> tuple[Problem, ...]:
    """Everything wrong with a job: missing values, values, combinations, then what the world says."""
    args = build_args(job)
    return (
        *missing_of(job, args, facts),
        *bad_values(job),
        *bad_extra(job),
        *bad_numbers(job, args),
        *bad_name(job, facts),
        *bad_model_name(job),
        *(problem_of(rule, job) for rule in RULES if rule.broken(args)),
        *bad_arguments(job, facts),
        *bad_data(job.kind, args, facts),
        *bad_machine(job.kind, args, facts),
    )


def problem_of(rule: Rule, job: JobConfig) -> Problem:
    """A broken rule, at its field where this kind of job has it."""
    known = any(row.id == rule.field for row in ROWS[job.kind])
    return Problem(rule.field if known else None, rule.code, {}, fix=rule.fix if known else None)


def missing_of(job: JobConfig, args: Args, facts: Facts) -> Iterator[Problem]:
    """What a job of its kind cannot do without."""
    if job.kind == "export":
        yield from missing_export(job, args, facts)
    else:
        yield from missing(args) if job.kind == "train" else missing_eval(args)


def missing_export(job: JobConfig, args: Args, facts: Facts) -> Iterator[Problem]:
    """What LlamaBoard's save_model asks for, and that nothing is overwritten."""
    if not args.get("model_name_or_path"):
        yield Problem(MODEL_PATH, "model_missing")
    if not job.run_name:
        yield Problem("export.output_dir", "name_missing")
    folder = args.get("export_dir")
    bits = args.get("export_quantization_bit")
    weights = job.values.get("top.checkpoint_path")
    if not folder:
        yield Problem("export.export_dir", "export_missing")
    elif export_code(str(folder), facts.roots):
        yield Problem("export.export_dir", export_code(str(folder), facts.roots), {"value": folder})
    elif facts.export_taken:
        yield Problem("export.export_dir", "export_taken", {"value": folder})
    if not bits and not weights:
        yield Problem("top.checkpoint_path", "export_nothing")
    if bits and args.get("adapter_name_or_path"):
        yield Problem("export.export_quantization_bit", "export_merge_first")
    if not args.get("template"):
        yield Problem("top.template", "template_missing", level="warning")


def export_code(folder: str, roots: tuple[str, ...]) -> str:
    """What is wrong with an export folder; "" when nothing is."""
    path = PurePosixPath(folder)
    if ".." in path.parts:
        return "name_dots"
    if UNSEEN.search(folder) or "\\" in folder or folder.startswith(("-", "~")):
        return "name_bad"
    outside = path.is_absolute() and not any(path.is_relative_to(root) and str(path) != root for root in roots)
    return "name_outside" if outside else ""


def missing_eval(args: Args) -> Iterator[Problem]:
    """What Runner._initialize asks for before an evaluation."""
    if not args.get("model_name_or_path"):
        yield Problem(MODEL_PATH, "model_missing")
    if not args.get("output_dir"):
        yield Problem("eval.output_dir", "name_missing")
    if not args.get("eval_dataset"):
        yield Problem("eval.dataset", "dataset_missing")
    if not args.get("template"):
        yield Problem("top.template", "template_missing", level="warning")
    if args.get("do_predict") and not args.get("predict_with_generate"):
        yield Problem("eval.predict_with_generate", "predict_generate", fix={"eval.predict_with_generate": True})


def missing(args: Args) -> Iterator[Problem]:
    """What Runner._initialize asks for, and the command itself."""
    if not args.get("model_name_or_path"):
        yield Problem(MODEL_PATH, "model_missing")
    if not args.get("output_dir"):
        yield Problem(OUTPUT, "name_missing")
    if not args.get("dataset"):
        yield Problem(DATASET, "dataset_missing")
    if stage(args) == "ppo" and not args.get("reward_model"):
        yield Problem("train.reward_model", "reward_missing")
    if not args.get("do_train"):
        yield Problem("train.do_train", "train_off", fix={"train.do_train": True})
    if not args.get("template") and stage(args) != "pt":
        yield Problem("top.template", "template_missing", level="warning")


def bad_values(job: JobConfig) -> Iterator[Problem]:
    """Values that came from elsewhere than the form and are outside their field's range."""
    for row in ROWS[job.kind]:
        value = job.values.get(row.id)
        code = check(row, value) if value is not None and job.sends(row) else ""
        if code:
            yield Problem(row.id, code, details(row, value))


def bad_extra(job: JobConfig) -> Iterator[Problem]:
    """Extra arguments that a field of the form already gives."""
    sent = build_args(JobConfig(job.kind, job.values))
    for name in job.extra:
        row = BY_KIND_ARG[job.kind].get(name)
        if row is not None and name in sent:
            yield Problem(EXTRA, "extra_clash", {"name": name, "field": row.id})
        elif name == "output_dir":
            yield Problem(EXTRA, "extra_output", {"value": job.extra[name]})


def bad_numbers(job: JobConfig, args: Args) -> Iterator[Problem]:
    """Numbers from a file that are none: the form refuses them, LLaMA-Factory trains into NaN or dies late."""
    for name, value in args.items():
        number_wanted = isinstance(value, int | float) and not isinstance(value, bool)
        endless = name == "max_grad_norm" and value == math.inf  # torch: measure the norm, clip nothing
        if number_wanted and not endless and not abs(value) <= LARGEST:
            row = BY_KIND_ARG[job.kind].get(name)
            if row is None or name in job.extra:  # the value of a field is told by bad_values
                told = value if isinstance(value, float) else "2^63…"
                yield Problem(EXTRA, "argument_type", {"name": name, "value": told, "kind": "number"})


def bad_arguments(job: JobConfig, facts: Facts) -> Iterator[Problem]:
    """Arguments that do not exist, and values that their argument does not take."""
    if facts.arguments is None:
        return
    args = build_args(job)
    for name, value in args.items():
        row = BY_KIND_ARG[job.kind].get(name)
        where = row.id if row is not None and name not in job.extra else EXTRA
        known = facts.arguments.get(name)
        if known is None:
            near = difflib.get_close_matches(name, facts.arguments, n=1, cutoff=0.7)
            code = "argument_unknown_near" if near else "argument_unknown"
            yield Problem(EXTRA, code, {"name": name, "near": near[0] if near else ""})
        elif value is not None and wrong_type(known, value):
            yield Problem(where, "argument_type", {"name": name, "value": value, "kind": known.kind})
        elif known.choices and isinstance(value, str) and value not in known.choices:
            yield Problem(where, "argument_choice", {"name": name, "value": value, "choices": ", ".join(known.choices)})
    template = args.get("template")
    if facts.templates is not None and isinstance(template, str) and template not in facts.templates:
        yield Problem("top.template", "template_unknown", {"value": template})


def wrong_type(known: ArgumentType, value: Any) -> bool:
    """Whether a value would break LLaMA-Factory: its parser does not look, the optimizer does, minutes later."""
    number_wanted = known.kind in ("int", "float")
    return (number_wanted and not isinstance(value, int | float)) or (known.kind == "bool" and isinstance(value, str))


def bad_name(job: JobConfig, facts: Facts) -> Iterator[Problem]:
    """A run name that is no name, a path outside the allowed folders, a folder that exists."""
    name = job.run_name
    if not name:
        return
    code = name_code(name, facts.roots)
    if code:
        yield Problem(f"{job.kind}.output_dir", code, {"value": name})
    elif facts.run_exists:
        yield Problem(f"{job.kind}.output_dir", "name_taken", {"value": name})


def bad_model_name(job: JobConfig) -> Iterator[Problem]:
    """A model's name that cannot be a folder's, or leads the run's folder out of saves/.

    Names may have slashes (LLaMA-Factory itself has such a model); `save_dir` takes spaces out of them.
    """
    name = job.model_name or str(job.values.get("top.model_path") or "")
    if not name or not job.run_name or "/" in job.run_name:
        return
    parts = name.replace(" ", "").split("/")
    if any(not part or part.startswith(("-", ".", "~")) or "\\" in part or UNSEEN.search(part) for part in parts):
        yield Problem("top.model_name", "model_name_bad", {"value": name})


def name_code(name: str, roots: tuple[str, ...]) -> str:
    """What is wrong with a run name or path; "" when nothing is."""
    path = PurePosixPath(name)
    if ".." in path.parts:
        return "name_dots"
    if UNSEEN.search(name) or "\\" in name or name != name.strip() or name.startswith(("-", ".", "~")):
        return "name_bad"
    if "/" not in name:
        return "name_long" if len(name.encode()) > 200 else ""
    if path.is_absolute():
        return "" if any(path.is_relative_to(root) and str(path) != root for root in roots) else "name_outside"
    return "" if path.parts[0] == "saves" and len(path.parts) > 1 else "name_separator"


def listed(value: Any) -> list[str]:
    """Dataset names of an argument: a comma-separated string or a list."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return [str(item) for item in value] if isinstance(value, list) else []


def bad_data(kind: str, args: Args, facts: Facts) -> Iterator[Problem]:
    """Datasets that do not exist or do not suit the stage."""
    if facts.dataset_problem is not None and kind != "export":
        yield facts.dataset_problem
    ranked = BY_CODE[stage(args)].ranked if stage(args) in BY_CODE else None
    if kind == "export":
        return
    asked = (("dataset", DATASET), ("eval_dataset", "train.eval_dataset"))
    for argument, field_id in asked if kind == "train" else (("eval_dataset", "eval.dataset"),):
        for name in listed(args.get(argument)):
            if facts.datasets is not None and facts.dataset_problem is None and name not in facts.datasets:
                known = ", ".join(sorted(facts.datasets)) or "–"
                yield Problem(field_id, "dataset_unknown", {"value": name, "known": known})
            elif ranked is not None and facts.ranking.get(name, ranked) != ranked:
                yield Problem(field_id, "dataset_ranked" if not ranked else "dataset_unranked", {"value": name})


def bad_machine(kind: str, args: Args, facts: Facts) -> Iterator[Problem]:
    """What this machine or its packages cannot do."""
    if facts.gpus == 0:
        if args.get("pure_bf16"):
            yield Problem("train.compute_type", "pure_bf16_cpu", fix={"train.compute_type": "fp32"})
        elif args.get("bf16") and not args.get("use_cpu"):
            yield Problem("train.compute_type", "bf16_cpu", fix={"train.compute_type": "fp32"})
        if args.get("quantization_bit"):
            yield Problem("top.quantization_bit", "quant_cpu", level="warning")
    if facts.packages is None:
        return
    if stage(args) == "ppo" and not trl_runs_ppo(facts.packages.get("trl", "")):
        yield Problem(STAGE, "ppo_trl", {"version": facts.packages.get("trl") or "–"})
    installed = {name.replace("_", "-") for name in facts.packages}
    wanted = [(argument, package) for argument, package in PACKAGES if args.get(argument)]
    if args.get("quantization_bit") and args.get("quantization_method", "bnb") == "bnb":
        wanted.append(("quantization_bit", "bitsandbytes"))
    for argument, package in wanted:
        if package not in installed:
            row = BY_KIND_ARG[kind].get(argument)
            yield Problem(row.id if row else EXTRA, "package_missing", {"package": package})


# option -> distribution that LLaMA-Factory asks for before it trains (hparams/parser.py, _check_extra_dependencies)
PACKAGES = (
    ("use_unsloth", "unsloth"),
    ("enable_liger_kernel", "liger-kernel"),
    ("use_galore", "galore-torch"),
    ("use_apollo", "apollo-torch"),
    ("use_badam", "badam"),
    ("use_swanlab", "swanlab"),
    ("use_kt", "kt-kernel"),
    ("use_adam_mini", "adam-mini"),
    ("mixture_of_depths", "mixture-of-depth"),
    ("deepspeed", "deepspeed"),
    ("export_quantization_bit", "optimum"),
    ("predict_with_generate", "jieba"),
    ("predict_with_generate", "nltk"),
    ("predict_with_generate", "rouge-chinese"),
)


def trl_runs_ppo(version: str) -> bool:
    """Whether PPO accepts this trl: 0.8.6 to 0.9.6 (llamafactory/train/ppo/trainer.py)."""
    found = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    return found is not None and (0, 8, 6) <= tuple(map(int, found.groups())) <= (0, 9, 6)
