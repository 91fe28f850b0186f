"""Accepted means found: whatever output folder is taken, a fresh dashboard lists the run."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from lfdash.engine.registry import ProcessRegistry
from lfdash.launchers.base import Launched
from lfdash.launchers.fake import FakeLauncher
from lfdash.outcomes import Refused
from lfdash.queue.store import Queued, QueueSettings
from lfdash.runs.record import RunState
from lfdash.workspace.allowed_paths import Roots
from tests.support.runs import plan_for, record_for

PARTS = ("m", "lora", ".hidden", "checkpoint-1", "attempts", "runs", "host", "link", "out", "run.json", "wandb",
         "trainer_log.jsonl", "saves", ".lfdash", "a b", "модель", "x" * 200, "..", ".", "deep")


def prepared(tmp_path: Path) -> tuple[Path, Roots]:
    """A workspace with a run, a plain run above others, links, and a folder that may be written to outside."""
    workspace, outside = tmp_path / "workspace", tmp_path / "outside"
    (workspace / "saves" / "m").mkdir(parents=True)
    outside.mkdir()
    (workspace / "saves" / "m" / "link").symlink_to(outside)
    (workspace / "link").symlink_to(outside)
    roots = Roots.of(workspace, [outside])
    registry = ProcessRegistry(workspace, FakeLauncher(), roots=roots)
    plan = plan_for(workspace, name="host", output_dir="saves/m/lora/host")
    assert isinstance(registry.launch(plan, record_for(plan)), Launched)
    (workspace / "saves" / "m" / "trainer_log.jsonl").write_text('{"current_steps": 1, "total_steps": 2}\n')
    (workspace / "saves" / "m" / "run.json").write_text("{")
    return workspace, roots


def some_folder(chance: random.Random, tmp_path: Path) -> str:
    """An output folder as people and files give them."""
    parts = chance.choices(PARTS, k=chance.randint(1, 8))
    first = chance.choice(["saves/m/", "saves/", "saves/m/lora/", "", f"{tmp_path}/outside/", "saves//m/./", "link/"])
    return first + "/".join(parts)


@pytest.mark.parametrize("how", ["start", "queue"])
def test_every_run_that_is_accepted_is_listed(tmp_path: Path, how: str) -> None:
    chance = random.Random(7)
    workspace, roots = prepared(tmp_path)
    registry = ProcessRegistry(workspace, FakeLauncher(), roots=roots)
    registry.queue.set_settings(QueueSettings(slots=64))
    accepted, refused = set(), set[str]()
    for number in range(400):
        plan = plan_for(workspace, name=f"r{number}", cli="cli", output_dir=some_folder(chance, tmp_path))
        outcome = (registry.launch if how == "start" else registry.enqueue)(plan, record_for(plan))
        if isinstance(outcome, Launched | Queued):
            accepted.add(plan.run_id)
        elif outcome.code == "busy":  # all slots are taken: end what goes on
            end_all(registry)
        else:
            refused.add(outcome.code)
    registry.dispatcher.advance()
    fresh = ProcessRegistry(workspace, FakeLauncher(), roots=roots)
    fresh.refresh()
    assert accepted - {view.run_id for view in fresh.snapshot()} == set()
    assert "id-host" in {view.run_id for view in fresh.snapshot()}  # and nobody hides another one
    assert len(accepted) > 50 and {"outside", "exists", "inside_run", "name_reserved"} <= refused, refused


def end_all(registry: ProcessRegistry) -> None:
    """Ends the fake runs that go on."""
    fake = registry.launchers.default
    assert isinstance(fake, FakeLauncher)
    for view in registry.snapshot():
        if view.record is not None and view.state in (RunState.STARTING, RunState.RUNNING):
            fake.end(fake.adopt(view.paths, view.record), 0)
    registry.refresh()


@pytest.mark.parametrize("where", ["saves/m/lora", "saves/m", "saves"])
@pytest.mark.parametrize("what", ["trainer_log.jsonl", "run.json", "a copied run.json"])
def test_a_file_above_runs_hides_none(workspace: Path, where: str, what: str) -> None:
    registry = ProcessRegistry(workspace, FakeLauncher())
    plan = plan_for(workspace, name="live")
    assert isinstance(registry.launch(plan, record_for(plan)), Launched)
    run = workspace / "saves/m/lora/live"
    text = (run / "run.json").read_text() if what.startswith("a copied") else '{"current_steps": 1, "total_steps": 2}\n'
    (workspace / where / what.rpartition(" ")[2]).write_text(text)
    fresh = ProcessRegistry(workspace, FakeLauncher())
    fresh.refresh()
    assert {view.path: view.run_id for view in fresh.snapshot()}[run] == "id-live"
    above = next(view for view in fresh.snapshot() if view.path == workspace / where)
    answer = fresh.archive.discard(above.run_id)
    assert isinstance(answer, Refused) and answer.code in ("holds_runs", "plain_fresh", "alive")
    assert fresh.stop("id-live", "graceful") is None
    second = plan_for(workspace, name="second")
    refused = fresh.launch(second, record_for(second))
    assert isinstance(refused, Refused) and refused.code == "busy" and "live" in refused.params["run"]


def test_a_folder_that_is_named_like_a_file_of_ours_is_refused(workspace: Path) -> None:
    registry = ProcessRegistry(workspace, FakeLauncher())
    for name in ("run.json", "trainer_log.jsonl"):
        plan = plan_for(workspace, name=name)
        refused = Refused("name_reserved", {"path": f"saves/m/lora/{name}"})
        assert registry.launch(plan, record_for(plan)) == refused
        assert registry.enqueue(plan, record_for(plan)) == refused
