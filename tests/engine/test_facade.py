"""`lfdash.open`: what a program or a notebook gets, and that a page and it see each other's runs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
import yaml

import lfdash
from lfdash.demo.__main__ import make_data
from lfdash.engine.facade import open_workspace
from lfdash.engine.resume import prepare_resume
from lfdash.engine.services import Services, find_project
from lfdash.engine.submit import submit
from lfdash.errors import RunGone
from lfdash.llamafactory.locate import Cli
from lfdash.llamafactory.probe import stem
from lfdash.queue.store import Queued
from lfdash.runs.record import RunState
from tests.support import ROOT
from tests.support.models import pretend_model
from tests.support.page import DEMO
from tests.support.runs import fake_cli, wait_end, wait_for
from tests.support.terminal import end_runs

PRESET = ROOT / "configs" / "presets" / "demo.yaml"
COLUMNS = [
    "id", "name", "state", "kind", "model", "stage", "method", "step", "total", "loss", "eval_loss", "started",
    "seconds", "folder", "stalled", "dead_step", "tokens_per_s", "lost", "ended_early", "target",
    "job", "job_state", "job_reason", "job_starts",
]
SLOW = '{"steps": 600, "delay": 0.1}'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A workspace with the demo's data; the stand-in for LLaMA-Factory takes six steps, unless FAKE_ARGS says more."""
    monkeypatch.setattr("lfdash.workspace.devices.read_gpus", lambda: ((), None))
    monkeypatch.setenv("LFDASH_CLI", fake_cli(tmp_path))
    monkeypatch.setenv("FAKE_ARGS", '{"steps": 6}')
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    make_data(tmp_path / "workspace" / "data")
    pretend_model(tmp_path / "workspace")
    yield tmp_path / "workspace"
    end_runs(tmp_path / "workspace")


@pytest.fixture
def workspace(folder: Path) -> lfdash.Workspace:
    return lfdash.open(folder)


@pytest.fixture
def page(folder: Path) -> Iterator[Services]:
    """A dashboard on the same workspace."""
    services = Services(find_project(), folder)
    services.registry.start()
    yield services
    services.close()


def started(workspace: lfdash.Workspace, **changes: Any) -> lfdash.Run:
    """A run of the demo that must not be refused."""
    run = workspace.start(PRESET, changes)
    assert isinstance(run, lfdash.Run), run
    return run


def test_opening_makes_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lfdash.open(tmp_path / "a").path == tmp_path / "a"
    assert (tmp_path / "a" / "deepspeed" / "ds_z2_config.json").exists()
    monkeypatch.setenv("LFDASH_WORKSPACE", str(tmp_path / "b"))
    assert lfdash.open().path == tmp_path / "b"
    monkeypatch.delenv("LFDASH_WORKSPACE")
    monkeypatch.chdir(tmp_path)
    assert lfdash.open().path == tmp_path / "workspace"
    open_workspace(tmp_path / "c", create=False)
    assert not (tmp_path / "c").exists()


def test_names_of_the_package() -> None:
    assert issubclass(lfdash.Refused, object) and lfdash.Problem.__module__ == "lfdash.outcomes"
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        attrgetter("nope")(lfdash)
    assert repr(lfdash.Workspace).endswith("facade.Workspace'>")


@pytest.mark.parametrize("form", ["path", "text", "mapping", "name"])
def test_a_configuration_is_a_path_a_text_or_a_mapping(workspace: lfdash.Workspace, form: str) -> None:
    forms = {"path": PRESET, "text": PRESET.read_text(), "mapping": DEMO, "name": str(PRESET)}
    assert workspace.check(forms[form]) == ()
    plan = workspace.preview(forms[form], {"output_dir": "saves/demo-llama/lora/x"})
    assert not isinstance(plan, lfdash.Refused)
    args = yaml.safe_load(plan.files["training_args.yaml"])
    assert args == {**DEMO, "output_dir": "saves/demo-llama/lora/x"}


def test_problems_are_values(workspace: lfdash.Workspace) -> None:
    problems = workspace.check(DEMO, {"dataset": "gone"})
    assert isinstance(problems, tuple) and [problem.code for problem in problems] == ["dataset_unknown"]
    refused = workspace.start(DEMO, {"dataset": "gone"})
    assert isinstance(refused, lfdash.Refused)
    assert (refused.code, refused.params["problems"]) == ("problems", problems)
    broken = workspace.check("a: [")
    assert isinstance(broken, lfdash.Refused) and broken.code == "not_opened"
    missing = workspace.preview("gone.yaml")
    assert isinstance(missing, lfdash.Refused) and missing.code == "config_unreadable"
    assert len(workspace.runs()) == 0


def test_what_is_previewed_is_what_is_run(workspace: lfdash.Workspace, folder: Path) -> None:
    changes = {"max_steps": 2, "output_dir": "saves/demo-llama/lora/x"}
    plan = workspace.preview(PRESET, changes)
    assert not isinstance(plan, lfdash.Refused)
    run = started(workspace, **changes)
    assert (folder / "saves/demo-llama/lora/x/training_args.yaml").read_text() == plan.files["training_args.yaml"]
    assert run.view.record is not None and run.view.record.last.argv == plan.argv


def test_a_run_from_its_start_to_its_end(workspace: lfdash.Workspace, folder: Path) -> None:
    run = started(workspace, max_steps=2)
    assert run.state in (RunState.STARTING, RunState.RUNNING, RunState.SUCCEEDED)
    assert run.name.startswith("demo-") and run.path == folder / "saves" / "demo-llama" / "lora" / run.name
    assert run.wait(30) is RunState.SUCCEEDED
    metrics = run.metrics()
    assert list(metrics["step"]) == [1, 2, 3, 4, 5, 6] and metrics["step"].dtype == "int64"
    assert metrics["loss"].iloc[-1] == 5 / 6 and metrics["tokens_per_s"].isna().sum() == 1
    assert run.log().startswith("started\nready") and run.log(6) == ""
    settings = run.settings()
    assert settings is not None and settings["max_steps"] == 2
    assert run.diagnosis() is None
    refused = run.stop()
    assert refused is not None and refused.code == "not_running"
    assert isinstance(run.resume(), lfdash.Refused)
    assert repr(run) == f"<lfdash.Run {run.id!r} of {str(folder)!r}>"


def test_all_runs_as_a_table(workspace: lfdash.Workspace) -> None:
    assert list(workspace.runs().columns) == COLUMNS and len(workspace.runs()) == 0
    run = started(workspace)
    run.wait(30)
    queued = workspace.queue(PRESET)
    assert isinstance(queued, lfdash.Run)
    table = workspace.runs()
    assert list(table.columns) == COLUMNS and list(table["state"]) == ["QUEUED", "SUCCEEDED"]
    assert table["started"].dt.tz is not None and table["started"].isna().tolist() == [True, False]
    row = table.set_index("id").loc[run.id]
    assert (row["name"], row["loss"], row["step"], row["folder"]) == (run.name, 5 / 6, 6, run.view.output_dir)


def test_a_run_by_id_name_and_folder(workspace: lfdash.Workspace, folder: Path) -> None:
    run = started(workspace)
    run.wait(30)
    for word in (run.id, run.name, run.path, run.view.output_dir):
        found = workspace.run(word)
        assert isinstance(found, lfdash.Run) and found.id == run.id
    unknown = workspace.run("nope")
    assert isinstance(unknown, lfdash.Refused) and unknown.code == "run_unknown"
    shutil.copytree(run.path, folder / "saves" / "other" / "lora" / run.name)
    several = workspace.run(run.name)
    assert isinstance(several, lfdash.Refused) and several.code == "run_ambiguous"
    assert run.id in several.params["runs"] and len(several.params["runs"]) == 2
    shutil.rmtree(folder / "saves")
    with pytest.raises(RunGone, match=run.id):
        print(run.state)


def test_a_failed_run_and_its_next_attempt(workspace: lfdash.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_ARGS", '{"fail": "error"}')
    run = started(workspace)
    assert run.wait(30) is RunState.FAILED
    cause = run.diagnosis()
    assert cause is not None and cause.id == "unknown_dataset"
    (run.path / "checkpoint-3").mkdir()
    monkeypatch.setenv("FAKE_ARGS", '{"steps": 6}')
    assert run.resume(5) == lfdash.Refused("no_checkpoint", {"step": 5, "known": "3"})
    again = run.resume()
    assert isinstance(again, lfdash.Run) and again.id == run.id
    assert again.wait(30) is RunState.SUCCEEDED and again.view.attempt == 2


def test_an_attempt_that_waits_is_listed_once(
    workspace: lfdash.Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page can queue a resume: then the folder is there, and the job waits."""
    monkeypatch.setenv("FAKE_ARGS", '{"fail": "error"}')
    run = started(workspace)
    run.wait(30)
    prepared = prepare_resume(workspace.services, run.view, 3, "by a test")
    assert prepared is not None and isinstance(submit(workspace.services, prepared, "queue"), Queued)
    (view,) = workspace.look()
    assert (view.run_id, view.state, view.attempt) == (run.id, RunState.QUEUED, 2)
    found = workspace.run(run.name)
    assert isinstance(found, lfdash.Run) and found.state is RunState.QUEUED
    again = run.resume()
    assert isinstance(again, lfdash.Refused) and again.code == "resume_alive"


def test_a_page_and_a_program_see_each_others_runs(
    workspace: lfdash.Workspace, page: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_ARGS", SLOW)
    run = started(workspace)
    wait_for(lambda: (view := page.registry.get(run.id)) is not None and view.state is RunState.RUNNING)
    wait_for(lambda: "ready" in run.log())
    assert page.registry.stop(run.id, "graceful") is None
    assert run.wait(30) is RunState.STOPPED

    beside = lfdash.Workspace(page)  # the page's own services, as its buttons use them
    other = started(beside)
    seen = workspace.run(other.id)
    assert isinstance(seen, lfdash.Run)
    wait_for(lambda: "ready" in seen.log())
    assert seen.stop() is None
    assert wait_end(page.registry, other.id).state is RunState.STOPPED


def test_what_runs_already_is_not_trodden_on(
    workspace: lfdash.Workspace, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setenv("FAKE_ARGS", SLOW)
    started(workspace)
    busy = open_workspace(folder).start(PRESET)
    assert isinstance(busy, lfdash.Refused) and busy.code == "busy"
    assert isinstance(open_workspace(folder).start(PRESET, beside=True), lfdash.Run)


def test_a_queued_job_is_the_dashboards_to_start(workspace: lfdash.Workspace, page: Services) -> None:
    run = workspace.queue(PRESET)
    assert isinstance(run, lfdash.Run)
    assert run.wait(30) is RunState.SUCCEEDED


def test_a_fresh_name_that_was_taken_meanwhile_is_replaced(
    workspace: lfdash.Workspace, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "saves" / "demo-llama" / "lora" / "a").mkdir(parents=True)
    names = iter(["a", "a", "b"])
    monkeypatch.setattr("lfdash.engine.opening.fresh_name", lambda _services, _stem: next(names))
    assert started(workspace).name == "b"
    taken = workspace.start(PRESET, {"output_dir": "saves/demo-llama/lora/a"})
    assert isinstance(taken, lfdash.Refused) and [p.code for p in taken.params["problems"]] == ["name_taken"]


def test_what_is_known_of_llamafactory_is_taken_from_the_workspace(folder: Path) -> None:
    known = (ROOT / "configs" / "upstream.json").read_text().replace('"templates": [', '"templates": ["mine", ', 1)
    (folder / ".lfdash").mkdir()
    (folder / ".lfdash" / f"{stem(Cli('', sys.executable))}-0.json").write_text(known)
    assert lfdash.open(folder).check(DEMO, {"template": "mine"}) == ()


def test_what_is_known_of_another_environment_is_not_taken(folder: Path) -> None:
    known = (ROOT / "configs" / "upstream.json").read_text().replace('"templates": [', '"templates": ["mine", ', 1)
    (folder / ".lfdash").mkdir()
    (folder / ".lfdash" / f"{stem(Cli('', '/another/python'))}-0.json").write_text(known)
    found = lfdash.open(folder).check(DEMO, {"template": "mine"})
    assert not isinstance(found, lfdash.Refused) and [problem.code for problem in found] == ["template_unknown"]


@pytest.mark.parametrize("version", ["0.9.3", None])
def test_another_version_is_asked_once_and_told_by_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch, version: str | None
) -> None:
    """A version that is the snapshot's (None) is not asked at all."""
    snapshot = lfdash.open(folder).services.upstream
    asked = []
    upstream = replace(
        snapshot, llamafactory=version or snapshot.llamafactory, source="installed",
        arguments={name: item for name, item in snapshot.arguments.items() if name != "use_dft_loss"},
    )
    packages = {"llamafactory": upstream.llamafactory, "transformers": upstream.transformers, "matplotlib": "3"}
    monkeypatch.setattr("lfdash.llamafactory.probe.identity", lambda cli: json.dumps({"packages": packages}))
    monkeypatch.setattr("lfdash.llamafactory.probe.probe", lambda cli, private: asked.append(cli) or upstream)
    workspace = lfdash.open(folder)
    for _ in range(2):
        found = workspace.check(DEMO, {"use_dft_loss": True})
        assert not isinstance(found, lfdash.Refused)
        assert [problem.code for problem in found] == (["argument_of_other"] if version else [])
    assert len(asked) == (1 if version else 0)
    if version:
        assert found[0].params == {
            "name": "use_dft_loss", "package": "LLaMA-Factory", "versions": "0.9.4, 0.9.5", "installed": "0.9.3",
        }


def test_data(workspace: lfdash.Workspace, folder: Path, tmp_path: Path) -> None:
    report = workspace.data("demo_sft")
    assert not isinstance(report, lfdash.Refused) and (report.rows, report.usable) == (600, 600)
    shutil.copy(folder / "data" / "demo_pt.json", tmp_path / "mine.json")
    mine = workspace.data(tmp_path / "mine.json", "pt")
    assert not isinstance(mine, lfdash.Refused) and (mine.format, mine.usable) == ("text", 150)
    nothing = workspace.data("nope")
    assert isinstance(nothing, lfdash.Refused) and nothing.code == "data_unknown"
    with pytest.raises(ValueError, match="no stage 'x'"):
        workspace.data("demo_sft", "x")


def test_the_example_of_the_readme(folder: Path) -> None:
    """As it stands there, in a folder that has the demo's data and the presets; in an interpreter of its own."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").split("## From Python")[1]
    code = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0]
    (folder.parent / "configs").symlink_to(ROOT / "configs")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder.parent, capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert "SUCCEEDED" in done.stdout and "loss" in done.stdout
