"""The job that loads what a run has made: to chat with, to evaluate, to export."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lfdash.engine.chat_jobs import job_for_base, why_not_tried
from lfdash.engine.loading import arguments_of, by_folder, job_for_folder, job_for_run, weights_in, why_unsound
from lfdash.engine.services import Services
from lfdash.jobs.args import build_args
from lfdash.jobs.job import JobConfig
from lfdash.jobs.kinds import BY_NAME, SERVING
from lfdash.outcomes import Refused
from lfdash.runs.view import RunView
from tests.support import app as pages
from tests.support.many import add_run

ADAPTER = '{"base_model_name_or_path": "models/demo-llama", "peft_type": "LORA"}'


@pytest.fixture
def services(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    with pages.with_fake_runs(workspace, monkeypatch) as found:
        yield found


def taught(services: Services, name: str = "taught", **how: object) -> RunView:
    """A training that has saved an adapter."""
    paths = add_run(services.workspace.root, name, **how)  # type: ignore[arg-type]
    (paths.root / "adapter_config.json").write_text(ADAPTER)
    (paths.root / "adapter_model.safetensors").write_bytes(b"0")
    services.registry.refresh()
    view = services.registry.get(f"id-{name}")
    assert view is not None
    return view


def args_of(job: JobConfig | Refused) -> dict[str, object]:
    assert isinstance(job, JobConfig), job
    return build_args(job)


def test_a_run_is_loaded_without_what_only_training_has(services: Services) -> None:
    args = args_of(job_for_run(services, SERVING, taught(services)))
    assert args == {
        "model_name_or_path": "models/demo-llama", "adapter_name_or_path": "saves/demo-llama/lora/taught",
        "finetuning_type": "lora", "template": "llama3", "infer_backend": "huggingface",
    }


def test_its_base_model_is_loaded_without_the_adapter(services: Services) -> None:
    args = args_of(job_for_base(services, taught(services)))
    assert args["model_name_or_path"] == "models/demo-llama" and "adapter_name_or_path" not in args


@pytest.mark.parametrize(
    ("args", "loaded"),
    [
        ({}, {"adapter_name_or_path": "here", "finetuning_type": "lora"}),
        ({"adapter_name_or_path": "a,b"}, {"adapter_name_or_path": "a,here", "finetuning_type": "lora"}),
        ({"adapter_name_or_path": "a", "create_new_adapter": True},
         {"adapter_name_or_path": "a,here", "finetuning_type": "lora"}),
        ({"finetuning_type": "oft"}, {"adapter_name_or_path": "here", "finetuning_type": "lora"}),
        ({"finetuning_type": "full", "model_name_or_path": "m"},
         {"model_name_or_path": "here", "finetuning_type": "full"}),
    ],
)
def test_what_a_training_saved_stands_on_what_it_began_with(args: dict[str, object], loaded: dict[str, str]) -> None:
    assert arguments_of(args, "here") == loaded


def test_what_cannot_be_tried_says_why(services: Services) -> None:
    paths = add_run(services.workspace.root, "nothing")
    for file in paths.root.glob("adapter_*"):
        file.unlink()
    services.registry.refresh()
    nothing = services.registry.get("id-nothing")
    assert nothing is not None
    codes = [why_not_tried(services, nothing), why_not_tried(services, taught(services, "scores", stage="rm"))]
    assert [refused.code for refused in codes if refused] == ["next_nothing_saved", "try_scores"]


def test_a_typed_folder_is_a_run_an_adapter_or_a_model(services: Services) -> None:
    view = taught(services)
    whole = args_of(job_for_folder(services, SERVING, f"{view.output_dir}/"))
    assert whole == args_of(job_for_run(services, SERVING, view))
    other = services.workspace.root / "adapters" / "mine"
    other.mkdir(parents=True)
    (other / "adapter_config.json").write_text(ADAPTER)
    (other / "adapter_model.safetensors").write_bytes(b"0")
    args = args_of(job_for_folder(services, SERVING, "adapters/mine"))
    assert (args["model_name_or_path"], args["adapter_name_or_path"]) == ("models/demo-llama", "adapters/mine")
    assert args_of(job_for_folder(services, SERVING, "org/name"))["model_name_or_path"] == "org/name"
    (other / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    refused = job_for_folder(services, SERVING, "adapters/mine")
    assert isinstance(refused, Refused) and refused.code == "chat_folder"


def test_an_evaluation_of_a_run_has_its_data_and_few_rows(services: Services) -> None:
    view = taught(services, args={"dataset": "demo_sft,demo_dpo", "cutoff_len": 128, "max_samples": 600})
    (services.workspace.data / "dataset_info.json").write_text(
        '{"demo_sft": {"file_name": "a.json"}, "demo_dpo": {"file_name": "b.json", "ranking": true}}'
    )
    args = args_of(job_for_run(services, BY_NAME["eval"], view))
    assert args["adapter_name_or_path"] == "saves/demo-llama/lora/taught" and args["template"] == "llama3"
    assert (args["eval_dataset"], args["cutoff_len"], args["max_samples"]) == ("demo_sft", 128, 50)
    assert args["do_predict"] is True and "do_train" not in args and "infer_backend" not in args


def test_an_export_goes_into_a_folder_of_its_own_and_is_not_quantized(services: Services) -> None:
    view = taught(services, args={"quantization_bit": 4, "quantization_method": "bnb"})
    args = args_of(job_for_run(services, BY_NAME["export"], view))
    assert args["export_dir"] == "exports/taught" and "quantization_bit" not in args
    full = services.workspace.root / "exports" / "taught"
    full.mkdir(parents=True)
    (full / "model.safetensors").write_bytes(b"0")
    assert args_of(job_for_run(services, BY_NAME["export"], view))["export_dir"] == "exports/taught-2"


def test_what_an_export_has_written_is_loaded_as_a_model(services: Services) -> None:
    more = {"export_dir": "exports/whole", "adapter_name_or_path": "saves/demo-llama/lora/taught"}
    add_run(services.workspace.root, "merged", kind="export", args=more)
    services.registry.refresh()
    view = services.registry.get("id-merged")
    assert view is not None and weights_in(view) == "exports/whole"
    args = args_of(job_for_run(services, SERVING, view))
    assert args["model_name_or_path"] == "exports/whole" and args["template"] == "llama3"
    assert "adapter_name_or_path" not in args
    found = by_folder(services, "exports/whole")
    assert found is not None and found.run_id == "id-merged"
    assert args_of(job_for_folder(services, SERVING, "exports/whole")) == args


def test_of_an_evaluation_there_is_nothing_to_load(services: Services) -> None:
    add_run(services.workspace.root, "scored", kind="eval")
    services.registry.refresh()
    view = services.registry.get("id-scored")
    assert view is not None and weights_in(view) == Refused("next_no_weights")


def test_what_is_gone_is_named(services: Services) -> None:
    view = taught(services)
    args = {"model_name_or_path": "models/demo-llama", "adapter_name_or_path": view.output_dir}
    assert why_unsound(services, args) is None
    (view.path / "adapter_config.json").unlink()
    assert why_unsound(services, args) == Refused("next_gone", {"path": view.output_dir})
