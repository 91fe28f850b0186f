"""What is done to runs that are over, and what keeps a folder where it is."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from lfdash.engine.archive import naming
from lfdash.engine.registry import ProcessRegistry
from lfdash.launchers.base import Launched
from lfdash.launchers.fake import FakeLauncher
from lfdash.outcomes import Refused
from lfdash.queue.store import Queued
from lfdash.runs.record import RunState
from lfdash.runs.view import RunView
from lfdash.workspace.allowed_paths import Roots
from tests.support.finished import Runs, code, renamed
from tests.support.runs import launch, over, plan_for, record_for


@pytest.fixture
def runs(workspace: Path) -> Runs:
    return Runs(workspace)


def test_a_run_that_is_over_goes_to_the_trash_as_it_is(workspace: Path) -> None:
    registry, _, handle = over(workspace)
    (handle.paths.root / "adapter.bin").write_text("weights")
    assert registry.archive.discard(handle.run_id) is None
    assert registry.get(handle.run_id) is None and not handle.paths.root.exists()
    (kept,) = (workspace / ".lfdash" / "trash").glob("r1.*")
    assert (kept / "adapter.bin").read_text() == "weights"
    launch(registry, plan_for(workspace))  # the name is free again
    refused = registry.archive.discard(handle.run_id)
    assert isinstance(refused, Refused) and refused.code == "alive"
    assert isinstance(registry.archive.discard("nobody"), Refused)


def test_names_of_folders_in_texts() -> None:
    found = naming("saves/m/lora/r1+x")
    assert found.search("a: saves/m/lora/r1+x\n") and found.search("'saves/m/lora/r1+x'")
    assert not found.search("saves/m/lora/r11x") and not found.search("saves/m/lora/r1+x2")


def test_a_run_that_is_alive_or_needed_stays(runs: Runs) -> None:
    runs.add()
    adapter = {"adapter_name_or_path": "saves/m/lora/r1/checkpoint-5"}
    handle = launch(runs.registry, plan_for(runs.root, name="r2", **adapter))
    runs.fake.begin(handle)
    assert runs.registry.archive.discard("id-r2") == Refused("alive", {"run": "r2"})
    assert runs.registry.archive.discard("id-r1") == Refused("in_use", {"run": "r1", "user": "r2"})
    runs.fake.end(handle, 0)
    assert runs.registry.archive.discard("id-r1") is None
    assert code(runs.registry.archive.discard("nobody")) == "unknown"


def test_a_run_of_the_plain_cli_goes_when_its_folder_was_quiet_for_an_hour(runs: Runs) -> None:
    folder = runs.root / "saves" / "m" / "lora" / "plain"
    (folder / "checkpoint-1").mkdir(parents=True)
    (folder / "trainer_log.jsonl").write_text('{"current_steps": 2, "total_steps": 2}\n')
    os.utime(folder / "trainer_log.jsonl", (time.time() - 600,) * 2)
    runs.registry.refresh()
    (view,) = runs.registry.snapshot()
    assert view.state is RunState.SUCCEEDED
    assert runs.registry.archive.discard(view.run_id) == Refused("plain_fresh", {"run": "plain"})
    old = time.time() - 4000
    os.utime(folder / "trainer_log.jsonl", (old, old))
    assert code(runs.registry.archive.discard(view.run_id)) == "plain_fresh"  # a checkpoint was written just now
    os.utime(folder / "checkpoint-1", (old, old))
    (folder / "notes.json").write_text('{"note": "ours", "tags": []}')
    assert runs.registry.archive.discard(view.run_id) is None
    (item,) = runs.trash.items()
    assert runs.registry.archive.restore(item.name) is None
    assert [view.run_id for view in runs.registry.snapshot()] == [view.run_id]


def test_a_run_that_is_alive_or_unknown(runs: Runs) -> None:
    handle = launch(runs.registry, plan_for(runs.root))
    runs.fake.begin(handle)
    assert runs.registry.archive.rename("id-r1", "r2") == Refused("alive", {"run": "r1"})
    assert code(runs.registry.archive.rename("nobody", "r2")) == "unknown"


@pytest.mark.parametrize(
    ("place", "refused"),
    [("saves/m/lora/r1", True), ("saves/m/lora/r1/checkpoint-5", True), ("saves/m/lora/r0,saves/m/lora/r1", True),
     ("{root}/saves/m/lora/r1", True), ("./saves/m/lora/r1", True), ("saves/m/lora/r1-2", False),
     ("saves/m/lora/r11", False), ("saves/m/lora/r1.old", False), ("other-saves/m/lora/r1", False),
     ("saves/m/lora", False)],
)
def test_a_folder_that_a_waiting_job_or_a_live_run_names(runs: Runs, place: str, refused: bool) -> None:
    runs.add()
    place = place.format(root=runs.root)
    plan = plan_for(runs.root, name="waiting", adapter_name_or_path=place)
    assert isinstance(runs.registry.enqueue(plan, record_for(plan)), Queued)
    answer = runs.registry.archive.rename("id-r1", "r2")
    assert (answer == Refused("in_use", {"run": "r1", "user": "waiting"})) is refused
    if not refused:
        renamed(runs, "r1")
    assert runs.registry.queue.cancel("id-waiting") is None
    handle = launch(runs.registry, plan_for(runs.root, name="live", adapter_name_or_path=place))
    runs.fake.begin(handle)
    assert (code(runs.registry.archive.rename("id-r1", "r3")) == "in_use") is refused


def test_a_run_whose_resume_waits_stays(runs: Runs) -> None:
    runs.add()
    view = runs.view()
    plan = plan_for(runs.root, resume_from_checkpoint="saves/m/lora/r1/checkpoint-5")
    plan = type(plan)(**{**vars(plan), "attempt": 2})
    assert isinstance(runs.registry.enqueue(plan, view.record.resumed(plan)), Queued)
    assert code(runs.registry.archive.rename("id-r1", "r2")) == "alive"
    assert code(runs.registry.archive.discard("id-r1")) == "alive"


@pytest.mark.parametrize("what", ["discard", "rename"])
def test_a_run_that_was_a_job_is_not_used_by_itself_and_starts_no_second_time(runs: Runs, what: str) -> None:
    """Whoever started it from the queue died before the job's file was removed."""
    plan = plan_for(runs.root)
    assert isinstance(runs.registry.enqueue(plan, record_for(plan)), Queued)
    outcome = runs.registry.dispatcher.start_now("id-r1")
    assert isinstance(outcome, Launched) and runs.registry.queue.jobs.get("id-r1") is not None
    runs.fake.begin(outcome.handle)
    runs.fake.end(outcome.handle, 0)
    again = runs.again()
    assert again.view().state is RunState.SUCCEEDED
    if what == "discard":
        assert again.registry.archive.discard("id-r1") is None
    else:
        renamed(again, "r2")
    again.registry.refresh()
    again.registry.dispatcher.advance()
    assert again.registry.queue.jobs.entries() == () and not outcome.handle.paths.root.exists()


@pytest.mark.parametrize("name", ["elsewhere", "trash"])
def test_a_trash_behind_a_link_is_named_and_keeps_nobody_from_renaming(runs: Runs, tmp_path: Path, name: str) -> None:
    runs.add()
    (tmp_path / name).mkdir()
    runs.trash.folder.symlink_to(tmp_path / name)
    told = {"path": ".lfdash/trash", "target": str(tmp_path / name)}
    assert runs.registry.archive.discard("id-r1") == Refused("trash_outside", told)
    assert renamed(runs, "r2").path.is_dir() and not list((tmp_path / name).iterdir())


def test_a_run_outside_of_the_allowed_folders_is_not_renamed(tmp_path: Path) -> None:
    """A note that somebody else wrote may name any folder."""
    workspace, outside = tmp_path / "workspace", tmp_path / "outside"
    workspace.mkdir()
    outside.mkdir()
    wide = ProcessRegistry(workspace, FakeLauncher(), roots=Roots.of(workspace, [outside]))
    handle = launch(wide, plan_for(workspace, output_dir=str(outside / "r1")))
    fake = wide.launchers.default
    assert isinstance(fake, FakeLauncher)
    fake.end(handle, 0)
    narrow = ProcessRegistry(workspace, FakeLauncher())
    assert code(narrow.archive.rename("id-r1", "r2")) == "not_ours" and (outside / "r1").is_dir()
    assert code(narrow.archive.discard("id-r1")) == "not_ours"
    assert isinstance(wide.archive.rename("id-r1", "r2"), RunView) and (outside / "r2").is_dir()


@pytest.mark.parametrize("spelled", ["saves/m//lora/r1", "saves/m/./lora/r1", "saves/m/lora/../lora/r1/checkpoint-5"])
def test_a_folder_that_is_needed_by_another_spelling_stays(runs: Runs, spelled: str) -> None:
    runs.add()
    handle = launch(runs.registry, plan_for(runs.root, name="r2", adapter_name_or_path=spelled))
    runs.fake.begin(handle)
    assert runs.registry.archive.discard("id-r1") == Refused("in_use", {"run": "r1", "user": "r2"})
