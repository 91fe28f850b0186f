"""Problems of a job besides the rules: what is missing, names, numbers, arguments, and what the world says."""

from __future__ import annotations

import math
from typing import Any

import pytest

from lfdash.jobs import checks
from lfdash.jobs.args import job_from_args
from lfdash.jobs.argument_checks import RENAMED
from lfdash.jobs.checks import name_code
from lfdash.jobs.environment import ArgumentType, Facts
from lfdash.jobs.fields import BY_ARG
from lfdash.jobs.job import JobConfig
from lfdash.llamafactory.catalogue import Upstream, load_snapshot
from lfdash.outcomes import Problem
from tests.support import ROOT
from tests.support.jobs import FACTS, GOOD, PPO, codes


@pytest.fixture(scope="module")
def upstream() -> Upstream:
    return load_snapshot(ROOT / "configs" / "upstream.json")


def test_a_good_job_has_no_problem() -> None:
    assert checks.problems(job_from_args(GOOD), FACTS) == ()


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
        ("a\x85b", "name_bad"), ("a\u202eb", "name_bad"), ("a\u200bb", "name_bad"), ("\ufeffa", "name_bad"),
        ("a\u3164", "name_bad"), ("a\u2066b", "name_bad"), ("\u5bb6 \u00e9\u0301", ""), ("\u2764\ufe0f", ""),
        ("saves/a\x9fb/c", "name_bad"),
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


@pytest.mark.parametrize(
    ("extra", "code", "fix"),
    [
        (
            {"evaluation_strategy": "steps"}, "argument_renamed",
            {"extra.evaluation_strategy": None, "train.eval_strategy": "steps"},
        ),
        ({"learning_rat": 1e-4}, "argument_unknown_near", None),  # a guess: in words only
        ({"zzz": 1}, "argument_unknown", {"extra.zzz": None}),
        ({"dpo_beta": 0.2}, "argument_renamed", {"extra.pref_beta": 0.2, "extra.dpo_beta": None}),  # no field at SFT
    ],
)
def test_fixes_of_names(extra: dict[str, Any], code: str, fix: dict[str, Any] | None) -> None:
    known = {name: ArgumentType("text") for name in (*BY_ARG, "output_dir")}
    (problem,) = checks.problems(JobConfig("train", job_from_args(GOOD).values, extra), Facts(arguments=known))
    assert (problem.code, problem.fix) == (code, fix)


def test_renamed_arguments_are_known_to_llamafactory(upstream: Upstream) -> None:
    assert set(RENAMED.values()) <= set(upstream.arguments)
    assert not set(RENAMED) & set(upstream.arguments)
