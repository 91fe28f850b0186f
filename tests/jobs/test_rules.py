"""Rules: an accepted and a refused job for each, and fixes that cure."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from typing import Any

import pytest

from lfdash.jobs import checks
from lfdash.jobs.args import job_from_args
from lfdash.jobs.checks import EXTRA_PREFIX
from lfdash.jobs.environment import Facts
from lfdash.jobs.fields import BY_ARG, BY_ID
from lfdash.jobs.job import JobConfig
from lfdash.jobs.rules import RULES
from lfdash.outcomes import Problem
from tests.support import ROOT
from tests.support.jobs import FACTS, GOOD, PPO, codes

LOCALE = ROOT / "lfdash" / "locales" / "en.toml"
# rule -> arguments on top of GOOD that break it, and what cures them
BROKEN: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "lora_galore": ({"use_galore": True}, {"finetuning_type": "full"}),
    "one_optimizer": ({"use_galore": True, "use_badam": True, "finetuning_type": "full"}, {"use_badam": False}),
    "mask_prompt": ({"mask_history": True, "train_on_prompt": True}, {"mask_history": False}),
    "neat_sft": ({"stage": "pt", "neat_packing": True}, {"neat_packing": False}),
    "prompt_sft": ({"stage": "pt", "train_on_prompt": True}, {"stage": "sft"}),
    "llama_pro": ({"finetuning_type": "full", "use_llama_pro": True}, {"finetuning_type": "freeze"}),
    "lora_only": ({"finetuning_type": "full", "use_dora": True}, {"finetuning_type": "lora"}),
    "pissa_stage": ({"stage": "kto", "pissa_init": True}, {"stage": "sft"}),
    "quant_method": ({"finetuning_type": "full", "quantization_bit": 4}, {"finetuning_type": "oft"}),
    "quant_pissa": ({"quantization_bit": 4, "pissa_init": True}, {"pissa_init": False}),
    "quant_resize": ({"quantization_bit": 4, "resize_vocab": True}, {"resize_vocab": False}),
    "adapter_method": ({"finetuning_type": "oft", "adapter_name_or_path": "x"}, {"finetuning_type": "lora"}),
    "quant_new_adapter": (
        {"quantization_bit": 4, "adapter_name_or_path": "x", "create_new_adapter": True},
        {"create_new_adapter": False},
    ),
    "eval_twice": ({"eval_dataset": "a", "val_size": 0.1}, {"val_size": 0.0}),
    "eval_needs_data": ({"eval_strategy": "steps"}, {"val_size": 0.1}),
    "early_needs_eval": (
        {"early_stopping_steps": 3, "metric_for_best_model": "x"},
        {"eval_strategy": "steps", "val_size": 0.1},
    ),
    "early_needs_metric": (
        {"early_stopping_steps": 3, "eval_strategy": "steps", "val_size": 0.1},
        {"metric_for_best_model": "eval_loss"},
    ),
    "best_stage": ({"stage": "rm", "dataset": "pairs", "load_best_model_at_end": True}, {"stage": "dpo"}),
    "reward_type": ({**PPO, "finetuning_type": "full"}, {"reward_model_type": "full"}),
    "image_pixels": ({"image_max_pixels": 10, "image_min_pixels": 20}, {"image_min_pixels": 5}),
    "video_pixels": ({"video_max_pixels": 10, "video_min_pixels": 20}, {"video_min_pixels": 5}),
    "fp16_bf16": ({"fp16": True, "bf16": True}, {"fp16": False}),
    "pure_bf16_zero3": ({"pure_bf16": True, "deepspeed": "deepspeed/ds_z3_config.json"}, {"pure_bf16": False}),
    "pissa_zero3": ({"pissa_init": True, "deepspeed": "deepspeed/ds_z3_config.json"}, {"pissa_init": False}),
    "unsloth_zero3": ({"use_unsloth": True, "deepspeed": "deepspeed/ds_z3_config.json"}, {"use_unsloth": False}),
    "galore_deepspeed": (
        {"finetuning_type": "full", "use_galore": True, "deepspeed": "deepspeed/ds_z2_config.json"},
        {"use_galore": False},
    ),
    "ppo_eval": ({**PPO, "val_size": 0.1}, {"val_size": 0.0}),
    "epochs_zero": ({"num_train_epochs": 0}, {"num_train_epochs": 0, "max_steps": 4}),
    "steps_zero": ({"logging_steps": 0}, {"logging_steps": 1}),
    "steps_whole": ({"save_steps": 2.5}, {"save_steps": 0.5}),
    "adapter_list": ({"adapter_name_or_path": ["a"]}, {"adapter_name_or_path": "a"}),
    "best_strategy": (
        {"load_best_model_at_end": True},
        {"eval_strategy": "steps", "val_size": 0.1, "save_steps": 10, "eval_steps": 10},
    ),
    "best_steps": (
        {"load_best_model_at_end": True, "eval_strategy": "steps", "val_size": 0.1, "eval_steps": 7, "save_steps": 10},
        {"save_steps": 14},
    ),
    "dpo_smoothing": ({"stage": "dpo", "pref_loss": "ipo", "dpo_label_smoothing": 0.1}, {"pref_loss": "sigmoid"}),
    "resume_newest": ({"resume_from_checkpoint": True}, {"resume_from_checkpoint": False}),
    "method_unknown": ({"finetuning_type": "bitfit"}, {"finetuning_type": "oft"}),
    "stage_unknown": ({"stage": "nope"}, {"stage": "kto"}),
    "export_quant_dataset": ({"export_quantization_bit": 4}, {"export_quantization_dataset": "x"}),
    "generate_stage": ({"stage": "pt", "predict_with_generate": True}, {"stage": "sft"}),
    "generate_accuracy": (
        {"predict_with_generate": True, "compute_accuracy": True, "val_size": 0.1},
        {"compute_accuracy": False},
    ),
    "infer_backend": ({"infer_backend": "vllm"}, {"infer_backend": "huggingface"}),
    "interleave_concat": ({"interleave_probs": "1.0"}, {"mix_strategy": "interleave_under"}),
    "interleave_length": (
        {"interleave_probs": "0.5,0.5", "mix_strategy": "interleave_under"},
        {"interleave_probs": "1.0"},
    ),
    "quant_device_map": ({"quantization_device_map": "auto"}, {"quantization_device_map": None}),
    "quant_bits": ({"ref_model_quantization_bit": 3}, {"ref_model_quantization_bit": 4}),
    "stream_samples": ({"streaming": True, "max_samples": 5, "max_steps": 9}, {"max_samples": None}),
    "stream_split": ({"streaming": True, "val_size": 0.1, "max_steps": 9}, {"val_size": 10}),
    "stream_steps": ({"streaming": True}, {"max_steps": 9}),
    "trackio_project": ({"report_to": "trackio", "project": ""}, {"project": "p"}),
    "warmup_negative": ({"warmup_steps": -1}, {"warmup_steps": 1}),
    "warmup_twice": ({"warmup_steps": 5, "warmup_ratio": 0.1}, {"warmup_steps": 0}),
}


@pytest.mark.parametrize("code", sorted({rule.code for rule in RULES}))
def test_each_rule_refuses_and_accepts(code: str) -> None:
    trigger, cure = BROKEN[code]
    assert code in codes({**GOOD, **trigger})
    assert code not in codes({**GOOD, **trigger, **cure})


JUNK = (None, True, False, "", "abc", -1, 0, 1e300, math.nan, math.inf, 10**400, [], ["x"], [[1]], [{}], {}, {"a": 1})


@pytest.mark.parametrize(
    "name", [*BY_ARG, "interleave_probs", "streaming", "infer_backend", "ref_model_quantization_bit"]
)
def test_no_value_of_an_argument_breaks_the_rules(name: str) -> None:
    for value in JUNK:
        for stage in ("sft", "ppo"):
            args = {**GOOD, "stage": stage, name: value}
            found = checks.problems(job_from_args(args), Facts(gpus=0, packages={}, roots=("/ws",)))
            assert all(isinstance(problem, Problem) for problem in found)


def fixed(job: JobConfig, fix: Mapping[str, Any]) -> JobConfig:
    """The job after a fix, as the form applies it."""
    values, extra = dict(job.values), dict(job.extra)
    for target, value in fix.items():
        where, key = (extra, target[len(EXTRA_PREFIX) :]) if target.startswith(EXTRA_PREFIX) else (values, target)
        where.pop(key, None)
        if value is not None:
            where[key] = value
    return JobConfig(job.kind, values, extra)


@pytest.mark.parametrize("as_extra", [False, True], ids=["form", "extra"])
@pytest.mark.parametrize("code", sorted({rule.code for rule in RULES if rule.fix}))
def test_fixes_cure(code: str, as_extra: bool) -> None:
    """Also where the arguments that break the rule came as extra ones."""
    trigger = BROKEN[code][0]
    job = job_from_args({**GOOD, **trigger})
    if as_extra:
        job = JobConfig("train", job_from_args({k: v for k, v in GOOD.items() if k not in trigger}).values, trigger)
    before = checks.problems(job, FACTS)
    (problem,) = [p for p in before if p.code == code]
    assert problem.fix
    assert all(target in BY_ID or target.startswith(EXTRA_PREFIX) for target in problem.fix)
    after = {p.code for p in checks.problems(fixed(job, problem.fix), FACTS)}
    assert code not in after
    assert after <= {p.code for p in before} | {"early_needs_metric"}  # nothing new but the next step of two


def test_most_rules_have_a_fix() -> None:
    without = {rule.code for rule in RULES if rule.fix is None}
    assert without == {
        "one_optimizer", "mask_prompt", "fp16_bf16", "method_unknown", "stage_unknown",
        "export_quant_dataset", "interleave_length", "quant_bits", "stream_steps",
    }  # two settings of equal weight, or a value that only the user knows


def test_every_problem_has_a_text() -> None:
    texts = tomllib.loads(LOCALE.read_text(encoding="utf-8"))["problems"]
    assert {rule.code for rule in RULES} <= set(texts)
