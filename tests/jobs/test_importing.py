"""Configurations of three kinds become jobs, and every key is accounted for."""

from __future__ import annotations

import json

import pytest
import yaml

from lfdash.errors import ConfigError
from lfdash.jobs.args import build_args, build_env, job_from_args
from lfdash.jobs.importing import read_config
from lfdash.jobs.job import JobConfig
from lfdash.jobs.llamaboard_format import dump_state
from lfdash.jobs.yaml_format import dump

# As LLaMA-Factory's published examples are written: floats without a point, null, lists, arguments without a field.
EXAMPLE = """
### model
model_name_or_path: org/model
trust_remote_code: true

### method
stage: sft
do_train: true
finetuning_type: lora
lora_rank: 8
lora_target: all

### dataset
dataset: identity,alpaca_en_demo
template: llama3
cutoff_len: 2048
overwrite_cache: true

### output
output_dir: saves/llama3-8b/lora/sft
report_to: none  # choices: [none, wandb]

### train
learning_rate: 1.0e-4
num_train_epochs: 3.0
bf16: true
resume_from_checkpoint: null
"""


def test_an_example_is_loaded_without_loss() -> None:
    loaded = read_config(EXAMPLE)
    assert build_args(loaded.job) == yaml.safe_load(EXAMPLE)
    assert loaded.kind == "llamafactory"
    assert loaded.extra == ("overwrite_cache", "resume_from_checkpoint")
    assert loaded.unfit == ()
    assert (loaded.job.model_name, loaded.job.run_name) == ("llama3-8b", "sft")


def test_json_is_loaded_too() -> None:
    args = {"stage": "dpo", "learning_rate": 5e-6}
    assert build_args(read_config(json.dumps(args)).job) == args


def test_our_own_file_brings_its_environment() -> None:
    job = JobConfig("train", {"train.devices": ["0", "2"], "train.learning_rate": 5e-5})
    loaded = read_config(dump(build_args(job), ["title"], build_env(job)))
    assert loaded.job == job


def test_a_value_that_does_not_fit_is_kept_and_named() -> None:
    loaded = read_config("learning_rate: abc\nlora_rank: 99999\nstage: odd\n")
    assert build_args(loaded.job) == {"learning_rate": "abc", "lora_rank": 99999, "stage": "odd"}
    assert [(p.field, p.code) for p in loaded.unfit] == [
        ("train.learning_rate", "not_number"),
        ("train.lora_rank", "out_of_range"),
        ("train.training_stage", "not_a_choice"),
    ]


def test_llamaboards_saved_form() -> None:
    job = job_from_args(
        {"stage": "kto", "finetuning_type": "lora", "dataset": "a", "lora_rank": 4, "weight_decay": 0.1}
    )
    loaded = read_config(dump_state(job))
    assert loaded.kind == "llamaboard"
    made = build_args(loaded.job)
    assert {key: made[key] for key in ("stage", "dataset", "lora_rank", "weight_decay")} == {
        "stage": "kto", "dataset": "a", "lora_rank": 4, "weight_decay": 0.1,
    }
    assert loaded.unknown == ()


def test_keys_of_a_newer_llamaboard_are_named() -> None:
    loaded = read_config("train.learning_rate: 1e-4\ntrain.new_thing: 3\n")
    assert loaded.unknown == ("train.new_thing",)
    assert build_args(loaded.job)["learning_rate"] == 1e-4


def test_a_multimodal_model_of_llamaboard_brings_its_settings() -> None:
    text = "top.model_name: Some-VL\ntrain.freeze_vision_tower: false\n"
    assert "freeze_vision_tower" not in build_args(read_config(text).job)
    assert build_args(read_config(text, lambda name: name == "Some-VL").job)["freeze_vision_tower"] is False


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no setting"), ("# nothing", "no setting"), ("- a", "mapping"), ("a: [", "not valid"),
        ("train.learning_rate: fast", "LlamaBoard"), ("train.extra_args: '{'", "LlamaBoard"), ("\x00", "not valid"),
    ],
)
def test_what_is_no_configuration(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        read_config(text)
