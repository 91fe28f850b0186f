"""Files that are no job, each known by names that a job cannot have."""

from __future__ import annotations

from typing import Any

import pytest

from lfdash.errors import ConfigError
from lfdash.jobs.foreign import FOREIGN, MOST_NAMES, OF_LLAMAFACTORY, refuse_foreign, refuse_many, refuse_unknown

# one file of each kind, as its program's documentation shows it
FILES: list[tuple[dict[str, Any], str, str]] = [
    ({"demo": {"file_name": "a.json"}, "hub": {"hf_hub_url": "a/b"}}, "not_job_datasets", ""),
    ({"train_batch_size": "auto", "zero_optimization": {"stage": 3}}, "not_job_deepspeed", ""),
    ({"compute_environment": "LOCAL_MACHINE", "mixed_precision": "bf16"}, "not_job", "Accelerate"),
    ({"peft_type": "LORA", "r": 8}, "not_job_adapter", ""),
    ({"lang": "zh", "last_model": "M", "path_dict": {"M": "/m"}, "cache_dir": None}, "not_job_user_config", ""),
    ({"lang": "en", "last_model": ""}, "not_job_user_config", ""),
    ({"architectures": ["LlamaForCausalLM"], "hidden_size": 64}, "not_job_model", ""),
    ({"metadata": {}, "weight_map": {}}, "not_job_model", ""),
    ({"train_loss": 1.2, "train_runtime": 3.4}, "not_job_results", ""),
    ({"best_metric": None, "log_history": []}, "not_job_results", ""),
    ({"task": "mmlu_test", "lang": "en", "template": "fewshot", "model_name_or_path": "m"}, "not_job_benchmark", ""),
    ({"model": "m", "peft_config": {"name": "lora"}, "learning_rate": 1e-4}, "not_job", "LLaMA-Factory 1.0"),
    ({"model": "m", "template": "qwen3", "train_dataset": "d.yaml", "output_dir": "o"}, "not_job", "LLaMA-Factory 1.0"),
    ({"base_model": "m", "datasets": [{"path": "d"}], "learning_rate": 1e-4}, "not_job", "Axolotl"),
    ({"base_model": "m", "sequence_len": 4096}, "not_job", "Axolotl"),
    ({"model_name_or_path": "m", "dataset_name": "d", "output_dir": "o"}, "not_job", "TRL"),
    ({"model": "m", "served_model_name": "x"}, "not_job", "vLLM"),
    ({"model": "m", "tensor-parallel-size": 2}, "not_job", "vLLM"),
    ({"model": {"_component_": "torchtune.models.llama3"}, "epochs": 1}, "not_job", "torchtune"),
    ({"merge_method": "slerp", "slices": []}, "not_job", "mergekit"),
    ({"checkpoint_dir": "c", "out_dir": "o"}, "not_job", "LitGPT"),
    ({"max_seq_length": 2048, "load_in_4bit": True}, "not_job", "Unsloth"),
    ({"train_type": "lora", "torch_dtype": "bfloat16"}, "not_job", "ms-swift"),
    ({"actor_rollout_ref": {}, "trainer": {}}, "not_job", "verl"),
    ({"doc_to_text": "x", "metric_list": []}, "not_job", "lm-evaluation-harness"),
    ({"services": {"a": {}}, "version": "3"}, "not_job", "Docker Compose"),
    ({"apiVersion": "v1", "kind": "Pod"}, "not_job", "Kubernetes"),
    ({"name": "ci", "jobs": {}}, "not_job", "GitHub Actions"),
    ({"program": "train.py", "method": "bayes", "parameters": {}}, "not_job", "Weights & Biases Sweep"),
]


@pytest.mark.parametrize(("args", "code", "program"), FILES, ids=lambda item: item if isinstance(item, str) else "")
def test_each_kind_is_named(args: dict[str, Any], code: str, program: str) -> None:
    with pytest.raises(ConfigError) as caught:
        refuse_foreign(args)
    assert caught.value.code == code and caught.value.params.get("program", "") == program


def test_every_row_has_a_file_here() -> None:
    fitting = [next(kind for kind in (*OF_LLAMAFACTORY, *FOREIGN) if kind.fits(args)) for args, _, _ in FILES]
    assert {id(kind) for kind in fitting} == {id(kind) for kind in (*OF_LLAMAFACTORY, *FOREIGN)}


@pytest.mark.parametrize(
    "args",
    [
        {"model_name_or_path": "m", "template": "qwen"}, {"model_name_or_path": "m", "infer_backend": "vllm"},
        {"learning_rate": 1e-4}, {"model_name_or_path": "m"}, {"stage": "sft", "load_in_8bit": True},
        {"model_name_or_path": "m", "template": "qwen", "export_dir": "x"},
        {"model_name_or_path": "m", "template": "qwen", "do_predict": True, "infer_backend": "huggingface"},
        {"stage": "sft", "lora_r": 8, "dataset_name": "x"}, {"finetuning_type": "lora", "lora_rank": 8},
        {"tokenized_path": "x", "stage": "sft"}, {"output_dir": "x", "per_device_train_batch_size": 1},
    ],
)
def test_jobs_are_let_through(args: dict[str, Any]) -> None:
    refuse_foreign(args)


def test_one_name_that_nobody_knows_may_be_a_slip_and_a_part_of_other_parts_is_none() -> None:
    refuse_unknown({"lora_ranc": 8}, {"lora_rank"})
    refuse_unknown({"deepspeed": {"zero_optimization": {}}}, {"deepspeed"})
    with pytest.raises(ConfigError) as caught:
        refuse_unknown({"mine": {"path": "a.jsonl", "source": "local"}}, {"lora_rank"})
    assert (caught.value.code, caught.value.params) == ("not_job_any", {"names": "mine"})


def test_a_document_with_hardly_any_argument_is_no_job() -> None:
    many = {f"name_{number}": number for number in range(30)}
    refuse_unknown({**many, **dict.fromkeys(("a", "b", "c", "d"))}, {"a", "b", "c", "d"})
    with pytest.raises(ConfigError) as caught:
        refuse_unknown({"a": 1, "b": 2, "c": 3, **many}, {"a", "b", "c"})
    told = {"known": 3, "count": 33, "names": "name_0, name_1, name_2"}
    assert (caught.value.code, caught.value.params) == ("not_job_few", told)
    strange = [f"name_{number}" for number in range(101)]
    refuse_unknown(dict.fromkeys([*"abcdefghijkl", *strange[:100]]), set("abcdefghijkl"))
    with pytest.raises(ConfigError):
        refuse_unknown(dict.fromkeys([*"abcdefghijkl", *strange]), set("abcdefghijkl"))


def test_a_document_with_more_names_than_there_are_arguments_is_no_job() -> None:
    refuse_many(dict.fromkeys(map(str, range(MOST_NAMES))))
    with pytest.raises(ConfigError) as caught:
        refuse_many(dict.fromkeys(map(str, range(MOST_NAMES + 1))))
    assert (caught.value.code, caught.value.params) == ("names_many", {"count": MOST_NAMES + 1})
