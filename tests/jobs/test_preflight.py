"""What a job's surroundings say to it: template, steps, disk."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lfdash.jobs import checks
from lfdash.jobs.args import job_from_args
from lfdash.jobs.environment import ArgumentType, Facts, Reached
from lfdash.jobs.preflight import total_steps
from lfdash.jobs.resources import ResourceRequest
from lfdash.outcomes import Problem

GOOD: dict[str, Any] = {
    "stage": "sft", "do_train": True, "finetuning_type": "lora", "model_name_or_path": "org/m", "template": "qwen",
    "dataset": "a", "output_dir": "saves/m/lora/r",
}
ROWS = Facts(rows={"a": 1000, "b": 11}, gpus=1)


def found(args: dict[str, Any], facts: Facts) -> list[Problem]:
    return list(checks.problems(job_from_args({**GOOD, **args}), facts))


def test_a_template_of_another_model() -> None:
    (problem,) = found({}, Facts(model_template="llama3"))
    assert (problem.code, problem.level, problem.fix) == ("template_unfit", "warning", {"top.template": "llama3"})
    assert found({"template": "llama3"}, Facts(model_template="llama3")) == []
    assert found({}, Facts(model_template="")) == []
    family = Facts(model_template="qwen3", fitting=frozenset({"qwen3", "qwen3_nothink"}))
    assert found({"template": "qwen3_nothink"}, family) == []
    assert [problem.fix for problem in found({"template": "llama3"}, family)] == [{"top.template": "qwen3"}]


def test_a_template_that_does_not_exist_is_told_once_with_the_models_own() -> None:
    known = Facts(arguments={name: ArgumentType("text") for name in GOOD}, templates=frozenset({"qwen", "llama3"}))
    (problem,) = found({"template": "qwen2.5"}, replace(known, model_template="qwen"))
    assert (problem.code, problem.level, problem.fix) == ("template_unknown", "error", {"top.template": "qwen"})
    (problem,) = found({"template": "qwen2.5"}, known)
    assert problem.fix is None


def test_a_dataset_whose_entry_cannot_be_used_says_why() -> None:
    why = Problem("train.dataset_dir", "datasets_entry", {"file": "dataset_info.json", "name": "a"})
    (problem,) = found({}, Facts(datasets=frozenset({"b"}), unfit={"a": why}))
    assert (problem.field, problem.code) == ("train.dataset", "datasets_entry")


@pytest.mark.parametrize(
    ("args", "total"),
    [
        ({"max_steps": 7}, 7),
        ({"per_device_train_batch_size": 2, "gradient_accumulation_steps": 8, "num_train_epochs": 3.0}, 189),
        ({"per_device_train_batch_size": 1, "max_samples": 100}, 300),
        ({"per_device_train_batch_size": 1, "max_samples": 100, "val_size": 0.1}, 270),
        ({"per_device_train_batch_size": 1, "max_samples": 100, "val_size": 20}, 240),
        ({"dataset": "a,b", "per_device_train_batch_size": 1, "num_train_epochs": 1}, 1011),
        ({"per_device_train_batch_size": 64, "gradient_accumulation_steps": 64, "num_train_epochs": 0.5}, 1),
        ({"dataset": "a,unknown"}, None),
        ({"packing": True}, None),
        ({"streaming": True}, None),
    ],
)
def test_total_steps(args: dict[str, Any], total: int | None) -> None:
    assert total_steps({**GOOD, **args}, ROWS) == total


@pytest.mark.parametrize(
    ("request_", "total"),
    [
        (ResourceRequest(), 50), (ResourceRequest(("1", "3")), 100), (ResourceRequest(count=3), 67),
        (ResourceRequest(cpu=True), 200),
    ],
)
def test_total_steps_count_the_gpus_of_the_job(request_: ResourceRequest, total: int) -> None:
    facts = Facts(rows={"a": 1000}, gpus=4, request=request_)
    assert total_steps({**GOOD, "per_device_train_batch_size": 5, "num_train_epochs": 1}, facts) == total


def test_gpus_that_are_not_here() -> None:
    two = Facts(gpus=2, gpu_names=("0", "1"))
    (problem,) = found({}, replace(two, request=ResourceRequest(("1", "2", "5"))))
    assert (problem.code, problem.level, problem.params) == ("gpus_absent", "error", {"value": "2, 5", "have": "0, 1"})
    assert (problem.field, problem.fix) == ("train.devices", {"train.devices": None})
    (problem,) = found({}, Facts(gpus=0, request=ResourceRequest(("0", "1"))))
    assert (problem.code, problem.level, problem.params["value"]) == ("gpus_none", "warning", "0, 1")
    for request in (ResourceRequest(("0",)), ResourceRequest(("GPU-7f3a",)), ResourceRequest(count=9)):
        assert found({}, replace(two, request=request)) == []
    assert found({}, Facts(gpus=None, request=ResourceRequest(("7",)))) == []


def test_the_processor_beside_gpus_is_told() -> None:
    args = {"use_cpu": True, "logging_steps": 1}
    (problem,) = [p for p in found(args, Facts(gpus=2)) if p.code == "cpu_chosen"]
    assert (problem.level, problem.fix) == ("warning", {"train.use_cpu": None})
    for change, facts in (({}, Facts(gpus=0)), ({"use_cpu": None}, Facts(gpus=2)),
                          ({"model_name_or_path": "models/demo-llama"}, Facts(gpus=2))):
        assert "cpu_chosen" not in {p.code for p in found({**args, **change}, facts)}


def test_a_stream_of_no_shards() -> None:
    facts = Facts(data={"a": ()})
    args = {**GOOD, "dataset": "a", "streaming": True, "max_steps": 100}
    (problem,) = [p for p in found(args, facts) if p.code == "stream_workers"]
    assert (problem.field, problem.level) == ("train.dataloader_num_workers", "error")
    assert problem.fix == {"train.dataloader_num_workers": 1}
    for change in ({"dataloader_num_workers": 1}, {"streaming": False}, {"dataset": "on_a_hub"}):
        assert "stream_workers" not in {p.code for p in found({**args, **change}, facts)}


def test_steps_that_overrule_the_epochs() -> None:
    (problem,) = found({"max_steps": 20, "num_train_epochs": 3.0, "logging_steps": 1, "save_steps": 5}, Facts())
    assert (problem.code, problem.level) == ("max_steps_epochs", "warning")
    assert problem.fix == {"train.num_train_epochs": None}
    assert problem.params == {"value": "20", "epochs": "3"}
    for args in ({"max_steps": 20}, {"max_steps": -1, "num_train_epochs": 3.0}):
        assert found({**args, "logging_steps": 1, "save_steps": 5}, Facts()) == []


def test_a_checkpoint_at_the_end_of_the_training() -> None:
    args = {"resume_from_checkpoint": "saves/m/lora/a/checkpoint-9", "logging_steps": 1, "save_steps": 5}
    (problem,) = found({**args, "max_steps": 9}, Facts(reached=Reached(9, 1.0)))
    assert (problem.code, problem.level, problem.field) == ("nothing_left", "warning", "train.resume_from_checkpoint")
    assert found({**args, "max_steps": 10}, Facts(reached=Reached(9, 3.0))) == []
    # the rows are not known: the epochs decide, three where none are given
    assert [p.code for p in found(args, Facts(reached=Reached(9, 3.0)))] == ["nothing_left"]
    assert found({**args, "num_train_epochs": 4.0}, Facts(reached=Reached(9, 3.0))) == []
    assert found({**args, "max_steps": 9}, Facts()) == []


def test_a_dataset_whose_entry_does_not_fit() -> None:
    why = Problem("train.dataset_dir", "datasets_entry", {"file": "dataset_info.json", "name": "a"})
    missing = Problem(None, "data_missing", {"file": "data/a.json"})
    facts = Facts(datasets=frozenset({"a"}), unfit={"a": why}, data={"a": (missing,)})
    assert [p.code for p in found({}, facts)] == ["datasets_entry"]  # said once


def test_only_rows_that_are_trained_on_make_steps() -> None:
    facts = Facts(rows={"a": 1000, "b": 11}, usable={"a": 400}, gpus=1)
    args = {**GOOD, "dataset": "a,b", "per_device_train_batch_size": 1, "num_train_epochs": 1}
    assert total_steps(args, facts) == 411
    assert total_steps({**args, "max_samples": 100}, facts) == 111


def test_what_is_wrong_with_the_rows_is_told_at_the_dataset() -> None:
    why = Problem(None, "data_left_out", {"value": "a", "rows": 3, "usable": 1, "left_out": ()}, "warning")
    (problem,) = found({}, Facts(datasets=frozenset({"a"}), data={"a": (why,)}))
    assert (problem.field, problem.code, problem.level) == ("train.dataset", "data_left_out", "warning")
    # where the stage refuses it as a whole, that alone is said
    (problem,) = found({}, Facts(datasets=frozenset({"a"}), ranking={"a": True}, data={"a": (why,)}))
    assert problem.code == "dataset_ranked"


def test_steps_that_are_never_reached() -> None:
    args = {"max_steps": 20, "logging_steps": 21, "save_steps": 21}
    logging, saving = found(args, Facts())
    assert (logging.code, logging.fix, logging.params) == (
        "few_steps_logging", {"train.logging_steps": 2}, {"value": "21", "total": 20},
    )
    assert (saving.code, saving.fix, saving.level) == ("few_steps_saving", {"train.save_steps": 10}, "warning")
    assert found({**args, "logging_steps": 20, "save_strategy": "epoch"}, Facts()) == []
    evaluated = {"max_steps": 20, "logging_steps": 1, "save_steps": 5, "eval_strategy": "steps", "val_size": 0.1}
    assert [p.code for p in found({**evaluated, "eval_steps": 100}, Facts())] == ["few_steps_evaluating"]
    assert found({**evaluated, "eval_steps": 20}, Facts()) == []
    assert found({**args, "logging_steps": 0.1, "save_steps": 0.5}, Facts()) == []  # shares of all steps


def test_a_disk_that_does_not_take_what_is_saved() -> None:
    full = {"finetuning_type": "full", "max_steps": 100, "save_steps": 50, "logging_steps": 1}
    seven = 15_000_000_000
    (short,) = found(full, Facts(model_bytes=seven, free_disk=100_000_000_000))
    # two checkpoints with two moments each, and the result: (2 * 3 + 1) * 15 GB
    assert (short.code, short.params, short.level) == ("disk_short", {"free": "100.0", "need": "105.0"}, "warning")
    enough = Facts(model_bytes=seven, free_disk=106_000_000_000)
    assert found(full, enough) == []
    assert found({**full, "save_total_limit": 1}, Facts(model_bytes=seven, free_disk=61_000_000_000)) == []
    assert found({**full, "save_only_model": True}, Facts(model_bytes=seven, free_disk=46_000_000_000)) == []
    assert found({**full, "finetuning_type": "lora"}, Facts(model_bytes=seven, free_disk=3_000_000_000)) == []
    assert [p.code for p in found(full, Facts(free_disk=100_000_000))] == ["disk_low"]
    assert found(full, Facts(free_disk=None)) == []


def test_an_export_needs_the_size_of_the_model() -> None:
    args = {"model_name_or_path": "m", "template": "qwen", "adapter_name_or_path": "r", "export_dir": "out"}
    job = job_from_args(args, kind="export")
    codes = {p.code for p in checks.problems(job, Facts(model_bytes=15_000_000_000, free_disk=10_000_000_000))}
    assert "disk_short" in codes
