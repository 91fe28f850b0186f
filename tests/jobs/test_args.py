"""The two laws of given values, over recorded, shipped and generated jobs; golden arguments of each preset."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lfdash.jobs.args import build_args, build_env, job_from_args, secret_names
from lfdash.jobs.converters import LISTS
from lfdash.jobs.field import Field
from lfdash.jobs.fields import BY_ARG, BY_ID, ROWS
from lfdash.jobs.job import JobConfig, coerce, new_job
from lfdash.jobs.yaml_format import dump, load
from tests.support import FIXTURES, GOLDEN, ROOT

CASES = FIXTURES / "oracle_cases.jsonl"
PRESETS = sorted((ROOT / "configs" / "presets").glob("*.yaml"))
GOLDEN_PRESETS = GOLDEN / "presets"

scalars = st.none() | st.booleans() | st.integers(-(10**6), 10**9) | st.floats(allow_nan=False) | st.text(max_size=12)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
names = st.sampled_from(sorted(BY_ARG)) | st.text("abcdefgh_", min_size=1, max_size=10)
realistic = st.fixed_dictionaries(
    {},
    optional={
        "stage": st.sampled_from(["sft", "dpo", "ppo", "kto", "pt", "rm", "odd"]),
        "finetuning_type": st.sampled_from(["lora", "full", "freeze", "oft"]),
        "model_name_or_path": st.sampled_from(["org/m", "models/x y", ""]),
        "output_dir": st.sampled_from(["saves/m/lora/r", "saves/m/full/r", "elsewhere", "saves/m/lora/"]),
        "adapter_name_or_path": st.sampled_from(["saves/m/lora/a,saves/m/lora/b", "x", "a,,b", ""]),
        "dataset": st.sampled_from(["a", "a,b", "a, b", ",", ""]),
        "flash_attn": st.sampled_from(["auto", "fa2", "sdpa"]),
        "use_unsloth": st.booleans(),
        "bf16": st.booleans(),
        "fp16": st.booleans(),
        "quantization_bit": st.sampled_from([4, 8, 9, "4"]),
        "quantization_method": st.sampled_from(["bnb", "awq"]),
        "deepspeed": st.sampled_from(["deepspeed/ds_z3_config.json", "deepspeed/ds_z2_offload_config.json", "x.json"]),
        "image_max_pixels": st.integers(-1, 10**6),
        "learning_rate": st.sampled_from([1e-4, 1, "1e-4", 7]),
        "lora_rank": st.sampled_from([8, True, 8.0, 4096, "8"]),
        "use_llama_pro": st.booleans(),
        "freeze_trainable_layers": st.integers(-200, 200),
    },
)


def law(args: dict[str, Any]) -> JobConfig:
    """Loading gives the mapping back, types included."""
    job = job_from_args(args)
    made = build_args(job)
    assert made == args
    assert {k: type(v) is bool for k, v in made.items()} == {k: type(v) is bool for k, v in args.items()}
    assert not set(job.extra) & set(build_args(JobConfig(job.kind, job.values)))
    return job


@given(st.dictionaries(names, values, max_size=12))
@settings(max_examples=400, deadline=None)
def test_any_mapping_comes_back(args: dict[str, Any]) -> None:
    law(args)


@given(realistic)
@settings(max_examples=600, deadline=None)
def test_likely_mappings_come_back(args: dict[str, Any]) -> None:
    law(args)


def test_one_is_not_true() -> None:
    job = law({"flash_attn": "auto", "use_unsloth": 1})
    assert job.extra["use_unsloth"] == 1 and job.extra["use_unsloth"] is not True


def fitting(row: Field) -> st.SearchStrategy[Any]:
    """Values that a field of the form can hold."""
    low, high = row.min if row.min is not None else -1000, row.max if row.max is not None else 10**6
    if row.kind == "int":
        return st.integers(int(low), int(high))
    if row.kind == "float":
        return st.floats(low, high) | st.integers(int(low) + 1, int(high))
    if row.kind == "bool":
        return st.booleans()
    if row.kind == "choices":
        return st.lists(st.sampled_from(["a", "b", "0", "run 1", "saves/m/lora/r", "x/y"]), min_size=1, max_size=3)
    if row.kind == "choice" and isinstance(row.choices, tuple):
        return st.sampled_from(row.choices)
    words = ["x", "all", "5e-5", "org/m", "my run", "true", "2024-01-01", "модель", "saves/a/b/c", "a: b #c"]
    return st.sampled_from(["768*768", "12"] if row.id.endswith("_pixels") else words)


@st.composite
def jobs(draw: st.DrawFn) -> JobConfig:
    """Any job that the form can make: some or all fields given, those that do not apply too."""
    kind = draw(st.sampled_from(sorted(ROWS)))
    rows = draw(st.lists(st.sampled_from(ROWS[kind]), unique_by=lambda row: row.id, max_size=len(ROWS[kind])))
    values = {row.id: draw(fitting(row)) for row in rows}
    kept = {key: value for key, value in values.items() if coerce(BY_ID[key], value).status == "kept"}
    return JobConfig(kind, {**(new_job(kind).values if draw(st.booleans()) else {}), **kept})


@given(jobs())
@settings(max_examples=300, deadline=None)
def test_any_job_comes_back_from_its_file(job: JobConfig) -> None:
    args, env = build_args(job), build_env(job)
    read = load(dump(args, ["title"], env))
    assert (read.args, read.env) == (args, env)
    again = job_from_args(read.args, read.env, job.kind)
    assert (build_args(again), build_env(again)) == (args, env)


@given(st.dictionaries(names, values, max_size=12), st.sampled_from(sorted(ROWS)))
@settings(max_examples=200, deadline=None)
def test_any_mapping_comes_back_in_any_kind_of_job(args: dict[str, Any], kind: str) -> None:
    assert build_args(job_from_args(args, kind=kind)) == args


def test_runs_of_another_model_are_kept_by_path() -> None:
    merge = {
        "model_name_or_path": "org/Llama-3-8B",
        "adapter_name_or_path": "saves/llama3-8b/lora/sft",
        "export_dir": "x",
    }
    job = law(merge)
    assert (job.kind, job.values["top.checkpoint_path"], job.extra) == ("export", ["saves/llama3-8b/lora/sft"], {})
    own = law({**merge, "adapter_name_or_path": "saves/Llama-3-8B/lora/sft,saves/other/lora/b"})
    assert own.values["top.checkpoint_path"] == ["sft", "saves/other/lora/b"]
    spaced = law({**merge, "model_name_or_path": "org/Llama 3", "adapter_name_or_path": "saves/Llama3/lora/sft"})
    assert spaced.values["top.checkpoint_path"] == ["sft"]
    ppo = law({"stage": "ppo", "model_name_or_path": "org/m", "reward_model": "saves/n/lora/rm"})
    assert ppo.values["train.reward_model"] == ["saves/n/lora/rm"]


def test_recorded_mappings_come_back() -> None:
    seen = 0
    for line in CASES.read_text(encoding="utf-8").splitlines():
        args = json.loads(line)["expected"]["args"]
        if args is not None:
            law(args)
            assert build_args(job_from_args(load(dump(args)).args)) == args
            seen += 1
    assert seen == 293


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_presets_come_back_through_the_form_and_through_a_file(path: Path) -> None:
    args = load(path.read_text(encoding="utf-8")).args
    job = law(args)
    assert not job.extra, f"the form has no field for {sorted(job.extra)}"
    text = dump(build_args(job), ["title"], build_env(job))
    again = load(text)
    assert build_args(job_from_args(again.args, again.env)) == args


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_golden_arguments_of_presets(path: Path) -> None:
    job = job_from_args(load(path.read_text(encoding="utf-8")).args)
    named = JobConfig("train", {**job.values, "train.output_dir": "golden"}, job.extra)
    text = json.dumps({"args": build_args(named), "env": build_env(named)}, indent=1, sort_keys=True) + "\n"
    golden = GOLDEN_PRESETS / f"{path.stem}.json"
    if os.environ.get("LFDASH_GOLDEN") == "write":
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text, encoding="utf-8")
    assert golden.read_text(encoding="utf-8") == text


def test_every_field_of_a_new_form_that_applies_is_sent() -> None:
    job = new_job()
    args = build_args(job)
    for row in ROWS["train"]:
        if row.default is not None and row.when.holds(job.get) and row.arg != "" and row.to_args is None:
            assert args[row.arg or row.name] == row.default
    assert "pref_beta" not in args  # DPO only
    assert "weight_decay" not in args  # not given
    assert args["packing"] is False  # given and off: sent


def test_hidden_values_are_kept_and_not_sent() -> None:
    job = JobConfig("train", {"top.finetuning_type": "full", "train.lora_rank": 64})
    assert "lora_rank" not in build_args(job)
    assert build_args(JobConfig("train", {**job.values, "top.finetuning_type": "lora"}))["lora_rank"] == 64


def test_a_condition_on_a_hidden_field_does_not_hold() -> None:
    values = {"top.quantization_method": "bnb", "train.ds_offload": True}
    assert build_args(JobConfig("train", values)) == {}


def test_devices_and_deepspeed_go_to_the_environment() -> None:
    job = JobConfig("train", {"train.devices": ["1", "3"], "train.ds_stage": "3", "train.ds_offload": True})
    assert build_env(job) == {"CUDA_VISIBLE_DEVICES": "1,3", "FORCE_TORCHRUN": "1"}
    assert build_args(job) == {"deepspeed": "deepspeed/ds_z3_offload_config.json"}
    assert job_from_args(build_args(job), build_env(job)).values == job.values


def test_a_secret_is_a_name() -> None:
    job = JobConfig("train", {"train.use_swanlab": True, "train.swanlab_api_key": "hush"})
    assert secret_names(job) == ("SWANLAB_API_KEY",)
    assert "hush" not in repr((build_args(job), build_env(job)))


def test_output_folder_by_name_and_by_path() -> None:
    values = {"top.model_path": "org/Model A", "train.output_dir": "my run"}
    assert build_args(JobConfig("train", values))["output_dir"] == "saves/ModelA/lora/myrun"
    named = JobConfig("train", {**values, "top.model_name": "Known", "train.output_dir": "saves/a/b/c"})
    assert build_args(named)["output_dir"] == "saves/a/b/c"
    assert job_from_args({"output_dir": "saves/llama3-8b/lora/sft"}).run_name == "sft"


def test_the_hub_is_chosen_by_the_environment() -> None:
    job = JobConfig("train", {"top.hub_name": "modelscope", "train.learning_rate": 0.1})
    assert build_env(job) == {"USE_MODELSCOPE_HUB": "1"}
    assert job_from_args(build_args(job), build_env(job)) == job
    assert build_env(JobConfig("train", {"top.hub_name": "huggingface"})) == {}


def test_tokens_are_names_for_every_kind_of_job() -> None:
    for kind in ("train", "eval", "export"):
        job = JobConfig(kind, {"top.hf_token": "hush", "top.model_path": "m"})
        assert secret_names(job) == ("HF_TOKEN",)
        assert "hush" not in repr((build_args(job), build_env(job)))
    named = {"train.report_to": "wandb", "train.wandb_api_key": "hush"}
    assert secret_names(JobConfig("train", named)) == ("WANDB_API_KEY",)
    assert secret_names(JobConfig("train", {**named, "train.report_to": "none"})) == ()


@pytest.mark.parametrize("name", sorted(LISTS))
@pytest.mark.parametrize(
    ("value", "in_field"),
    [
        (["a"], True), (["a", "b"], True), ("a,b", True), ([], False), (["a,b"], False), ([1], False), ([" a"], False),
        (["a", ""], False), ([["a"]], False),
    ],
)
def test_a_list_comes_back_as_one(name: str, value: Any, in_field: bool) -> None:
    stage = {"eval_dataset": {"do_train": True}, "oft_target": {"finetuning_type": "oft"}}.get(name, {})
    stage |= {"finetuning_type": "freeze"} if name.startswith("freeze") else {}
    stage |= {f"use_{name.split('_')[0]}": True} if name.startswith(("galore", "apollo")) else {}
    args = {**stage, name: value}
    job = job_from_args(args)
    assert build_args(job) == args and (name not in job.extra) == in_field
