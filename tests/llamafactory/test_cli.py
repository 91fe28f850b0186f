"""The command line on the real LLaMA-Factory: from start to end, and runs that a page and it share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lfdash.runs.record import RunState
from tests.support import ROOT
from tests.support.page import SECONDS, Page
from tests.support.runs import members, wait_end, wait_for
from tests.support.terminal import DEMO, end_runs

pytestmark = pytest.mark.train_env

LONG = {"per_device_train_batch_size": 4, "max_steps": 4000, "save_steps": 2, "logging_steps": 1}


@pytest.fixture
def page(demo_workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    """A dashboard's services on a copy of the demo workspace; the command line is in another process."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    found = Page.open(demo_workspace, tmp_path / "workspace")
    monkeypatch.setenv("LFDASH_WORKSPACE", str(tmp_path / "workspace"))
    yield found
    found.services.close()
    end_runs(tmp_path / "workspace")


def lfdash(*words: object) -> str:
    """What `lfdash WORDS` says; it must be fine."""
    command = [sys.executable, "-m", "lfdash", *map(str, words)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=SECONDS)
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def told(*words: object) -> Any:
    return json.loads(lfdash(*words, "--json"))


def test_a_training_from_start_to_end(page: Page) -> None:
    """Issued in a shell, each command a process that ends; the page sees the run all along."""
    assert told("check", DEMO)["problems"] == []
    run = told("start", DEMO, "--set", "max_steps=2")
    assert wait_for(lambda: page.services.registry.get(run["id"])) is not None
    assert "Running training" in lfdash("logs", "-f", run["id"])
    (row,) = told("ls")
    assert (row["state"], row["step"], row["total"], row["stage"], row["method"]) == ("SUCCEEDED", 2, 2, "sft", "lora")
    assert row == told("show", run["name"]) and row["loss"] > 0
    columns = told("metrics", run["name"])
    assert columns["step"] == [1, 2] and columns["loss"][-1] == row["loss"]
    assert lfdash("metrics", run["name"], "--csv").count("\n") == 3
    view = wait_end(page.services.registry, run["id"])
    assert (view.state, view.saved.model) == (RunState.SUCCEEDED, "adapter")


def test_a_run_of_the_page_is_stopped_and_resumed(page: Page) -> None:
    """Stopped half-way it saves an adapter, and leaves no process; so does one that is killed."""
    handle = page.start("shared", LONG)
    run_id = handle.run_id
    run = told("show", "shared")
    assert run["id"] == run_id
    wait_for(lambda: (told("show", "shared")["step"] or 0) > 2, SECONDS)
    assert told("stop", "shared")["state"] in ("STOPPING", "STOPPED")
    stopped = wait_end(page.services.registry, run_id, SECONDS)
    assert (stopped.state, stopped.exit_code, stopped.saved.model) == (RunState.STOPPED, 0, "adapter"), stopped
    assert stopped.saved.step is not None and 2 < stopped.saved.step < LONG["max_steps"]
    assert (stopped.path / "adapter_model.safetensors").stat().st_size > 1000
    assert members(handle) == []
    step = stopped.saved.checkpoints[-1]

    assert told("resume", "shared", "--from", step)["id"] == run_id

    def gone_on() -> bool:
        view = page.services.registry.get(run_id)
        return view is not None and view.attempt == 2 and (view.progress.step or 0) > step

    wait_for(gone_on, SECONDS)
    told("stop", "shared", "--kill")
    assert wait_end(page.services.registry, run_id, SECONDS).state is RunState.STOPPED
    assert members(replace(handle, attempt=2)) == []
    assert f"checkpoint-{step}" in lfdash("logs", "shared")
