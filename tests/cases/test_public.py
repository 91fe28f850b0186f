"""What inputs after public files (public.py) give: the points of silent faults and of failures that can be foretold.

Each row names its codes whole, so that a wrong warning fails as well as a missing one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import lfdash
from lfdash.data.report import report_entry
from lfdash.engine import context, models
from lfdash.engine.opening import Opened
from lfdash.jobs import checks
from lfdash.jobs.args import build_args
from lfdash.jobs.cures import with_fix
from lfdash.jobs.job import JobConfig
from lfdash.jobs.kinds import SERVING
from lfdash.outcomes import Problem, Refused
from lfdash.ui.shared.text import label
from lfdash.workspace.devices import Gpu
from tests.cases.public import COMMANDS, ENTRIES, FOREIGN, JOB, JOBS, LISTS, MODELS, Public
from tests.engine.test_on_disk import opened
from tests.support.form_page import FormPage, demo

EIGHT = tuple(Gpu(index, "A", True) for index in range(8))
FEWEST = 10  # inputs of each kind


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[lfdash.Workspace]:
    """The demo's data, eight GPUs, nothing installed that is not always there."""
    with pytest.MonkeyPatch.context() as patch:
        yield opened(tmp_path_factory.mktemp("public"), patch, EIGHT, "transformers matplotlib")


def text_of(public: Public) -> str:
    """An input as a file's text; an argument that is None in a job of ours is not given."""
    if isinstance(public.given, str):
        return public.given
    return yaml.safe_dump({name: value for name, value in public.given.items() if value is not None})


def read(workspace: lfdash.Workspace, public: Public) -> JobConfig:
    found = workspace.read(text_of(public))
    assert isinstance(found, Opened), found
    return found.job


def told(workspace: lfdash.Workspace, job: JobConfig) -> list[Problem]:
    """Everything that the page says of a job."""
    return list(checks.problems(job, context.of(workspace.services, job)))


def cured(workspace: lfdash.Workspace, job: JobConfig) -> JobConfig:
    """The job after every Fix was pressed."""
    for _ in range(20):
        fix = next((problem.fix for problem in told(workspace, job) if problem.fix), None)
        if fix is None:
            return job
        job = with_fix(job, fix)
    raise AssertionError(job)


LOW_RANK = {"package_missing", "optim_unknown", "layerwise_gpus", "galore_slow"}
# input -> the codes that are told, and what is sent of some arguments after every Fix (None: not at all)
EXPECTED: dict[str, tuple[set[str], dict[str, Any]]] = {
    "galore by layers, an older name": (
        LOW_RANK | {"argument_renamed"},
        {"eval_strategy": "steps", "optim": "adamw_torch", "galore_layerwise": None, "warmup_steps": 0.1}),
    "galore by layers": (LOW_RANK, {"use_galore": True, "optim": "adamw_torch", "galore_rank": 128}),
    "apollo by layers": (
        LOW_RANK - {"galore_slow"}, {"apollo_layerwise": None, "optim": "adamw_torch", "apollo_scale_type": "channel"}),
    "a typo in the optimizer": ({"argument_unknown_near"}, {"quse_apollo": True, "use_apollo": None}),
    "badam by layers": ({"package_missing", "badam_gpus"}, {"use_badam": True, "badam_switch_interval": 50}),
    "badam without a mode": (
        {"package_missing", "badam_gpus", "argument_renamed"}, {"eval_strategy": "steps", "use_badam": True}),
    "badam with ZeRO-3": (
        {"package_missing", "named_absent"}, {"deepspeed": "deepspeed/ds_z3_config.json", "badam_mode": "layer"}),
    "muon": (set(), {"use_muon": True}),
    "adam-mini": ({"package_missing"}, {"use_adam_mini": True}),
    "QLoRA in older words": (
        {"argument_choice", "package_missing"}, {"quantization_method": "bnb", "quantization_bit": 4}),
    "ZeRO-3 of a checkout": ({"named_absent", "package_missing"}, {"deepspeed": "deepspeed/ds_z3_config.json"}),
    "the adapter of a stage before": ({"named_absent"}, {"adapter_name_or_path": "saves/v3/dpo"}),
    "resume what is there": ({"resume_newest"}, {"resume_from_checkpoint": None}),
    "a small Qwen3.5, quantized": (
        {"argument_choice", "package_missing", "name_separator"},
        {"output_dir": "saves/Qwen3.5-2B-Thinking/lora/x", "quantization_method": "bnb", "double_quantization": True}),
    "everything of another machine": (
        {"name_outside", "named_absent", "package_missing", "flash_attn_missing"},
        {"flash_attn": "fa2", "report_to": "tensorboard", "deepspeed": "deepspeed/ds_z3_config.json"}),
    "steps beside epochs, no saving": (
        {"named_absent", "package_missing", "max_steps_epochs", "datasets_missing"},
        {"max_steps": 15, "num_train_epochs": None, "save_strategy": "no"}),
    "SimPO with Unsloth": (
        {"named_absent", "package_missing", "name_separator"},
        {"output_dir": "saves/llama-3.2-3b-bnb-4bit/lora/simpo", "pref_loss": "simpo", "simpo_gamma": 0.5}),
    "FP8 without DeepSpeed": (
        {"name_outside", "flash_attn_missing", "package_missing"}, {"fp8_backend": "te", "max_steps": 50}),
    "names filled in later": (
        {"extra_output", "eval_needs_data", "argument_unknown_near", "named_absent", "package_missing",
         "flash_attn_missing"},
        {"val_size": 0.1, "val_dataset": "demo_pairs", "gradient_checkpointing_kwargs": {"use_reentrant": False}}),
    "a stage of a fork, no without quotes": ({"stage_unknown", "argument_word"}, {"save_strategy": "no"}),
    "another stage of a fork": (
        {"stage_unknown", "argument_unknown", "package_missing"}, {"grpo_beta": None, "report_to": "wandb"}),
    "a letter too many": (
        {"argument_unknown_near", "named_absent"},
        {"per_device_trxain_batch_size": 1, "per_device_train_batch_size": None}),
    "attention of 2024": ({"argument_renamed"}, {"image_max_pixels": 262144, "video_max_pixels": 16384}),
    # commands
    "flash attention without a word": (
        {"name_separator", "argument_word", "template_unknown", "named_absent"}, {"flash_attn": "fa2"}),
    "the deepspeed launcher": (
        {"name_bad", "named_absent", "package_missing"}, {"output_dir": "saves/Qwen1.5-1.8B/lora/q"}),
    "a model at home": ({"name_bad", "named_absent"}, {"output_dir": "saves/mistral/lora/sft"}),
    "galore in eight bits": (
        {"name_dots", "argument_renamed", "package_missing", "galore_slow"},
        {"output_dir": "saves/L/galore/sft", "eval_strategy": "steps", "load_best_model_at_end": True,
         "optim": "adamw_8bit"}),
    "badam's first names": (
        {"name_dots", "argument_unknown_near", "argument_unknown", "package_missing"}, {"switch_mode": "descending"}),
    "a vision model by its id": (
        {"extra_output"}, {"output_dir": "saves/Llama-3.2-11B-Vision-Instruct/lora/Llama-3.2-11B"}),
    "LlamaBoard's own command": (
        {"named_absent"}, {"output_dir": "saves/Qwen2.5-VL-7B-Instruct/lora/train_2025-04-08-11-21-31"}),
    "eight GPUs by a variable": ({"template_unknown"}, {"template": "qwen", "use_dora": True}),
    "a whole model of the house": ({"named_absent"}, {"finetuning_type": "full", "template": "qwen3"}),
    "a merge": ({"named_absent"}, {"export_dir": "merged", "export_size": 2, "export_legacy_format": False}),
    "a merge with variables": (
        {"named_absent"}, {"export_dir": "./final_model/", "adapter_name_or_path": "./lora_model/"}),
    "a merge of 2024": ({"named_absent"}, {"export_dir": "merged-v3/", "finetuning_type": "lora"}),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_what_is_told_and_what_every_fix_sends(name: str, workspace: lfdash.Workspace) -> None:
    codes, sent = EXPECTED[name]
    job = read(workspace, {**JOBS, **COMMANDS}[name])
    assert {problem.code for problem in told(workspace, job)} == codes
    args = build_args(cured(workspace, job))
    assert {argument: args.get(argument) for argument in sent} == sent


SERVES = ("chat", "inference", "the api")


def test_a_merge_is_an_export(workspace: lfdash.Workspace) -> None:
    kinds = {name: read(workspace, public).kind for name, public in COMMANDS.items() if name in EXPECTED}
    assert {name for name, kind in kinds.items() if kind == "export"} == {name for name in kinds if "merge" in name}


@pytest.mark.parametrize("name", SERVES)
def test_what_serves_is_a_chat(name: str, workspace: lfdash.Workspace) -> None:
    assert read(workspace, {**FOREIGN, **COMMANDS}[name]).kind == SERVING.name


# -- files of another kind --------------------------------------------------------------------------------

REFUSED = {  # input -> why it is no job
    "vllm": ("no_command", ""), "accelerate with fp8": ("not_job", "Accelerate"),
    "accelerate with FSDP 2": ("not_job", "Accelerate"),
    "LLaMA-Factory's next version": ("not_job", "LLaMA-Factory 1.0"), "data of the next version": ("not_job_any", ""),
    "deepspeed": ("not_job_deepspeed", ""), "a server of somebody's own": ("not_job_any", ""),
    "a wrapper's configuration": ("not_job_any", ""), "where to train": ("not_job_any", ""),
    "ms-swift": ("no_command", ""), "GaLore's own": ("no_command", ""), "a checkpoint of 2023": ("no_command", ""),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_is_no_job_is_named(name: str, workspace: lfdash.Workspace) -> None:
    found = workspace.read(text_of({**FOREIGN, **COMMANDS}[name]))
    assert isinstance(found, Refused) and found.code == "not_opened"
    assert (found.params["cause"], found.params["params"].get("program", "")) == REFUSED[name]


# -- what is replaced comes back --------------------------------------------------------------------------

REPLACING = (
    "galore by layers, an older name", "apollo by layers", "badam without a mode", "QLoRA in older words",
    "resume what is there", "SimPO with Unsloth", "FP8 without DeepSpeed", "the deepspeed launcher",
    "galore in eight bits", "eight GPUs by a variable",
)


def test_what_a_file_and_its_fixes_replaced_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with demo(tmp_path / "workspace", monkeypatch, EIGHT, "transformers matplotlib") as services:
        page = FormPage(services)
        before, fixed = page.sent(), 0
        for name in REPLACING:
            file = tmp_path / "job.yaml"
            file.write_text(text_of({**JOBS, **COMMANDS}[name]))
            opened_as = page.open(file).sent()
            assert opened_as != before, name
            if page.fixes() and label("train.output_dir") not in page.fixes()[0]:  # a run's name alone is no replacing
                page.fix()
                fixed += 1
                assert page.sent() != opened_as, name
                assert page.undo().sent() == opened_as, name
            assert page.undo().sent() == before, name
        assert fixed > 3


# -- models -----------------------------------------------------------------------------------------------

TEMPLATES = {  # models whose template is known by their name -> it, and what is told of the one that is given
    "/data/hf-models/Qwen3-8B": ("qwen3", set()), "/home/me/model/Qwen3_5-35B-A3B": ("qwen3_5", set()),
    "Qwen/Qwen3-8B": ("qwen3", set()),
    "Qwen/Qwen3.5-2B": ("qwen3_5", set()), "Qwen/Qwen2.5-7B-Instruct": ("qwen", {"template_unknown"}),
    "Qwen/Qwen2.5-32B-Instruct": ("qwen", set()), "meta-llama/Llama-3.2-11B-Vision-Instruct": ("mllama", set()),
    "/data/Qwen2.5-VL-7B-Instruct": ("qwen2_vl", set()), "Qwen/Qwen3-4B-Thinking-2507": ("qwen3", set()),
    "meta-llama/Meta-Llama-3-8B-Instruct": ("llama3", set()),
    "/mnt/hub/qwen/Qwen1___5-0___5B": ("", {"template_unknown"}),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_the_one_that_is_named(name: str, workspace: lfdash.Workspace) -> None:
    template, codes = TEMPLATES.get(name, ("", set()))
    chosen = models.read(workspace.services, name)
    is_name = "/" not in name
    assert chosen.path == ("" if is_name else name), "never another model's path"
    assert chosen.template == template
    given = {**JOB, "model_name_or_path": name, "template": MODELS[name][0]}
    found = told(workspace, read(workspace, Public("", given)))
    assert {problem.code for problem in found if "template" in problem.code} == codes
    assert {problem.fix and problem.fix.get("top.template") for problem in found if "template" in problem.code} == (
        {template or None} if codes else set()
    )


# -- data -------------------------------------------------------------------------------------------------

ROWS: dict[str, tuple[int, list[str], list[tuple[str, tuple[int, ...]]]]] = {  # usable of 2, codes, rows left out
    "columns that the rows do not have": (0, ["data_no_column"], []),
    "tags without the role's key": (0, ["data_entry_lacks"], []),
    "no tags for OpenAI's turns": (0, ["data_no_turn_key"], []),
    "the word of another data set": (0, ["data_none_usable"], [("role_untagged", (1, 2))]),
    "tools that nobody has": (0, ["data_no_column"], []),
    "system and history in some rows": (2, [], []),
    "input and output": (1, ["data_left_out"], [("no_response", (2,))]),
    "a system turn without its tag": (1, ["data_left_out"], [("role_untagged", (2,))]),
    "pictures in no row": (0, ["data_no_column"], []),
    "question and answer": (2, [], []),
    "pairs of answers": (1, ["data_left_out"], [("ends_with_answer", (2,))]),
}


@pytest.mark.parametrize("name", ROWS)
def test_how_many_rows_an_entry_brings(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(ENTRIES[name].rows))
    found = report_entry(tmp_path / "a.json", name, {"file_name": "a.json", **ENTRIES[name].entry})
    usable, codes, left_out = ROWS[name]
    assert (found.rows, found.usable, [problem.code for problem in found.problems]) == (2, usable, codes)
    assert [(part.reason, part.rows) for part in found.left_out] == left_out


@pytest.mark.parametrize(
    ("name", "chosen", "codes"),
    [
        ("rows under the name of the list", "mine", {"datasets_shape"}),
        ("a description of one data set", "formats", {"data_no_source"}),
        ("a description of one data set", "version", {"datasets_entry"}),
        ("files on another machine", "mine", {"data_missing"}),
        ("questions of a benchmark", "mine", {"data_no_source"}),
    ],
)
def test_a_list_of_datasets_that_lists_none(
    name: str, chosen: str, codes: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = opened(tmp_path, monkeypatch, EIGHT, "transformers")
    listed = LISTS[name].given if name in LISTS else {"mine": ENTRIES[name].entry}
    (tmp_path / "data" / "dataset_info.json").write_text(json.dumps(listed))
    found = told(space, read(space, Public("", {**JOB, "dataset": chosen})))
    assert {problem.code for problem in found if problem.level == "error" and "data" in problem.code} == codes


# -- the corpus itself ------------------------------------------------------------------------------------


def test_every_input_is_tested_and_has_a_source() -> None:
    assert {*EXPECTED, *REFUSED, *SERVES} == {*JOBS, *COMMANDS, *FOREIGN}
    assert {*ROWS, "questions of a benchmark"} == set(ENTRIES) and set(TEMPLATES) <= set(MODELS)
    every = [*JOBS.values(), *COMMANDS.values(), *FOREIGN.values(), *ENTRIES.values(), *LISTS.values()]
    sources = [public.source for public in every] + [source for _, source in MODELS.values()]
    assert all("/" in source.partition(": ")[0] or source.endswith("(repository not known)") for source in sources)
    kinds: dict[str, int] = {"entries": len(ENTRIES) + len(LISTS), "models": len(MODELS), "undo": len(REPLACING)}
    kinds |= {"foreign": len(REFUSED), "templates": len(TEMPLATES)}
    for kind, codes in {
        "cures": ("argument_renamed", "argument_choice", "argument_word", "name_", "extra_output", "resume_newest"),
        "values": ("argument_", "resume_newest", "steps_", "eval_needs_data", "stage_unknown"),
        "optimizers": ("optim_unknown", "layerwise_gpus", "badam_gpus", "galore_slow", "package_missing"),
        "packages": ("package_missing", "flash_attn_missing"), "files": ("named_absent", "datasets_missing"),
    }.items():
        kinds[kind] = sum(any(code.startswith(codes) for code in told) for told, _ in EXPECTED.values())
    assert {kind: count for kind, count in kinds.items() if count < FEWEST} == {}, kinds
