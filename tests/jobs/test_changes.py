"""Changes by argument: what they reach, what they leave, and how a cure of the form reads in those terms."""

from __future__ import annotations

from typing import Any

import pytest

from lfdash.jobs.args import build_args, build_env, job_from_args, secret_names
from lfdash.jobs.changes import argument_of, fix_arguments, with_arguments, with_fix
from lfdash.jobs.checks import problems
from lfdash.jobs.environment import ArgumentType, Facts
from lfdash.jobs.job import JobConfig, new_job
from lfdash.outcomes import Problem

ARGS: dict[str, Any] = {
    "model_name_or_path": "models/m", "stage": "sft", "do_train": True, "finetuning_type": "lora", "dataset": "a",
    "template": "default", "lora_rank": 8, "output_dir": "saves/m/lora/r1",
}


@pytest.mark.parametrize(
    "changes",
    [{"lora_rank": 16}, {"bf16": True}, {"max_steps": 2}, {"lora_rank": "many"}, {"dataset": "a,b"},
     {"no_such_argument": [1, {"a": 2}]}, {"stage": "dpo", "pref_beta": 0.2}],
)
def test_exactly_the_named_arguments_change(changes: dict[str, Any]) -> None:
    assert build_args(with_arguments(job_from_args(ARGS), changes)) == {**ARGS, **changes}


def test_none_takes_an_argument_out() -> None:
    left = build_args(with_arguments(job_from_args(ARGS), {"lora_rank": None, "not_there": None}))
    assert left == {name: value for name, value in ARGS.items() if name != "lora_rank"}


def test_what_no_argument_says_stays() -> None:
    own = {"top.model_name": "Mine", "top.hf_token": "secret", "train.devices": ["1"], "train.pref_beta": 0.3}
    job = JobConfig("train", {**new_job().values, **own, "top.model_path": "models/m"})
    changed = with_arguments(job, {"max_steps": 2})
    assert {name: changed.values.get(name) for name in own} == own
    assert build_env(changed) == {"CUDA_VISIBLE_DEVICES": "1"}
    assert secret_names(changed) == ("HF_TOKEN",)
    assert build_args(with_arguments(job, {"stage": "dpo"}))["pref_beta"] == 0.3, "it applies now"


def test_another_model_does_not_keep_the_name_of_the_one_before() -> None:
    job = JobConfig("train", {"top.model_name": "Qwen", "top.model_path": "Qwen/Qwen3"})
    assert with_arguments(job, {"model_name_or_path": "models/other"}).model_name == "other"


def test_another_model_does_not_keep_the_folder_of_the_one_before() -> None:
    """A script of somebody else, with a model of one's own."""
    args = {"stage": "sft", "do_train": True, "model_name_or_path": "org/Old", "output_dir": "saves/Old-Chat/lora/r1"}
    changed = with_arguments(job_from_args(args, {}), {"model_name_or_path": "models/mine"})
    assert changed.model_name == "mine" and build_args(changed)["output_dir"] == "saves/mine/lora/r1"
    changes = {"model_name_or_path": "models/mine", "output_dir": "saves/A/lora/b"}
    both = with_arguments(job_from_args(args, {}), changes)
    assert both.model_name == "A" and build_args(both)["output_dir"] == "saves/A/lora/b"


def test_the_kind_follows_the_arguments() -> None:
    changed = with_arguments(job_from_args(ARGS), {"do_train": None, "do_predict": True, "predict_with_generate": True})
    assert changed.kind == "eval"


def test_a_cure_in_arguments() -> None:
    job = job_from_args({**ARGS, "pure_bf16": True, "dpo_beta": 0.1})
    assert fix_arguments(job, {"train.compute_type": "fp32"}) == {"pure_bf16": None}
    assert fix_arguments(job, {"extra.dpo_beta": None, "train.lora_rank": 4}) == {"dpo_beta": None, "lora_rank": 4}
    assert fix_arguments(job, {"train.devices": ["0"]}) == {"CUDA_VISIBLE_DEVICES": "0"}
    assert fix_arguments(job, {"top.hf_token": "secret"}) is None, "a secret is no argument"
    assert fix_arguments(job, None) is None
    named = with_fix(job, {"train.output_dir": "r1"})
    assert fix_arguments(named, {"top.finetuning_type": "full"}) == {"finetuning_type": "full", "lora_rank": None}
    assert fix_arguments(named, {"train.output_dir": "r2"}) == {"output_dir": "saves/m/lora/r2"}
    cured = with_fix(job, {"extra.dpo_beta": None, "train.lora_rank": None, "extra.more": 1})
    assert (cured.extra, "train.lora_rank" in cured.values) == ({"more": 1}, False)


def test_every_problem_names_its_argument() -> None:
    names = ("lora_rank", "bf16", "dataset", "output_dir", "enable_liger_kernel")
    known = dict.fromkeys(names, ArgumentType("text"))
    args = {**ARGS, "bf16": True, "output_dir": "my_model", "wrong": 1, "enable_liger_kernel": True}
    job = job_from_args(args)
    facts = Facts(datasets=frozenset({"b"}), gpus=0, packages={"a": "1"}, arguments=known)
    named = {problem.code: argument_of(job, problem) for problem in problems(job, facts)}
    assert named["bf16_cpu"] == "bf16"
    assert named["dataset_unknown"] == "dataset"
    assert named["package_missing"] == "enable_liger_kernel"
    assert named["argument_unknown"] == "wrong"
    output = [problem for problem in problems(job, facts) if problem.code in ("extra_output", "name_separator")]
    assert [argument_of(job, problem) for problem in output] == ["output_dir"]
    assert argument_of(job, Problem(None, "x")) is None
    assert argument_of(job, Problem("train.devices", "x")) == "CUDA_VISIBLE_DEVICES"
    assert argument_of(job, Problem("top.hf_token", "x")) == "HF_TOKEN"
    assert argument_of(job, Problem("train.extra_args", "x")) is None


def test_a_text_in_place_of_a_list_is_sent_as_a_text() -> None:
    job = job_from_args({"dataset": ["a", "b"], "lora_target": ["q", "v"]})
    assert build_args(with_arguments(job, {"dataset": "c,d"})) == {"dataset": "c,d", "lora_target": ["q", "v"]}
    assert build_args(with_arguments(job, {"dataset": ["c"]}))["dataset"] == ["c"]
    assert build_args(with_arguments(job_from_args({"dataset": ["a"]}), {"dataset": "c,d"})) == {"dataset": "c,d"}
