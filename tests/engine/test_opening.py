"""A configuration made ready: presets become the page's run, names are runs' names, what was done is said."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from lfdash.engine.defaults import fit_to_machine, fresh_name, with_model_name
from lfdash.engine.opening import Opened, open_config, stem_of
from lfdash.engine.services import Services, find_project
from lfdash.jobs.args import build_args, job_from_args
from lfdash.jobs.job import JobConfig
from lfdash.jobs.presets import read_preset
from lfdash.outcomes import Refused
from lfdash.workspace.devices import Gpu
from tests.support import ROOT

PRESETS = sorted((ROOT / "configs" / "presets").glob("*.yaml"))
TOKEN = "hf_" + "a1B2" * 9


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Services:
    monkeypatch.setattr("lfdash.workspace.devices.read_gpus", lambda: ((), None))
    monkeypatch.setattr("lfdash.engine.defaults.now", lambda: datetime(2026, 11, 26, 8, 30))
    return Services(find_project(), tmp_path / "ws")


def opened(services: Services, config: Any, **changes: Any) -> Opened:
    found = open_config(services, config, changes)
    assert isinstance(found, Opened), found
    return found


def keys(job: Opened) -> list[str]:
    return [key for key, _ in job.notes]


def pages_job(services: Services, name: str) -> JobConfig:
    """What choosing a preset on the page fills the form with (ui/form/state.py, load_preset)."""
    job = with_model_name(services, job_from_args(services.presets[name].args))
    job, _ = fit_to_machine(services, job)
    return JobConfig(job.kind, {**job.values, "train.output_dir": fresh_name(services, name)}, job.extra)


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
@pytest.mark.parametrize("gpu", ["none", "old", "new"])
def test_a_preset_becomes_the_run_of_the_page(services: Services, path: Path, gpu: str, tmp_path: Path) -> None:
    if gpu != "none":
        services.devices = replace(services.devices, gpus=(Gpu(0, "x", gpu == "new"),))
    wanted = pages_job(services, path.stem)
    for text in (path, path.read_text(encoding="utf-8")):
        assert opened(services, text).job == wanted
    copy = tmp_path / "other name.yaml"
    copy.write_text(path.read_text(encoding="utf-8") + "\n# a remark\n", encoding="utf-8")
    assert opened(services, copy).job == wanted, "whatever its file is called"


def test_what_was_fitted_is_said(services: Services, tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    text = (ROOT / "configs" / "presets" / "demo.yaml").read_text().replace("preprocessing_num_workers: 1\n", "")
    file.write_text(text)
    services.presets["own"] = read_preset(file)
    assert keys(opened(services, file)) == ["cli.note_fitted", "cli.note_name"]
    changed = opened(services, text.replace("lora_rank: 16", "lora_rank: 8"))
    assert keys(changed) == ["cli.note_name"], "a file that is no preset is run as it is"
    assert "preprocessing_num_workers" not in build_args(changed.job)


def test_changes_come_after_the_fitting(services: Services) -> None:
    preset = ROOT / "configs" / "presets" / "sft_lora.yaml"
    assert "bf16" not in build_args(opened(services, preset).job)
    assert build_args(opened(services, preset, bf16=True).job)["bf16"] is True


def test_names(services: Services, tmp_path: Path) -> None:
    args = {"model_name_or_path": "models/m", "do_train": True}
    assert opened(services, args).job.run_name == "run-1126-0830"
    (tmp_path / "my job.yaml").write_text("model_name_or_path: models/m\ndo_train: true\n")
    assert opened(services, tmp_path / "my job.yaml").job.folder == "saves/m/lora/my_job-1126-0830"
    export = {"model_name_or_path": "models/m", "export_dir": "exports/x"}
    assert opened(services, export).job.run_name == "export-1126-0830"
    named = opened(services, {**args, "output_dir": "saves/m/lora/mine"})
    assert (named.job.run_name, named.stem, named.notes) == ("mine", "", ())
    for name, stem in (("-a b(1)..yaml", "a_b_1"), ("实验.yaml", "实验"), ("...", ""), ("x" * 99, "x" * 60)):
        assert stem_of(Path(name)) == stem


def test_tokens(services: Services) -> None:
    args = {"model_name_or_path": "m", "hf_hub_token": TOKEN, "ms_hub_token": "t"}
    job = opened(services, args, swanlab_api_key="s3")
    assert keys(job)[:3] == ["cli.note_secrets", "ui.loaded_left_out", "cli.note_secrets"]
    assert TOKEN not in str(build_args(job.job)) and job.job.values["top.hf_token"] == TOKEN
    assert TOKEN not in services.registry.redact(f"a {TOKEN} b"), "shown nowhere from now on"
    assert not services.registry.secret_store.get("HF_TOKEN"), "and no run gets it before it is started"


def test_llamaboards_form_gets_its_models_path(services: Services) -> None:
    board = {"top.model_name": "Qwen2.5-VL-7B-Instruct", "train.training_stage": "DPO", "train.nope": 1}
    job = opened(services, board)
    assert build_args(job.job)["model_name_or_path"] == "Qwen/Qwen2.5-VL-7B-Instruct"
    assert job.job.values["top.multimodal"] is True
    assert keys(job)[:3] == ["cli.note_board", "ui.loaded_trust", "ui.loaded_unknown"]
    older = opened(services, {**board, "train.report_to": True}).notes
    assert older[2] == ("ui.loaded_older", {"words": "report_to true → all"})
    assert opened(services, {**board, "top.hub_name": "modelscope"}).job.values["top.model_path"].count("/") == 1
    mine = opened(services, {"top.model_name": "Mine"}).job
    assert "model_name_or_path" not in build_args(mine) and mine.model_name == "Mine"


@pytest.mark.parametrize(
    "element", ["train.save_steps", "eval.max_samples", "export.export_size", "infer.infer_backend"]
)
def test_the_models_own_code_stays_off_and_that_is_said(services: Services, element: str) -> None:
    board = {"top.model_name": "Qwen2.5-0.5B-Instruct", element: 7}
    job = opened(services, board)
    assert ("ui.loaded_trust", {}) in job.notes and "trust_remote_code" not in build_args(job.job)
    asked = opened(services, {**board, "train.extra_args": '{"trust_remote_code": true}'})
    assert "ui.loaded_trust" not in keys(asked), "the form itself asks for it"
    assert "ui.loaded_trust" not in keys(opened(services, {"model_name_or_path": "m", "stage": "sft"}))


@pytest.mark.parametrize(("model", "name"), [(None, "–"), ("Custom", "Custom"), ("Of-Last-Year", "Of-Last-Year")])
def test_a_form_that_does_not_say_where_its_model_is(
    services: Services, tmp_path: Path, model: str | None, name: str
) -> None:
    board = yaml.safe_dump({"top.model_name": model, "train.save_steps": 50})
    assert ("ui.loaded_no_model", {"name": name}) in opened(services, board).notes
    (tmp_path / "llamaboard_config.yaml").write_text(board)
    beside = tmp_path / "training_args.yaml"
    for text in ("a: [", "stage: sft", "model_name_or_path: 7"):
        beside.write_text(text)
        assert "ui.loaded_no_model" in keys(opened(services, tmp_path / "llamaboard_config.yaml"))
    beside.write_text("model_name_or_path: models/mine\nstage: sft\n")
    job = opened(services, tmp_path / "llamaboard_config.yaml")
    assert build_args(job.job)["model_name_or_path"] == "models/mine" and "ui.loaded_no_model" not in keys(job)
    assert ("ui.loaded_model_beside", {"path": "models/mine"}) in job.notes
    known = opened(services, {"top.model_name": "Qwen2.5-0.5B-Instruct", "train.save_steps": 5})
    assert "ui.loaded_no_model" not in keys(known)


def test_what_a_script_does_not_say_is_said(services: Services) -> None:
    script = "llamafactory-cli chat\nllamafactory-cli train --stage sft --fp16 $MORE --dataset $D # a\n  --x 1"
    notes = dict(opened(services, script).notes)
    assert notes["ui.loaded_unread"]["names"] == "$MORE, --x" and notes["ui.loaded_unset"]["names"] == "dataset"
    assert notes["ui.loaded_others"]["names"] == "chat"


def test_what_does_not_fit_its_field_is_said_and_passed_on(services: Services) -> None:
    job = opened(services, {"model_name_or_path": "m", "lora_rank": "many"})
    assert ("cli.note_unfit", {"name": "lora_rank", "value": "many"}) in job.notes
    assert build_args(job.job)["lora_rank"] == "many"


@pytest.mark.parametrize(
    ("config", "code"),
    [("a: [", "not_opened"), ({}, "not_opened"), ("x\n" * 600_000, "not_opened"),
     ("no/such/file.yaml", "config_unreadable"), (ROOT, "config_unreadable")],
)
def test_what_cannot_be_opened(services: Services, config: Any, code: str) -> None:
    found = open_config(services, config)
    assert isinstance(found, Refused) and found.code == code


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (os.mkfifo, "config_unreadable"), (lambda path: path.symlink_to("/dev/zero"), "config_unreadable"),
        (lambda path: path.write_bytes(b"a: \xff"), "not_opened"),
    ],
)
def test_what_is_no_text_file_is_refused_at_once(
    services: Services, tmp_path: Path, make: Callable[[Path], object], code: str
) -> None:
    make(tmp_path / "job.yaml")
    found = open_config(services, tmp_path / "job.yaml")
    assert isinstance(found, Refused) and found.code == code
    (tmp_path / "real.yaml").write_bytes(b"model_name_or_path: m\r\n")
    (tmp_path / "link.yaml").symlink_to("real.yaml")
    assert opened(services, tmp_path / "link.yaml").job.values["top.model_path"] == "m"


def test_a_large_file_is_said_to_be_large_wherever_it_is_cut(services: Services, tmp_path: Path) -> None:
    for shift in "", "a":
        (tmp_path / "job.yaml").write_text(shift + "é" * 600_000)
        found = open_config(services, tmp_path / "job.yaml")
        assert isinstance(found, Refused) and found.code == "not_opened"
