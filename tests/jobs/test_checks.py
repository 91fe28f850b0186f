"""Problems of a job besides the rules: what is missing, names, numbers, arguments, and what the world says."""

from __future__ import annotations

import math
from typing import Any

import pytest

from lfdash.jobs import checks
from lfdash.jobs.args import build_args, job_from_args
from lfdash.jobs.argument_checks import RENAMED
from lfdash.jobs.checks import name_code
from lfdash.jobs.cures import with_fix
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
        ("saves/m/lora/" + "é" * 101, "name_long"), ("saves" + "/x" * 500, "name_long"),
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
    assert one({"deepspeed": "x.json"}, Facts(packages={})).params == {
        "name": "deepspeed", "package": "deepspeed", "command": "pip install deepspeed",
    }
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
    found = checks.problems(JobConfig("train", job_from_args(GOOD).values, extra), Facts(arguments=known))
    (problem,) = [problem for problem in found if problem.code.startswith("argument")]
    assert (problem.code, problem.fix) == (code, fix)


def test_an_older_name_counts_as_what_it_means() -> None:
    """Else a Fix takes out what is right once the name is."""
    args = {**GOOD, "load_best_model_at_end": True, "save_steps": 5, "evaluation_strategy": "steps", "eval_steps": 5}
    known = {name: ArgumentType("text") for name in (*BY_ARG, "output_dir")}
    told = [
        {problem.code for problem in checks.problems(job_from_args({**args, **more}), Facts(arguments=known))}
        for more in ({"val_size": 0.1}, {}, {"val_size": 0.1, "evaluation_strategy": False})
    ]
    older = "argument_renamed"
    assert told == [{older}, {older, "eval_needs_data"}, {older, "best_strategy"}]


def test_renamed_arguments_are_known_to_llamafactory(upstream: Upstream) -> None:
    assert set(RENAMED.values()) <= set(upstream.arguments)
    assert not set(RENAMED) & set(upstream.arguments)


# -- values of a file ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(upstream: Upstream) -> Facts:
    types = {name: ArgumentType(a.kind, a.choices, a.nullable) for name, a in upstream.arguments.items()}
    return Facts(arguments=types, templates=frozenset(upstream.templates), roots=("/ws",))


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ({"learning_rate": None}, {"argument_null"}), ({"lora_target": None}, {"argument_null"}),
        ({"resume_from_checkpoint": None, "eval_dataset": None, "use_dora": None, "max_samples": None}, set()),
        ({"gradient_accumulation_steps": 0}, {"argument_range"}), ({"max_samples": -1}, {"argument_range"}),
        ({"lora_dropout": 1.5}, {"argument_range"}), ({"lora_dropout": -0.1}, {"argument_range"}),
        ({"max_steps": -1, "save_total_limit": -1, "warmup_ratio": 0}, set()),
        ({"warmup_ratio": 5}, {"argument_range"}),
        ({"lora_rank": 99999, "cutoff_len": 200000, "pref_beta": 2.5}, set()),  # beyond a slider only
        ({"finetuning_type": "full", "lora_rank": 0}, set()),  # not looked at there
        ({"per_device_train_batch_size": 2.5}, {"argument_type"}), ({"lora_rank": True}, {"argument_type"}),
        ({"learning_rate": "1e-4"}, {"argument_type"}), ({"learning_rate": "fast"}, {"argument_type"}),
        ({"save_strategy": False}, {"argument_word"}), ({"lr_scheduler_type": True}, {"argument_word"}),
        ({"flash_attn": False}, {"argument_word"}), ({"flash_attn": "off"}, {"argument_choice"}),
        ({"report_to": True}, {"argument_word"}), ({"report_to": ["wandb"]}, set()), ({"report_to": "none"}, set()),
        ({"stage": "orpo"}, {"stage_unknown", "argument_choice"}), ({"stage": "odpo"}, {"stage_unknown"}),
        ({"resume_from_checkpoint": True}, {"resume_newest"}),
        ({"dataset": ["a", "b"], "lora_target": ["q", "v"]}, set()),
    ],
)
def test_values_of_a_file(world: Facts, args: dict[str, Any], told: set[str]) -> None:
    assert codes({**GOOD, **args}, world) == told


def test_evaluation_without_sampling_may_be_cold(world: Facts) -> None:
    base = {**GOOD, "do_train": False, "do_predict": True, "predict_with_generate": True, "eval_dataset": "a"}
    del base["dataset"]
    assert codes({**base, "temperature": 0}, world) == {"argument_range"}
    assert codes({**base, "temperature": 0, "do_sample": False}, world) == set()


def test_evaluation_of_older_files_takes_their_dataset(world: Facts) -> None:
    job = job_from_args({**GOOD, "do_train": False, "do_predict": True, "predict_with_generate": True})
    (problem,) = checks.problems(job, world)
    assert (problem.code, problem.params) == ("dataset_for_training", {"value": "a"}), "and so it is told at once"
    assert problem.fix == {"eval.dataset": ["a"], "extra.dataset": None}
    job = with_fix(job, problem.fix)
    assert build_args(job)["eval_dataset"] == "a" and not list(checks.problems(job, world))


@pytest.mark.parametrize(
    ("args", "near", "fix"),
    [
        ({"image_resolution": 512}, "image_max_pixels", None),
        ({"resume_lora_training": "x"}, "create_new_adapter", None),
        ({"image_resolution": 589824}, "image_max_pixels", {"image_max_pixels": 589824}),
        ({"max_source_length": 512}, "cutoff_len", None),
        ({"checkpoint_dir": "x"}, "adapter_name_or_path", {"adapter_name_or_path": "x"}),
        ({"checkpoint_dir": "x", "finetuning_type": "full"}, "adapter_name_or_path", None),
        ({"max_source_length": 512, "max_target_length": 256}, "cutoff_len", {"cutoff_len": 768}),
        ({"resume_lora_training": False}, "create_new_adapter", {"create_new_adapter": True}),
        ({"evaluation_strategy": False}, "eval_strategy", {"eval_strategy": "no"}),
        ({"new_special_tokens": "<a>,<b>"}, "add_special_tokens", {"add_special_tokens": "<a>,<b>"}),
    ],
)
def test_older_names(world: Facts, args: dict[str, Any], near: str, fix: dict[str, Any] | None) -> None:
    job = job_from_args({**GOOD, **args})
    problem = next(one for one in checks.problems(job, world) if one.code.startswith("argument_"))
    assert problem.params["near"] == near and (problem.fix is None) == (fix is None)
    if problem.fix is not None and fix is not None:
        after = build_args(with_fix(job, problem.fix))
        assert {name: after.get(name) for name in fix} == fix and not set(args) & after.keys()


# -- output folders of others ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("my_model", "my_model"), ("outputs/a/b", "b"), ("/data/other/x", "x"), ("./x", "x"), ("~/x", "x"),
        ("../sft-ckp", "sft-ckp"), ("./saves/m/lora/r", "saves/m/lora/r"), ("x/", "x"), ("C:\\runs\\x", "x"),
        ("/home/me/LLaMA-Factory/saves/m/lora/r", "saves/m/lora/r"), ("../../saves/x", "saves/x"), (".cache/-x", "x"),
        ("a/run.json", None), ("/", None), ("..", None),
    ],
)
def test_anothers_output_folder_becomes_a_name(path: str, wanted: str | None) -> None:
    job = job_from_args({**GOOD, "output_dir": path})
    found = checks.problems(job, Facts(roots=("/ws",)))
    (problem,) = [one for one in found if one.code.startswith(("name_", "extra_"))]
    if wanted is None:
        assert problem.fix is None
        return
    assert problem.fix is not None
    after = with_fix(job, problem.fix)
    assert after.values["train.output_dir"] == wanted and "output_dir" not in after.extra
    assert not [one for one in checks.problems(after, Facts(roots=("/ws",))) if one.code != "dataset_unknown"]


# -- exports ---------------------------------------------------------------------------------------------

EXPORT = {"model_name_or_path": "m", "template": "qwen", "export_dir": "exports/x"}


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ({}, {("export_nothing", "warning")}),  # a fully trained model in other pieces
        ({"adapter_name_or_path": "saves/m/lora/a"}, set()), ({"adapter_name_or_path": "my_adapter"}, set()),
        ({"adapter_name_or_path": "saves/m/lora/a", "quantization_bit": 4}, {("export_quantized", "error")}),
        ({"export_quantization_bit": 4, "export_quantization_dataset": "d"}, set()),
    ],
)
def test_what_is_exported(world: Facts, args: dict[str, Any], told: set[tuple[str, str]]) -> None:
    job = job_from_args({**EXPORT, **args})
    job = JobConfig(job.kind, {**job.values, "export.output_dir": "r"}, job.extra)
    assert {(one.code, one.level) for one in checks.problems(job, world)} == told
