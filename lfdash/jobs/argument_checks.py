"""Arguments that do not exist any more or never did, and values that their argument does not take. Pure.

What a field refuses when it is typed is refused here when it comes from a file.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lfdash.jobs.args import build_args
from lfdash.jobs.cures import EXTRA_PREFIX, cure
from lfdash.jobs.environment import ArgumentType, Facts
from lfdash.jobs.field import Field
from lfdash.jobs.fields import BY_KIND_ARG, arguments
from lfdash.jobs.job import JobConfig, bound
from lfdash.jobs.rules import EXTRA, Args, method
from lfdash.jobs.versions import TEMPLATE
from lfdash.jobs.yaml_format import spoken
from lfdash.outcomes import Problem, Value

# Arguments of older versions, under the names that 0.9.5 and its transformers have for them: changelogs of
# LLaMA-Factory (v0.1.8, v0.4 to v0.9.4) and of transformers (4.41, 4.46, 5.0)
RENAMED = {
    "checkpoint_dir": "adapter_name_or_path",
    "dpo_beta": "pref_beta",
    "dpo_ftx": "pref_ftx",
    "dpo_loss": "pref_loss",
    "orpo_beta": "pref_beta",
    "evaluation_strategy": "eval_strategy",
    "image_resolution": "image_max_pixels",
    "video_resolution": "video_max_pixels",
    "cache_path": "tokenized_path",
    "name_module_trainable": "freeze_trainable_modules",
    "num_layer_trainable": "freeze_trainable_layers",
    "neft_alpha": "neftune_noise_alpha",
    "new_special_tokens": "add_special_tokens",
    "max_source_length": "cutoff_len",
    "max_target_length": "cutoff_len",
    "resume_lora_training": "create_new_adapter",
    "no_cuda": "use_cpu",
    "per_gpu_eval_batch_size": "per_device_eval_batch_size",
    "per_gpu_train_batch_size": "per_device_train_batch_size",
    "sft_packing": "packing",
}
Changes = Mapping[str, Any]
SIDE = 10_000  # below it image_resolution was a side length in pixels (v0.8.3 to v0.9.0), from it on their number
LENGTHS = ("max_source_length", "max_target_length")
# Words of older versions (ModelArguments of v0.6 to v0.9.1, stages of v0.7, optimizers of transformers 4)
RENAMED_VALUES: tuple[tuple[str, Value, Changes], ...] = (
    ("quantization_method", "bitsandbytes", {"quantization_method": "bnb"}),
    ("flash_attn", "off", {"flash_attn": "disabled"}),
    ("flash_attn", False, {"flash_attn": "disabled"}),  # also YAML's reading of `off`
    ("flash_attn", True, {"flash_attn": "fa2"}),
    ("report_to", False, {"report_to": "none"}),
    ("report_to", True, {"report_to": "all"}),
    ("stage", "orpo", {"stage": "dpo", "pref_loss": "orpo"}),
    ("optim", "adamw_hf", {"optim": "adamw_torch"}),
)
TRUTH = {"True": True, "true": True, "False": False, "false": False}
SOFT_MAX = frozenset({"learning_rate", "pref_beta"})  # 1 is the end of LlamaBoard's slider, not of what there can be
ZERO_IS_ALL = frozenset({"save_total_limit"})  # transformers: not above 0 keeps all
TOLD_BY_RULES = frozenset({"stage", "finetuning_type"})
OF_SAMPLING = frozenset({"temperature", "top_p", "top_k"})


def bad_arguments(job: JobConfig, facts: Facts) -> Iterator[Problem]:
    """Arguments that do not exist, and values that their argument does not take."""
    if facts.arguments is None:
        return
    args = build_args(job)
    for name, value in args.items():
        known = facts.arguments.get(name)
        if known is None:
            yield unknown_argument(job, name, value, facts)
            continue
        problem = value_of_other(job, name, value, known, facts) or bad_value(job, name, value, known)
        if problem is not None:
            yield problem
    template = args.get(TEMPLATE)
    if facts.templates is not None and isinstance(template, str) and template not in facts.templates:
        other = facts.by_version.elsewhere(facts.installed, TEMPLATE, template)
        code = "template_of_other" if other else "template_unknown"
        fix: dict[str, Value | None] | None = {"top.template": facts.model_template} if facts.model_template else None
        yield Problem("top.template", code, {"value": template, **(other or {})}, fix=fix)


def place_of(job: JobConfig, name: str) -> tuple[str, str]:
    """Where a problem of an argument is shown, and the key that takes the argument out: its field, else the extra
    arguments."""
    row = BY_KIND_ARG[job.kind].get(name)
    return (row.id, row.id) if row is not None and name not in job.extra else (EXTRA, EXTRA_PREFIX + name)


def value_of_other(job: JobConfig, name: str, value: Any, known: ArgumentType, facts: Facts) -> Problem | None:
    """A word that the installed version does not take and another one does, and that has no other word here."""
    if not isinstance(value, str) or not known.choices or value in known.choices or word_of_today(name, value, known):
        return None
    other = facts.by_version.elsewhere(facts.installed, name, value)
    if other is None:
        return None
    params = {"name": name, "value": value, "choices": ", ".join(known.choices), **other}
    return Problem(place_of(job, name)[0], "choice_of_other", params)


def unknown_argument(job: JobConfig, name: str, value: Any, facts: Facts) -> Problem:
    """An argument that does not exist: what it is called now, which version has it, or, in words only, what was
    probably meant."""
    known = facts.arguments or {}
    new = RENAMED.get(name)
    if new in known:
        return renamed_argument(job, name, str(new), value)
    other = facts.by_version.elsewhere(facts.installed, name)
    if other is not None:
        where, key = place_of(job, name)
        return Problem(where, "argument_of_other", {"name": name, **other}, fix={key: None})
    near = next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.7)), None)
    if near is not None:
        return Problem(EXTRA, "argument_unknown_near", {"name": name, "near": near})
    return Problem(EXTRA, "argument_unknown", {"name": name, "near": ""}, fix={EXTRA_PREFIX + name: None})


def renamed_argument(job: JobConfig, name: str, new: str, value: Any) -> Problem:
    """An argument by its older name; its value goes over where it means the same."""
    args = build_args(job)
    params = {"name": name, "near": new, "value": value}
    carry, code = CARRIED.get(name, (as_it_is, "argument_renamed"))
    changes = {} if args.get(new) is not None else carry(new, value, args)
    if changes is None:
        return Problem(EXTRA, code, params)
    gone = LENGTHS if name in LENGTHS else (name,)
    fix = {**cure(job, changes), **{EXTRA_PREFIX + old: None for old in gone if old in job.extra}}
    return Problem(EXTRA, "argument_renamed", params, fix=fix)


def in_todays_names(args: Args) -> Args:
    """Arguments as they are meant: an older name that only has another one now counts as that."""
    meant = dict(args)
    for old, new in RENAMED.items():
        if args.get(old) is not None and args.get(new) is None and old not in CARRIED:
            meant.update(as_it_is(new, args[old], args) or {})
    return meant


def as_it_is(new: str, value: Any, _args: Args) -> Changes | None:
    """The same value under the new name, in the word that it has now."""
    return renamed_value(new, value) or {new: off_word(new, value)}


def pixels(new: str, value: Any, _args: Args) -> Changes | None:
    """A number of pixels; a side length says no number of them."""
    return {new: value} if isinstance(value, int) and not isinstance(value, bool) and value >= SIDE else None


def one_length(_new: str, _value: Any, args: Args) -> Changes | None:
    """The length of question and answer together, where both were given."""
    both = [args.get(name) for name in LENGTHS]
    return {"cutoff_len": sum(both)} if all(isinstance(one, int) for one in both) else None


def flipped(new: str, value: Any, _args: Args) -> Changes | None:
    """The opposite."""
    return {new: not value} if isinstance(value, bool) else None


def adapter(new: str, value: Any, args: Args) -> Changes | None:
    """An adapter; of a fully trained model it was the model itself."""
    return {new: value} if method(args) == "lora" else None


# older name -> its value under the new one (None: it cannot be said), and the code of the problem then
CARRIED: Mapping[str, tuple[Callable[[str, Any, Args], Changes | None], str]] = {
    "image_resolution": (pixels, "argument_pixels"),
    "video_resolution": (pixels, "argument_pixels"),
    "max_source_length": (one_length, "argument_merged"),
    "max_target_length": (one_length, "argument_merged"),
    "resume_lora_training": (flipped, "argument_opposite"),
    "checkpoint_dir": (adapter, "argument_adapter"),
}


def renamed_value(name: str, value: Any) -> Changes | None:
    """What a value of an older version is said by now."""
    value = TRUTH.get(value, value) if isinstance(value, str) else value  # as a command has it, whose values are text
    same = (new for own, old, new in RENAMED_VALUES if own == name and old == value and type(old) is type(value))
    return next(same, None)


def word_of_today(name: str, value: Any, known: ArgumentType) -> Changes | None:
    """The same, where the installed version does not take the older word."""
    return None if isinstance(value, str) and value in known.choices else renamed_value(name, value)


def off_word(name: str, value: Any) -> Any:
    """The word "no" where YAML's false stands for it."""
    return "no" if value is False and name.endswith("_strategy") else value


def bad_value(job: JobConfig, name: str, value: Any, known: ArgumentType) -> Problem | None:
    """A value that breaks LLaMA-Factory: its parser does not look, the run dies minutes later."""
    row = BY_KIND_ARG[job.kind].get(name)
    where = row.id if row is not None and name not in job.extra else EXTRA
    params = {"name": name, "value": value, "kind": known.kind, "choices": ", ".join(known.choices)}
    if value is None:
        needed = not known.nullable and known.kind != "bool"  # an empty switch is off
        return Problem(where, "argument_null", params, fix={EXTRA_PREFIX + name: None}) if needed else None
    changes = word_of_today(name, value, known)
    if isinstance(value, bool) and (known.choices or changes):
        word = off_word(name, value)
        changes = changes or (None if word is value else {name: word})
        return Problem(where, "argument_word", params, fix=None if changes is None else cure(job, changes))
    if changes:
        return Problem(where, "argument_choice", params, fix=cure(job, changes))
    if wrong_type(known, value):
        read = spoken(value) if isinstance(value, str) else value
        certain = type(read) is not type(value) and not wrong_type(known, read)
        return Problem(where, "argument_type", params, fix=cure(job, {name: read}) if certain else None)
    if known.choices and isinstance(value, str) and value not in known.choices and name not in TOLD_BY_RULES:
        return Problem(where, "argument_choice", params)
    return out_of_range(job, row, name, value)


def wrong_type(known: ArgumentType, value: Any) -> bool:
    """Whether a value is of another type than its argument takes."""
    if known.kind in ("int", "float"):
        if isinstance(value, bool) or not isinstance(value, int | float):
            return True
        return known.kind == "int" and isinstance(value, float) and not value.is_integer()
    return known.kind == "bool" and isinstance(value, str)


def out_of_range(job: JobConfig, row: Field | None, name: str, value: Any) -> Problem | None:
    """A number of a file that its field refuses, where that is a limit of LLaMA-Factory's and not only of a slider."""
    if row is None or name not in job.extra or arguments(row) != (name,) or not row.when.holds(job.get):
        return None
    if not isinstance(value, int | float) or (name in OF_SAMPLING and job.extra.get("do_sample") is False):
        return None
    low = row.min is not None and row.min >= 0 and value < row.min and name not in ZERO_IS_ALL
    high = row.max is not None and row.max <= 1 and value > row.max and name not in SOFT_MAX
    if not low and not high:
        return None
    limits = {"min": bound(row.min), "max": bound(row.max if high else None)}
    return Problem(EXTRA, "argument_range", {"name": name, "value": value, **limits})
