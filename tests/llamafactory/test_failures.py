"""Runs that fail for real, each started as the page does, and the cause that their own log gives."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from lfdash.engine.resume import prepare_resume, why_not_resumed
from lfdash.files import read_json
from lfdash.jobs.job import JobConfig
from lfdash.launchers.base import Launched
from lfdash.llamafactory.locate import Cli, find_cli
from lfdash.runs.record import RunState
from lfdash.runs.report import explain
from lfdash.runs.view import RunView
from tests.support.page import Page, Together, asked
from tests.support.runs import wait_end, wait_for

pytestmark = pytest.mark.train_env
BROKEN_ENTRIES = {"absent": "absent.json", "broken": "broken.json", "empty": "empty.json"}


@pytest.fixture(scope="module")
def page(demo_workspace: Path, preloaded: Cli, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    disks = [tmp_path_factory.getbasetemp()]
    found = Page.open(demo_workspace, tmp_path_factory.mktemp("failing") / "workspace", disks, preloaded)
    data = found.services.workspace.data
    (data / "broken.json").write_text('[{"instruction": "a", "output": "b"},\n {"instruction": ]')
    (data / "empty.json").write_text('[{"question": "a", "answer": "b"}]')
    info = data / "dataset_info.json"
    entries = {**read_json(info), **{name: {"file_name": file} for name, file in BROKEN_ENTRIES.items()}}
    info.write_text(json.dumps(entries))
    yield found
    found.services.close()


FAILING: dict[str, tuple[dict[str, Any], str]] = {
    "dataset": ({"dataset": "nope"}, "unknown_dataset"),
    "file": ({"dataset": "absent"}, "data_file"),
    "json": ({"dataset": "broken"}, "data_syntax"),
    "columns": ({"dataset": "empty"}, "data_column"),
    "pairs": ({"stage": "rm"}, "dataset_stage"),
    "bf16": ({"bf16": True, "use_cpu": None}, "bf16"),
    "key": ({"not_an_arg": 1}, "unknown_argument"),
    "package": ({"use_unsloth": True}, "package_missing"),
    "adapter": ({"adapter_name_or_path": "saves/none"}, "adapter_missing"),
    "template": ({"template": "nope"}, "template"),
    "string": ({"learning_rate": "fast"}, "number_as_text"),
    "model": ({"model_name_or_path": "models/none"}, "hub_offline"),
    "method": ({"finetuning_type": "full", "quantization_bit": 4}, "quantized_method"),
}


@pytest.fixture(scope="module")
def ends(page: Page, request: pytest.FixtureRequest) -> Together:
    def job(name: str) -> JobConfig:
        return page.job({**FAILING[name][0], "max_steps": 2}, name=f"fails-{name}")

    jobs = {name: partial(job, name) for name in FAILING}
    return Together(page, jobs, lambda job: page.start_job(job, job.run_name), asked(request, "name"))


@pytest.mark.parametrize("name", FAILING)
def test_a_failing_run_is_explained(ends: Together, name: str) -> None:
    cause, view = FAILING[name][1], ends[name]
    assert (view.state, view.exit_code, view.saved.model) == (RunState.FAILED, 1, None)
    found = explain(view)
    assert found is not None and found.id == cause, (view.error, found)
    assert found.line in view.paths.console.read_text(errors="replace")
    assert name != "dataset" or view.error == "ValueError: Undefined dataset nope in dataset_info.json."


def test_a_killed_run_is_explained(page: Page) -> None:
    with mock.patch.object(page.services, "cli", find_cli({})):  # a signal needs the real process
        handle = page.start("fails-killed", {"max_steps": 5000})
    wait_for(lambda: (view := page.services.registry.get(handle.run_id)) and view.progress.step, 240)
    child = read_json(handle.paths.attempt(1).child)["child"]
    os.kill(child, signal.SIGKILL)
    view = wait_end(page.services.registry, handle.run_id)
    assert (view.state, view.exit_code) == (RunState.FAILED, -9)
    found = explain(view)
    assert found is not None and found.id == "host_memory", view.error


def test_weights_without_a_checkpoint_cannot_be_overwritten(page: Page) -> None:
    """What is left of a run stopped before its first checkpoint; LLaMA-Factory refuses to train there."""
    first = page.run("fails-taken", {"max_steps": 2, "save_strategy": "no"})
    assert first.saved.model == "adapter" and not first.saved.checkpoints
    assert why_not_resumed(first) != ""  # the page does not offer it
    registry = page.services.registry
    prepared = prepare_resume(page.services, first, 1, "made by a test")
    assert prepared is not None and first.record is not None
    again = prepared.plan
    without = [word for word in again.argv if "resume" not in word]
    args = (first.path / "training_args.yaml").read_text()
    plan = replace(again, argv=tuple(without), files={"training_args.yaml": args})
    assert isinstance(registry.launch(plan, first.record.resumed(plan)), Launched)
    view = wait_end(registry, first.run_id, 240)
    assert (view.state, view.attempt) == (RunState.FAILED, 2)
    found = explain(view)
    assert found is not None and found.id == "output_taken", view.error


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MB: the demo's adapter does not fit beside the logs."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    made = subprocess.run(command, capture_output=True, text=True)
    if made.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_explained(page: Page, small_disk: Path) -> None:
    view = page.run(str(small_disk / "fails-disk"), {"max_steps": 4, "save_steps": 2})
    assert view.state is RunState.FAILED, view
    found = explain(view)
    assert found is not None and found.id == "disk_full", view.error


def test_causes_are_all_different(page: Page) -> None:
    seen: list[RunView] = [view for view in page.services.registry.snapshot() if view.state is RunState.FAILED]
    assert len({found.id for view in seen if (found := explain(view))}) >= 12
