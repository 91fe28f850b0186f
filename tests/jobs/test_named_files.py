"""What an argument may name, and what is said of what is not there. The disk itself: tests/engine/test_on_disk.py."""

from __future__ import annotations

from typing import Any

import pytest

from lfdash.jobs import checks
from lfdash.jobs.args import job_from_args
from lfdash.jobs.environment import Facts, Missing
from lfdash.jobs.named_files import NAMED_FILES, may_be_on_a_hub, names_of
from lfdash.llamafactory.catalogue import load_snapshot
from lfdash.outcomes import Problem
from tests.support import ROOT
from tests.support.jobs import GOOD

ROWS = {row.argument: row for row in NAMED_FILES}


def told(args: dict[str, Any], missing: dict[str, tuple[Missing, ...]], kind: str = "train") -> list[Problem]:
    found = checks.problems(job_from_args({**GOOD, **args}, kind=kind), Facts(missing=missing))
    return [problem for problem in found if problem.code.endswith(("_absent", "_unfit"))]


def test_the_arguments_exist() -> None:
    assert set(ROWS) <= set(load_snapshot(ROOT / "configs" / "upstream.json").arguments)


@pytest.mark.parametrize(
    ("argument", "args", "names"),
    [
        ("deepspeed", {"deepspeed": "a/b.json"}, ["a/b.json"]),
        ("deepspeed", {"deepspeed": {"zero_optimization": {}}}, []),
        ("deepspeed", {"deepspeed": '{"train_batch_size": 1}'}, []),
        ("adapter_name_or_path", {"adapter_name_or_path": "saves/a, saves/b"}, ["saves/a", "saves/b"]),
        ("adapter_name_or_path", {"adapter_name_or_path": ["saves/a", "saves/b"]}, ["saves/a", "saves/b"]),
        ("model_name_or_path", {"model_name_or_path": "/m/a,b"}, ["/m/a,b"]),
        ("reward_model", {"reward_model": "http://1.2.3.4:8000", "reward_model_type": "api"}, []),
        ("export_quantization_dataset", {"export_quantization_dataset": "data/c4_demo.jsonl"}, []),
        ("resume_from_checkpoint", {"resume_from_checkpoint": True}, []),
        ("resume_from_checkpoint", {}, []),
    ],
)
def test_what_a_job_names(argument: str, args: dict[str, Any], names: list[str]) -> None:
    assert names_of(ROWS[argument], args) == names


@pytest.mark.parametrize(
    ("argument", "name", "hub"),
    [
        ("model_name_or_path", "Qwen/Qwen2.5-7B", True), ("model_name_or_path", "gpt2", True),
        ("model_name_or_path", "/models/Qwen2.5-7B", False), ("model_name_or_path", "./Qwen", False),
        ("model_name_or_path", "~/Qwen", False), ("model_name_or_path", "a/b/c", False),
        ("model_name_or_path", "models/Qwen2.5-7B", False), ("adapter_name_or_path", "saves/x", False),
        ("adapter_name_or_path", "checkpoint-70", False), ("adapter_name_or_path", "org/checkpoint-70", True),
        ("adapter_name_or_path", "gpt2-lora", False), ("model_name_or_path", "checkpoint-70", False),
        ("deepspeed", "org/name", False), ("resume_from_checkpoint", "org/name", False),
    ],
)
def test_what_may_be_on_a_hub(argument: str, name: str, hub: bool) -> None:
    assert may_be_on_a_hub(ROWS[argument], name) == hub


def test_a_file_that_lies_elsewhere_in_the_workspace() -> None:
    args = {"deepspeed": "examples/deepspeed/ds_z3_config.json"}
    gone = Missing(args["deepspeed"], near="deepspeed/ds_z3_config.json")
    (problem,) = told(args, {"deepspeed": (gone,)})
    assert (problem.code, problem.level, problem.field) == ("named_absent", "error", "train.ds_stage")
    assert problem.fix == {"extra.deepspeed": None, "train.ds_stage": "3"}
    (problem,) = told(args, {"deepspeed": (Missing(args["deepspeed"]),)})
    assert problem.fix is None


def test_an_adapter_without_an_owner_is_a_folder_and_keeps_from_starting() -> None:
    args = {"adapter_name_or_path": "checkpoint-70", "export_dir": "e", "do_train": False}
    (problem,) = told(args, {"adapter_name_or_path": (Missing("checkpoint-70"),)}, "export")
    assert (problem.code, problem.level, problem.field) == ("named_absent", "error", "top.checkpoint_path")


def test_what_could_be_an_id_keeps_nothing_from_starting() -> None:
    gone = {"model_name_or_path": (Missing("models/lama"),)}
    assert [problem.level for problem in told({"model_name_or_path": "models/lama"}, gone)] == ["warning"]
    gone = {"model_name_or_path": (Missing("/models/lama"),)}
    assert [problem.level for problem in told({"model_name_or_path": "/models/lama"}, gone)] == ["error"]


def test_one_of_several_adapters() -> None:
    args = {"adapter_name_or_path": "saves/m/lora/good,/old/saves/m/lora/bad"}
    gone = Missing("/old/saves/m/lora/bad", near="saves/m/lora/bad")
    (problem,) = told(args, {"adapter_name_or_path": (gone,)})
    assert problem.fix == {"top.checkpoint_path": ["good", "bad"]}  # runs of this model, by name


def test_a_folder_that_lacks_what_it_needs() -> None:
    (problem,) = told({}, {"model_name_or_path": (Missing("org/m", lacks="config.json"),)})
    assert (problem.code, problem.params["wanted"], problem.field) == ("named_unfit", "config.json", "top.model_path")


def test_an_argument_without_a_field_says_its_name() -> None:
    args = {"fsdp_config": "gone.json", "ref_model": "/gone"}
    found = told(args, {"fsdp_config": (Missing("gone.json"),), "ref_model": (Missing("/gone", lacks="config.json"),)})
    assert {problem.code: problem.params["name"] for problem in found} == {
        "argument_absent": "fsdp_config", "argument_unfit": "ref_model",
    }
    assert {problem.field for problem in found} == {"train.extra_args"}


def test_what_is_made_where_it_is_not_there() -> None:
    (problem,) = told({"tokenized_path": "data/tokens"}, {"tokenized_path": (Missing("data/tokens"),)})
    assert (problem.code, problem.level) == ("tokenized_absent", "warning")
