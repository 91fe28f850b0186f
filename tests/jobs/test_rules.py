"""Problems: an accepted and a refused job for every rule, and for what the world says."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from typing import Any

import pytest

from lfdash.jobs import checks
from lfdash.jobs.args import job_from_args
from lfdash.jobs.checks import EXTRA_PREFIX, RENAMED, name_code
from lfdash.jobs.environment import ArgumentType, Facts
from lfdash.jobs.fields import BY_ARG, BY_ID
from lfdash.jobs.job import JobConfig
from lfdash.jobs.rules import RULES
from lfdash.llamafactory.catalogue import Upstream, load_snapshot
from lfdash.outcomes import Problem
from tests.support import ROOT

LOCALE = ROOT / "lfdash" / "locales" / "en.toml"
GOOD: dict[str, Any] = {
    "stage": "sft", "do_train": True, "finetuning_type": "lora", "model_name_or_path": "org/m", "template": "qwen",
    "dataset": "a", "output_dir": "saves/m/lora/r",
}
PPO = {"stage": "ppo", "reward_model": "r", "reward_model_type": "lora"}
FACTS = Facts(datasets=frozenset({"a", "pairs"}), ranking={"a": False, "pairs": True}, roots=("/ws", "/data"))
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


@pytest.fixture(scope="module")
def upstream() -> Upstream:
    return load_snapshot(ROOT / "configs" / "upstream.json")


def codes(args: dict[str, Any], facts: Facts = FACTS) -> set[str]:
    return {problem.code for problem in checks.problems(job_from_args(args), facts)}


def test_a_good_job_has_no_problem() -> None:
    assert checks.problems(job_from_args(GOOD), FACTS) == ()


@pytest.mark.parametrize("code", sorted({rule.code for rule in RULES}))
def test_each_rule_refuses_and_accepts(code: str) -> None:
    trigger, cure = BROKEN[code]
    assert code in codes({**GOOD, **trigger})
    assert code not in codes({**GOOD, **trigger, **cure})


@pytest.mark.parametrize(
    ("gone", "code"),
    [
        ("model_name_or_path", "model_missing"), ("output_dir", "name_missing"), ("dataset", "dataset_missing"),
        ("do_train", "train_off"), ("template", "template_missing"),
    ],
)
def test_what_is_missing(gone: str, code: str) -> None:
    assert codes({key: value for key, value in GOOD.items() if key != gone}) == {code}


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("run-1", ""), ("прогон 2", ""), ("../x", "name_dots"), ("a/../b", "name_dots"), ("a/b", "name_separator"),
        ("saves/m/lora/r", ""), ("/ws/saves/x", ""), ("/data/x", ""), ("/etc/x", "name_outside"),
        ("/ws", "name_outside"), ("/wsx/y", "name_outside"), ("a\\b", "name_bad"), (".hidden", "name_bad"),
        ("-rf", "name_bad"), (" x", "name_bad"), ("a\nb", "name_bad"), ("~root", "name_bad"), ("x" * 201, "name_long"),
        ("saves/../../x", "name_dots"), ("..", "name_dots"), ("saves", ""), ("a\u2028b", "name_bad"),
        ("a\x85b", "name_bad"), ("a\u202eb", "name_bad"), ("saves/a\x9fb/c", "name_bad"),
    ],
)
def test_run_names(name: str, code: str) -> None:
    found = name_code(name, ("/ws", "/data"))
    assert found == code


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({"top.model_name": "Llama-3.1-8B"}, False), ({"top.model_name": "Qwen/Qwen3-Next-80B"}, False),
        ({"top.model_path": "models/demo-llama/"}, False), ({"top.model_path": "~/models/m"}, False),
        ({"top.model_name": "../../../etc"}, True), ({"top.model_name": ". ."}, True),
        ({"top.model_name": "/abs"}, True),
        ({"top.model_name": " "}, True), ({"top.model_name": "-x"}, True), ({"top.model_name": "a\\b"}, True),
        ({"top.model_path": "models/.."}, True), ({"top.model_path": "/"}, True), ({"top.model_path": "."}, True),
    ],
)
def test_a_models_name_stays_below_saves(values: dict[str, Any], wrong: bool) -> None:
    base = {key: value for key, value in job_from_args(GOOD).values.items() if key != "top.model_name"}
    job = JobConfig("train", {**base, "train.output_dir": "r", **values})
    assert {problem.code for problem in checks.problems(job, FACTS)} == ({"model_name_bad"} if wrong else set())
    path = JobConfig("train", {**job.values, "train.output_dir": "saves/x/lora/r"})
    assert checks.problems(path, FACTS) == ()  # the model is no part of this folder


@pytest.mark.parametrize("folder", ["/etc/x", "elsewhere", "../x", ["a"]])
def test_an_output_folder_is_never_an_extra_argument(folder: Any) -> None:
    values = {key: value for key, value in job_from_args(GOOD).values.items() if key != "train.output_dir"}
    (problem,) = checks.problems(JobConfig("train", values, {"output_dir": folder}), FACTS)
    assert (problem.code, problem.field) == ("extra_output", "train.extra_args")


@pytest.mark.parametrize(
    "number", [math.nan, math.inf, -math.inf, 10**400, -(10**400)], ids=["nan", "inf", "-inf", "big", "-big"]
)
@pytest.mark.parametrize("name", ["learning_rate", "save_steps", "lora_rank", "some_number"])
def test_numbers_that_are_none(name: str, number: float) -> None:
    (problem,) = checks.problems(job_from_args({**GOOD, name: number}), FACTS)
    assert (problem.code, problem.params["name"], problem.level) == ("argument_type", name, "error")


def test_gradients_may_be_measured_and_not_clipped() -> None:
    assert codes({**GOOD, "max_grad_norm": math.inf}) == set()
    assert codes({**GOOD, "max_grad_norm": math.nan}) == {"argument_type"}


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


def test_what_the_world_says() -> None:
    def one(args: dict[str, Any], facts: Facts) -> Problem:
        (problem,) = checks.problems(job_from_args({**GOOD, **args}), facts)
        return problem

    assert one({"dataset": "nope"}, FACTS).params == {"value": "nope", "known": "a, pairs"}
    assert one({"dataset": "pairs"}, FACTS).code == "dataset_ranked"
    assert one({"stage": "dpo"}, FACTS).code == "dataset_unranked"
    assert one({"bf16": True}, Facts(gpus=0)).fix == {"train.compute_type": "fp32"}
    assert one({"pure_bf16": True}, Facts(gpus=0)).code == "pure_bf16_cpu"
    assert codes({**GOOD, "bf16": True, "use_cpu": True}, Facts(gpus=0)) == set()
    assert codes({**GOOD, "bf16": True}, Facts(gpus=None)) == set()
    assert one({}, Facts(run_exists=True)).code == "name_taken"
    assert one(PPO, Facts(packages={"trl": "0.24.0"})).params == {"version": "0.24.0"}
    assert codes({**GOOD, **PPO}, Facts(packages={"trl": "0.9.6"})) == set()
    assert one({"deepspeed": "x.json"}, Facts(packages={})).params == {"name": "deepspeed", "package": "deepspeed"}
    broken = Problem("train.dataset_dir", "datasets_syntax", {"file": "f", "line": 3, "column": 1, "reason": "r"})
    assert one({"dataset": "nope"}, Facts(datasets=frozenset(), dataset_problem=broken)) == broken


def test_arguments_that_do_not_exist_or_cannot_have_the_value() -> None:
    known = {name: ArgumentType("text") for name in (*GOOD, "output_dir")}
    known |= {"learning_rate": ArgumentType("float"), "do_train": ArgumentType("bool")}
    known |= {"optim": ArgumentType("choice", ("adamw_torch", "sgd"))}
    facts = Facts(arguments=known, templates=frozenset({"qwen"}))

    def one(**args: Any) -> Problem:
        (problem,) = checks.problems(job_from_args({**GOOD, **args}), facts)
        return problem

    near = one(learning_rat=1e-4)
    assert (near.code, near.params["near"]) == ("argument_unknown_near", "learning_rate")
    assert one(zzz=1).code == "argument_unknown"
    assert (one(learning_rate="abc").code, one(learning_rate="abc").field) == ("argument_type", "train.extra_args")
    assert (one(optim="foo").code, one(optim="foo").field) == ("argument_choice", "train.optim")
    assert one(template="nope").code == "template_unknown"
    assert codes({**GOOD, "learning_rate": 1, "optim": "sgd"}, facts) == set()


def test_extra_arguments_that_clash_with_the_form() -> None:
    job = JobConfig("train", job_from_args(GOOD).values, {"dataset": "b", "weight_decay": 0.1})
    (problem,) = checks.problems(job, Facts())
    assert (problem.code, problem.params) == ("extra_clash", {"name": "dataset", "field": "train.dataset"})


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


@pytest.mark.parametrize(
    ("extra", "code", "fix"),
    [
        (
            {"evaluation_strategy": "steps"}, "argument_renamed",
            {"extra.evaluation_strategy": None, "train.eval_strategy": "steps"},
        ),
        ({"learning_rat": 1e-4}, "argument_unknown_near", {"extra.learning_rat": None, "train.learning_rate": 1e-4}),
        ({"zzz": 1}, "argument_unknown", {"extra.zzz": None}),
        ({"model_name_or_pth": "x"}, "argument_unknown_near", {"extra.model_name_or_pth": None}),  # is given already
    ],
)
def test_fixes_of_names(extra: dict[str, Any], code: str, fix: dict[str, Any]) -> None:
    known = {name: ArgumentType("text") for name in (*BY_ARG, "output_dir")}
    (problem,) = checks.problems(JobConfig("train", job_from_args(GOOD).values, extra), Facts(arguments=known))
    assert (problem.code, problem.fix) == (code, fix)


def test_renamed_arguments_are_known_to_llamafactory(upstream: Upstream) -> None:
    assert set(RENAMED.values()) <= set(upstream.arguments)
    assert not set(RENAMED) & set(upstream.arguments)


def test_every_problem_has_a_text() -> None:
    texts = tomllib.loads(LOCALE.read_text(encoding="utf-8"))["problems"]
    assert {rule.code for rule in RULES} <= set(texts)
