"""*Try it* fills the chat's form with what a run has saved; a typed folder or nothing does too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.engine.chat_jobs import arguments_of, job_for_base, job_for_folder, job_for_run, why_not_tried
from lfdash.engine.services import Services
from lfdash.jobs.args import build_args
from lfdash.jobs.job import JobConfig
from lfdash.jobs.kinds import SERVING
from lfdash.outcomes import Refused
from lfdash.runs.view import RunView
from lfdash.ui.launch.try_it import WANTED
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
    (paths.root / "adapter_model.safetensors").write_bytes(b"")
    services.registry.refresh()
    view = services.registry.get(f"id-{name}")
    assert view is not None
    return view


def args_of(job: JobConfig | Refused) -> dict[str, object]:
    assert isinstance(job, JobConfig), job
    return build_args(job)


def test_a_run_is_loaded_without_what_only_training_has(services: Services) -> None:
    args = args_of(job_for_run(services, taught(services)))
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
    codes = [why_not_tried(nothing), why_not_tried(taught(services, "scores", stage="rm"))]
    assert [refused.code for refused in codes if refused] == ["try_nothing_saved", "try_scores"]


def test_a_typed_folder_is_a_run_an_adapter_or_a_model(services: Services) -> None:
    view = taught(services)
    assert args_of(job_for_folder(services, f"{view.output_dir}/")) == args_of(job_for_run(services, view))
    other = services.workspace.root / "adapters" / "mine"
    other.mkdir(parents=True)
    (other / "adapter_config.json").write_text(ADAPTER)
    args = args_of(job_for_folder(services, "adapters/mine"))
    assert (args["model_name_or_path"], args["adapter_name_or_path"]) == ("models/demo-llama", "adapters/mine")
    assert args_of(job_for_folder(services, "org/name"))["model_name_or_path"] == "org/name"
    (other / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    refused = job_for_folder(services, "adapters/mine")
    assert isinstance(refused, Refused) and refused.code == "chat_folder"


def test_try_it_fills_the_form(services: Services) -> None:
    taught(services)
    app: AppTest = pages.start()
    app.session_state[WANTED] = "id-taught"
    pages.good(app.switch_page(SERVING.page).run())
    assert app.session_state["top.checkpoint_path"] == ["taught"]
    assert app.session_state["chat.output_dir"].startswith("chat-") and WANTED not in app.session_state
