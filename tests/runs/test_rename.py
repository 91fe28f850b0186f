"""A run that is over gets another name: folder and record, and everything that knew the old ones."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lfdash.engine.registry import ProcessRegistry
from lfdash.engine.resume import prepare_resume
from lfdash.engine.services import Project, Services
from lfdash.jobs.yaml_format import load
from lfdash.launchers.base import Launched
from lfdash.launchers.local import LocalLauncher
from lfdash.outcomes import Refused
from lfdash.queue.store import Queued
from lfdash.runs import notes
from lfdash.runs.notes import Notes
from lfdash.runs.paths import RunPaths
from lfdash.runs.record import RunRecord, RunState
from lfdash.runs.view import RunView
from tests.support import ROOT
from tests.support.died import every_death
from tests.support.finished import Runs, code, renamed
from tests.support.runs import launch, plan_for, record_for, shim_of, wait_end


def test_folder_record_and_view_have_the_new_name_and_nothing_else_changed(runs: Runs) -> None:
    old = runs.add().root
    notes.save(RunPaths(old), Notes("keep me", ("tag",)))
    before = runs.view()
    found = renamed(runs, "better name")
    assert (found.run_id, found.name, found.output_dir) == ("id-r1", "better name", "saves/m/lora/bettername")
    assert not old.exists() and found.state is RunState.SUCCEEDED and found.notes == Notes("keep me", ("tag",))
    assert (found.path / "checkpoint-5" / "model.bin").exists()
    record = RunRecord.from_json(found.paths.record.read_text())
    assert record.name == "better name"
    assert record.attempts == before.record.attempts
    assert runs.again().view().name == "better name"


def test_only_the_spaces_of_a_name_can_change(runs: Runs) -> None:
    runs.add()
    found = renamed(runs, "r 1")
    assert (found.name, found.path.name) == ("r 1", "r1")
    assert renamed(runs, "r1").name == "r1"


@pytest.mark.parametrize(
    "name", ["", " ", "a/b", "../r2", "/etc", "..", ".hidden", "-x", "~x", " r2", "r2 ", "a\\b", "a\nb", "\u202er2",
             "x" * 201, "ж" * 101]
)
def test_names_that_are_no_folder(runs: Runs, name: str) -> None:
    old = runs.add().root
    assert code(runs.registry.archive.rename("id-r1", name)) == "rename_bad"
    assert runs.view().path == old


def test_a_name_that_is_taken_by_a_run_a_file_or_a_broken_link(runs: Runs) -> None:
    old = runs.add().root
    runs.add("r2")
    old.with_name("file").touch()
    old.with_name("empty").mkdir()
    old.with_name("link").symlink_to("nowhere")
    for name in ("r2", "file", "empty", "link", "em pty"):
        answer = runs.registry.archive.rename("id-r1", name)
        assert answer == Refused("rename_taken", {"value": f"saves/m/lora/{name.replace(' ', '')}"})
    assert runs.view().path == old and runs.view("id-r2").path == old.with_name("r2")


def test_a_folder_that_a_waiting_job_will_have_is_taken(runs: Runs) -> None:
    paths = runs.add()
    runs.add("r2")
    runs.registry.archive.discard("id-r1")
    plan = plan_for(runs.root)
    assert isinstance(runs.registry.enqueue(plan, record_for(plan)), Queued)
    assert code(runs.registry.archive.rename("id-r2", "r1")) == "rename_taken"
    assert code(runs.registry.archive.restore(runs.trash.items()[0].name)) == "place_taken"
    assert not paths.root.exists()


def test_of_a_run_and_its_copy_the_renamed_one_is_still_the_run(runs: Runs) -> None:
    """Its copy comes before it by name, and must not take its id."""
    old = runs.add().root
    shutil.copytree(old, old.with_name("a-copy"))
    renamed(runs, "z")
    views = {view.path.name: view.run_id for view in look(runs)}
    assert views["z"] == "id-r1" and views["a-copy"] != "id-r1"
    copied = runs.registry.archive.rename(views["a-copy"], "b-copy")
    assert isinstance(copied, RunView) and copied.name == "b-copy"
    assert {view.path.name: view.run_id for view in look(runs)}["z"] == "id-r1"


def test_a_read_that_fails_leaves_the_run_where_it_is(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what its control files say, it would be taken for a copy of itself under its new name."""
    old = runs.add().root

    def broken(path: Path, **_more: object) -> dict[str, object]:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    monkeypatch.setattr("lfdash.runs.rename.look_json", broken)
    assert code(runs.registry.archive.rename("id-r1", "r2")) == "failed"
    monkeypatch.undo()
    assert runs.view().path == old and not old.with_name("r2").exists()


def look(runs: Runs) -> tuple[RunView, ...]:
    """What a process that was just started lists."""
    registry = runs.again().registry
    registry.refresh()
    return registry.snapshot()


def test_a_run_outside_saves_is_found_under_its_new_name(runs: Runs, tmp_path: Path) -> None:
    old = runs.add(output_dir=str(tmp_path / "disk" / "r1")).root
    found = renamed(runs, "r2")
    assert found.path == old.with_name("r2") and runs.again().view().path == found.path
    assert renamed(runs, "r3").name == "r3"
    assert runs.again().view().path == old.with_name("r3")
    assert os.listdir(runs.root / ".lfdash" / "elsewhere") == ["id-r1"]
    assert runs.registry.archive.discard("id-r1") is None
    assert runs.registry.archive.restore(runs.trash.items()[0].name) is None
    assert runs.again().view().name == "r3"


def test_a_run_of_the_plain_cli(runs: Runs) -> None:
    folder = runs.root / "saves" / "plain"
    folder.mkdir(parents=True)
    log = folder / "trainer_log.jsonl"
    log.write_text('{"current_steps": 2, "total_steps": 2}\n')
    runs.registry.refresh()
    (view,) = runs.registry.snapshot()
    assert code(runs.registry.archive.rename(view.run_id, "other")) == "alive"
    os.utime(log, (1, 1))
    found = renamed(runs, "other", view.run_id)
    assert (found.name, found.record) == ("other", None)
    assert [view.path.name for view in runs.registry.snapshot()] == ["other"]


@pytest.mark.parametrize(("number", "refused"), [(errno.EROFS, "readonly"), (errno.ENOSPC, "disk_kept")])
def test_a_disk_that_does_not_let_it(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, number: int, refused: str
) -> None:
    old = runs.add().root

    def broken(*_args: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "rename", broken)
    assert code(runs.registry.archive.rename("id-r1", "r2")) == refused
    monkeypatch.undo()
    assert runs.view().path == old


def test_a_record_that_cannot_be_written_leaves_a_run_named_by_its_folder(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.add()

    def full(_point: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("lfdash.files.hit", full)
    assert renamed(runs, "r2").name == "r2"
    assert runs.again().view().name == "r2"


@pytest.mark.parametrize("outside", [False, True])
def test_who_dies_while_a_run_is_renamed_leaves_one_whole_run(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, outside: bool
) -> None:
    paths = runs.add(output_dir=str(tmp_path / "disk" / "r1") if outside else None)
    deaths = 0
    for where in every_death(monkeypatch, lambda: runs.again().registry.archive.rename("id-r1", "new name")):
        deaths += bool(where)
        other = runs.again()
        (view,) = (other.registry.refresh(), other.registry.snapshot())[1]
        assert view.run_id == "id-r1" and view.state is RunState.SUCCEEDED
        assert view.name in ("r1", "newname", "new name") and view.path.name == view.name.replace(" ", "")
        assert (view.path / "checkpoint-5" / "model.bin").exists()
        assert isinstance(other.registry.archive.rename("id-r1", "r1"), RunView)  # as it was, for the next death
        assert other.view().path == paths.root
    assert deaths > 4


# -- what goes on from a renamed run ----------------------------------------------------------------------


def services(tmp_path: Path) -> Services:
    found = Services(Project(ROOT), tmp_path / "workspace")
    found.registry.refresh()
    return found


def test_a_resume_goes_on_in_the_new_folder(tmp_path: Path) -> None:
    """The stored arguments name the folder that the run was started in."""
    shared = services(tmp_path)
    registry = shared.registry
    plan = plan_for(shared.workspace.root, output_dir="saves/m/lora/r1", steps=3)
    arguments = "output_dir: saves/m/lora/r1\noverwrite_output_dir: true\nsteps: 3\n"
    plan = type(plan)(**{**vars(plan), "files": {"training_args.yaml": arguments}})
    outcome = registry.launch(plan, record_for(plan))
    assert isinstance(outcome, Launched)
    registry.start()
    try:
        view = wait_end(registry, "id-r1")
        (view.path / "checkpoint-2").mkdir()
        found = registry.archive.rename("id-r1", "r2")
        assert isinstance(found, RunView) and found.saved.checkpoints == (2,)
        prepared = prepare_resume(shared, found, 2, "made by a test")
        assert prepared is not None
        resumed = prepared.plan
        args = load(resumed.files["training_args.yaml"]).args
        assert args == {
            "output_dir": "saves/m/lora/r2", "steps": 3, "resume_from_checkpoint": "saves/m/lora/r2/checkpoint-2",
        }
        assert resumed.output_dir == "saves/m/lora/r2" and resumed.env["LLAMABOARD_WORKDIR"] == "saves/m/lora/r2"
        resumed = type(resumed)(**{**vars(resumed), "argv": (plan.argv[0], *resumed.argv[1:])})  # the stand-in CLI
        assert found.record is not None
        again = registry.launch(resumed, found.record.resumed(resumed))
        assert isinstance(again, Launched), again
        view = wait_end(registry, "id-r1")
        assert (view.state, view.attempt, view.name, view.progress.step) == (RunState.SUCCEEDED, 2, "r2", 3)
        assert not (shared.workspace.root / "saves/m/lora/r1").exists()
        assert view.paths.console.read_text().count("ready") == 2
    finally:
        registry.close()


def test_a_run_with_real_processes_is_renamed_right_after_its_end(tmp_path: Path) -> None:
    """Its shim may still be there, having just written how the run ended."""
    root = tmp_path / "workspace"
    root.mkdir()
    registry: Any = ProcessRegistry(root, LocalLauncher(), interval=0.01)
    registry.start()
    try:
        for number in range(5):
            name = f"r{number}"
            handle = launch(registry, plan_for(root, name=name, steps=1))
            wait_end(registry, handle.run_id)
            shim = shim_of(registry, handle)
            found = registry.archive.rename(handle.run_id, f"{name}-renamed")
            assert isinstance(found, RunView) and found.state is RunState.SUCCEEDED
            assert shim.returncode is not None  # no zombie stays
            assert found.paths.attempt(1).shim_log.read_text() == ""
            assert not (root / "saves/m/lora" / name).exists()
        handle = launch(registry, plan_for(root, name="slow", steps=1))
        wait_end(registry, handle.run_id)
        slow = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(1)"])
        registry.launchers.default._shims[handle] = slow  # a shim that takes its time to end
        assert isinstance(registry.archive.rename(handle.run_id, "slow-renamed"), RunView)
        assert slow.returncode == 0
    finally:
        registry.close()
