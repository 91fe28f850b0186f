"""What is named to be loaded and cannot be: a broken adapter_config.json, another base model, no weights."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lfdash.engine import unsound as module
from lfdash.engine.loading import job_for_folder, job_for_run, why_unsound
from lfdash.engine.services import Services
from lfdash.engine.unsound import is_same, unsound
from lfdash.files import Unreadable
from lfdash.jobs.job import JobConfig
from lfdash.jobs.kinds import BY_NAME, EVALUATING
from lfdash.locales import refusal_in
from lfdash.outcomes import Refused
from tests.support import app as pages
from tests.support.many import add_run

FOLDER = "saves/demo-llama/lora/taught"
ARGS = {"model_name_or_path": "models/demo-llama", "adapter_name_or_path": FOLDER}


@pytest.fixture
def services(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    with pages.with_fake_runs(workspace, monkeypatch) as found:
        add_run(found.workspace.root, "taught")
        found.registry.refresh()
        yield found


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def large(path: Path) -> None:
    path.write_text(json.dumps({"base_model_name_or_path": "models/demo-llama", "x": "y" * (2 << 20)}))


BROKEN: dict[str, Callable[[Path], Any]] = {
    "cut off": lambda path: path.write_text('{"base_model_name_or_path": "models/de'),
    "a list": lambda path: path.write_text("[1, 2]"), "no text": lambda path: path.write_bytes(b"\xff\xfe{}"),
    "a pipe": fifo, "too large": large,
}


def code_of(found: object) -> str:
    assert isinstance(found, Refused), found
    assert found.code == "unsound" and FOLDER in refusal_in("en", found)
    return str(found.params["code"])


@pytest.mark.parametrize("what", BROKEN)
def test_an_adapter_whose_config_is_broken_is_refused(services: Services, what: str) -> None:
    BROKEN[what](services.workspace.root / FOLDER / "adapter_config.json")
    ((found,),) = unsound(services, ARGS).values()
    assert (found.value, found.code, found.level) == (FOLDER, "adapter_broken", "error") and found.params["reason"]
    view = services.registry.get("id-taught")
    assert view is not None
    for kind in ("eval", "export", "chat"):
        assert code_of(job_for_run(services, BY_NAME[kind], view)) == "adapter_broken"
        assert code_of(job_for_folder(services, BY_NAME[kind], FOLDER)) == "adapter_broken"
    assert code_of(why_unsound(services, ARGS)) == "adapter_broken"


@pytest.mark.parametrize("kind", [None, "", "banana", 7, ["LORA"], "LORA\u202e", "L" * 99])
def test_an_adapter_of_no_type_is_refused(services: Services, kind: object) -> None:
    config = {"base_model_name_or_path": "models/demo-llama"} | ({} if kind is None else {"peft_type": kind})
    (services.workspace.root / FOLDER / "adapter_config.json").write_text(json.dumps(config))
    assert code_of(job_for_folder(services, EVALUATING, FOLDER)) == "adapter_type"
    ((found,),) = unsound(services, ARGS).values()
    assert (found.code, found.level) == ("adapter_type", "error") and len(found.params["type"]) <= module.TOLD


def test_a_type_that_a_newer_peft_may_have_is_taken(services: Services) -> None:
    config = {"base_model_name_or_path": "models/demo-llama", "peft_type": "NEW_2"}
    (services.workspace.root / FOLDER / "adapter_config.json").write_text(json.dumps(config))
    assert isinstance(job_for_folder(services, EVALUATING, FOLDER), JobConfig)


@pytest.mark.parametrize("what", BROKEN)
def test_a_folder_without_a_run_is_no_model_because_its_adapter_is_broken(services: Services, what: str) -> None:
    other = services.workspace.root / "adapters" / "mine"
    other.mkdir(parents=True)
    (other / "adapter_config.json").write_text("{}")
    BROKEN[what](other / "adapter_config.json")
    refused = job_for_folder(services, EVALUATING, "adapters/mine")
    assert isinstance(refused, Refused) and refused.params["code"] == "adapter_broken"


def test_a_config_that_cannot_be_read_now_is_not_known(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = Unreadable("Input/output error", errno.EIO)
    monkeypatch.setattr(module, "read_json_file", lambda *_args, **_how: failed)
    ((found,),) = unsound(services, ARGS).values()
    assert (found.code, found.level) == ("adapter_unknown", "warning")
    assert why_unsound(services, ARGS) is None, "nothing is known against it"
    refused = job_for_folder(services, EVALUATING, "saves")  # whether it is an adapter or a model
    assert isinstance(refused, Refused) and refused.params["code"] == "adapter_unknown"


def test_a_folder_that_cannot_be_looked_into_is_not_known(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(path: object) -> list[str]:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(module.os, "listdir", denied)
    codes = {argument: [(one.code, one.level) for one in found] for argument, found in unsound(services, ARGS).items()}
    assert codes == {argument: [("weights_unknown", "warning")] for argument in ARGS}


def test_another_base_model_than_the_run_was_trained_on_is_refused(services: Services) -> None:
    config = services.workspace.root / FOLDER / "adapter_config.json"
    config.write_text(json.dumps({"base_model_name_or_path": "models/other", "peft_type": "LORA"}))
    refused = job_for_folder(services, EVALUATING, FOLDER)
    assert code_of(refused) == "adapter_base"
    assert isinstance(refused, Refused) and refused.params["base"] == "models/other"
    assert refused.params["model"] == "models/demo-llama"
    ((found,),) = unsound(services, ARGS).values()
    assert (found.code, found.level) == ("adapter_base", "warning"), "of a job that somebody wrote, it may be meant"
    own = str(services.workspace.root / "models/demo-llama")
    config.write_text(json.dumps({"base_model_name_or_path": own, "peft_type": "LORA"}))
    assert isinstance(job_for_folder(services, EVALUATING, FOLDER), JobConfig)


@pytest.mark.parametrize(
    ("base", "model", "same"),
    [
        ("Qwen/Qwen2.5-7B", "/home/me/.cache/modelscope/hub/models/Qwen/Qwen2___5-7B", True),
        ("/hub/models--Qwen--Qwen2.5-7B/snapshots/0a1b2c", "Qwen/Qwen2.5-7B", True),
        ("Qwen/Qwen2.5-7B", "Qwen/Qwen2.5-7B-Instruct", False), ("models/a/", "/data/models/A", True),
        ("unsloth/llama-3-8b-bnb-4bit", "unsloth/llama-3-8b", True), ("models/other", "models/demo-llama", False),
    ],
)
def test_one_model_has_many_names(services: Services, base: str, model: str, same: bool) -> None:
    assert is_same(services, base, model) is same and is_same(services, model, base) is same


def test_a_link_to_the_model_is_the_model(services: Services) -> None:
    (services.workspace.root / "models" / "alias").symlink_to("demo-llama")
    assert is_same(services, "models/alias", "models/demo-llama")


def test_weights_that_are_not_there_any_more_are_told(services: Services) -> None:
    assert unsound(services, ARGS) == {}
    (services.workspace.root / FOLDER / "adapter_model.safetensors").unlink()
    (services.workspace.root / "models" / "demo-llama" / "model.safetensors").unlink()
    found = {argument: [(one.code, one.level) for one in wrong] for argument, wrong in unsound(services, ARGS).items()}
    assert found == {argument: [("weights_gone", "error")] for argument in ARGS}
    assert code_of(why_unsound(services, {"adapter_name_or_path": FOLDER})) == "weights_gone"


def test_a_model_that_is_trained_from_nothing_needs_no_weights(services: Services) -> None:
    (services.workspace.root / "models" / "demo-llama" / "model.safetensors").unlink()
    assert [*unsound(services, ARGS)] == ["model_name_or_path"]
    assert unsound(services, {**ARGS, "train_from_scratch": True}) == {}


def test_files_beside_weights_are_none(services: Services) -> None:
    model = services.workspace.root / "models" / "demo-llama"
    (model / "model.safetensors").unlink()
    for name in ("training_args.bin", "optimizer.pt", "adapter_model.safetensors", "tokenizer.json"):
        (model / name).touch()
    assert [one.code for one in unsound(services, ARGS)["model_name_or_path"]] == ["weights_gone"]
    (model / "pytorch_model-00001-of-00002.bin").write_bytes(b"0")
    assert unsound(services, ARGS) == {}


NO_FILE: dict[str, Callable[[Path], Any]] = {
    "empty": Path.touch, "a dangling link": lambda path: path.symlink_to("gone"), "a pipe": os.mkfifo,
    "a folder": Path.mkdir, "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to an empty one": lambda path: path.symlink_to("/dev/null"),
}


@pytest.mark.parametrize("what", NO_FILE)
def test_what_is_no_file_or_empty_holds_no_weights(services: Services, what: str) -> None:
    for folder, name in ((FOLDER, "adapter_model.safetensors"), ("models/demo-llama", "model.safetensors")):
        file = services.workspace.root / folder / name
        file.unlink()
        NO_FILE[what](file)
    found = {argument: [one.code for one in wrong] for argument, wrong in unsound(services, ARGS).items()}
    assert found == {argument: ["weights_gone"] for argument in ARGS}


def test_weights_may_be_a_link_and_what_cannot_be_known_is_not_gone(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = services.workspace.root / FOLDER / "adapter_model.safetensors"
    weights.rename(services.workspace.root / "blob")
    weights.symlink_to(services.workspace.root / "blob")
    assert unsound(services, ARGS) == {}
    found = Path.stat

    def denied(path: Path, **how: Any) -> os.stat_result:
        if path.name == weights.name:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return found(path, **how)

    monkeypatch.setattr(Path, "stat", denied)
    assert unsound(services, ARGS) == {}


@pytest.mark.parametrize("how", ["absolute", "upwards", "link"])
def test_a_part_of_an_adapter_does_not_lead_out_of_what_may_be_read(services: Services, how: str) -> None:
    outside = services.workspace.root.parent / "outside"
    outside.mkdir()
    (outside / "adapter_config.json").write_text("{")
    (services.workspace.root / FOLDER / "out").symlink_to(outside)
    part = {"absolute": str(outside), "upwards": "../../../../../outside", "link": "out"}[how]
    named = {**ARGS, "adapter_folder": part}
    assert [one.code for one in unsound(services, named)["adapter_name_or_path"]] == ["adapter_broken"]
    services.roots = replace(services.roots, shared=True)
    assert unsound(services, named) == {}
    (services.workspace.root / FOLDER / "adapter_config.json").write_text("{")
    named["adapter_folder"] = "."
    assert [one.code for one in unsound(services, named)["adapter_name_or_path"]] == ["adapter_broken"]
