"""Configurations of three kinds become jobs, and every key is accounted for."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from lfdash.errors import ConfigError
from lfdash.jobs import checks
from lfdash.jobs.args import build_args, build_env, job_from_args
from lfdash.jobs.changes import with_fix
from lfdash.jobs.environment import ArgumentType, Facts
from lfdash.jobs.importing import Loaded, few, read_config
from lfdash.jobs.job import JobConfig
from lfdash.jobs.kinds import SERVING
from lfdash.jobs.llamaboard_format import dump_state
from lfdash.jobs.yaml_format import dump, text_of
from lfdash.llamafactory.catalogue import load_snapshot
from tests.support import FIXTURES, ROOT

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
        ("\x00", "not valid"),
    ],
)
def test_what_is_no_configuration(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        read_config(text)


# -- files of the kinds that people bring (tests/fixtures/configurations) ----------------------------------

FILES = FIXTURES / "configurations"
UPSTREAM = load_snapshot(ROOT / "configs" / "upstream.json")
TYPES = {name: ArgumentType(a.kind, a.choices, a.nullable) for name, a in UPSTREAM.arguments.items()}
WORLD = Facts(arguments=TYPES, templates=frozenset(UPSTREAM.templates), roots=("/ws",))


def opened(name: str) -> Loaded:
    """A file of the fixtures as the page opens it."""
    return read_config(text_of((FILES / name).read_bytes()), known=UPSTREAM.arguments)


def all_cured(job: JobConfig) -> JobConfig:
    """The job after every Fix was pressed."""
    while (fix := next((one.fix for one in checks.problems(job, WORLD) if one.fix), None)) is not None:
        job = with_fix(job, fix)
    return job


OUTSIDE = {"model_missing", "name_missing"}  # what the page or the workspace gives


@pytest.mark.parametrize(
    ("name", "kind", "told", "sent"),
    [
        ("merge.yaml", "export", set(), {"export_size": 3, "export_legacy_format": False}),
        ("command.txt", "train", set(), {"stage": "sft", "do_train": True, "dataset": "demo_sft"}),
        ("board_0_9_1.yaml", "train", set(), {"report_to": "all", "optim": "adamw_torch", "learning_rate": 5e-5}),
        ("board_eval.yaml", "eval", set(), {"eval_dataset": "demo_sft", "cutoff_len": 1024, "do_predict": True}),
        ("strategy_no.yaml", "train", {"argument_word"}, {"save_strategy": "no"}),
        ("nulls.yaml", "train", {"argument_null"}, {}),
        ("out_of_range.yaml", "train", {"argument_range", "argument_type"}, {"lora_dropout": 1.5}),
        ("flash_attn_off.yaml", "train", {"argument_word"}, {"flash_attn": "disabled"}),
        ("bitsandbytes.yaml", "train", {"argument_choice"}, {"quantization_method": "bnb", "quantization_bit": 4}),
        ("quoted_rate.yaml", "train", {"argument_type"}, {"learning_rate": 1e-4}),
        ("lists.yaml", "train", set(), {"lora_target": ["q_proj", "v_proj"], "report_to": ["tensorboard"]}),
        ("tab_comment.yaml", "train", set(), {"stage": "sft"}),
        ("rate_notation.yaml", "train", set(), {"learning_rate": 1e-4, "weight_decay": 1e-2}),
        ("bom_crlf.yaml", "train", set(), {"model_name_or_path": "models/demo-llama"}),
        ("run_name_date.yaml", "train", set(), {"run_name": "2024-01-01"}),
        ("token.yaml", "train", set(), {}),
        (
            "renamed_mm.yaml", "train", {"argument_renamed"},
            {"image_max_pixels": 262144, "video_max_pixels": 16384},
        ),
        ("renamed_elsewhere.yaml", "train", {"argument_renamed"}, {"pref_beta": 0.2}),
        ("near_miss.yaml", "train", {"argument_renamed", "argument_merged"}, {"add_special_tokens": "<a>,<b>"}),
        ("evaluation_strategy.yaml", "train", {"argument_renamed"}, {"eval_strategy": "steps"}),
        ("output_plain.yaml", "train", {"extra_output"}, {"output_dir": "saves/demo-llama/lora/my_model"}),
        ("output_elsewhere.yaml", "train", {"name_separator"}, {"output_dir": "saves/demo-llama/lora/lora_sft"}),
        ("export_full.yaml", "export", set(), {"export_size": 5}),
        ("export_quantized.yaml", "export", {"export_quantized"}, {"adapter_name_or_path": "saves/demo/lora/a"}),
        ("export_quantize_merge.yaml", "export", {"export_merge_first"}, {}),
    ],
)
def test_files_that_people_bring(name: str, kind: str, told: set[str], sent: dict[str, Any]) -> None:
    job = opened(name).job
    errors = {one.code for one in checks.problems(job, WORLD) if one.level == "error"}
    assert (job.kind, errors - OUTSIDE) == (kind, told)
    args = build_args(all_cured(job))
    assert {argument: args.get(argument) for argument in sent} == sent


def test_lists_stand_in_their_fields() -> None:
    loaded = opened("lists.yaml")
    assert (loaded.extra, loaded.unfit) == ((), ())
    values = loaded.job.values
    shown = [values[name] for name in ("train.dataset", "train.lora_target", "train.report_to")]
    assert shown == [["demo_sft", "demo_chat"], "q_proj,v_proj", "tensorboard"]


def test_a_token_is_in_no_argument() -> None:
    loaded = opened("token.yaml")
    assert loaded.secrets == ("hub_token",) and "hub_token" not in build_args(loaded.job)


@pytest.mark.parametrize(
    ("name", "code"),
    [("accelerate.yaml", "not_job"), ("adapter_config.json", "not_job_adapter")],
)
def test_files_that_are_no_job(name: str, code: str) -> None:
    with pytest.raises(ConfigError) as caught:
        opened(name)
    assert caught.value.code == code


def test_a_file_for_the_api_is_a_chat() -> None:
    assert opened("chat.yaml").job.kind == SERVING.name


COMMAND = r"""
export WANDB_PROJECT=mine
HF_TOKEN=hf_aaaaaaaaaa NCCL_DEBUG=INFO CUDA_VISIBLE_DEVICES=0,1 torchrun --nproc_per_node 2 \
  src/train.py --stage sft --do_train --model_name_or_path m --dataset a --report_to wandb --lora_rank $RANK
"""


def test_a_command_and_what_stands_before_it() -> None:
    loaded = read_config(COMMAND)
    assert loaded.kind == "command" and loaded.command is not None
    assert build_env(loaded.job) == {"CUDA_VISIBLE_DEVICES": "0,1", "WANDB_PROJECT": "mine"}
    assert loaded.job.values["top.hf_token"] == "hf_aaaaaaaaaa" and loaded.secrets == ("HF_TOKEN",)
    assert (loaded.command.unset, loaded.variables) == (("lora_rank",), ("NCCL_DEBUG",))


def test_a_script_that_starts_nothing() -> None:
    others = ("swift sft \\\n  --model m --dataset 'a#1' \\\n", "torchrun main.py --rank [4] \\\n  --lr 1\n")
    for text in ("#!/bin/bash\necho a: b: c\n", "#!/bin/sh\nls\n", *others):
        with pytest.raises(ConfigError) as caught:
            read_config(text)
        assert caught.value.code == "no_command"
    with pytest.raises(ConfigError) as caught:
        read_config("# made by x --rank 4\na: [\n")
    assert caught.value.code != "no_command"


def test_a_file_of_which_no_name_is_known() -> None:
    text = "alpha: 1\nbeta: 2\ngamma: 3\n"
    assert build_args(read_config(text).job) == {"alpha": 1, "beta": 2, "gamma": 3}  # nobody knows the names
    with pytest.raises(ConfigError) as caught:
        read_config(text, known=UPSTREAM.arguments)
    assert (caught.value.code, caught.value.params) == ("not_job_any", {"names": "alpha, beta, gamma"})


@pytest.mark.parametrize("before", ["", "top.model_name: x\n", "llamafactory-cli train --stage sft "])
def test_thousands_of_names_are_refused_in_one_sentence(before: str) -> None:
    name = "--name{} {} " if before.startswith("llama") else "name{}: {}\n"
    text = before + "".join(name.format(number, number) for number in range(9000))
    with pytest.raises(ConfigError) as caught:
        read_config(text, known=UPSTREAM.arguments)
    assert caught.value.code == "names_many"


def test_a_sentence_lists_the_first_names() -> None:
    assert few("abc") == ["a", "b", "c"] and few("abcdefghij") == list("abcdefghij")
    assert few("abcdefghijklm") == [*"abcdefghij", "+ 3"]


@pytest.mark.parametrize(
    ("text", "code", "fix"),
    [
        ("llamafactory-cli train --stage sft --flash_attn True", "argument_choice", {"top.booster": "flashattn2"}),
        ("llamafactory-cli train --stage sft --flash_attn False", "argument_choice", None),
        ("llamafactory-cli train --stage sft --report_to True", "argument_choice", {"train.report_to": "all"}),
        ("stage: sft\nflash_attn: on\nx: 1", "argument_word", {"top.booster": "flashattn2"}),
    ],
)
def test_true_is_a_word_of_a_command_and_yamls_own_reading_of_a_file(text: str, code: str, fix: dict[str, Any]) -> None:
    of_a_word = ("argument_choice", "argument_word")
    told = [one for one in checks.problems(read_config(text).job, WORLD) if one.code in of_a_word]
    assert [one.code for one in told] == [code] and told[0].fix is not None
    assert fix is None or fix.items() <= told[0].fix.items()
