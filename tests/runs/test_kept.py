"""What was found is kept: a later process finds the same, and reads only what has changed."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lfdash.engine.registry import ProcessRegistry
from lfdash.launchers.fake import FakeLauncher
from lfdash.runs import kept, scan
from lfdash.runs.kept import ENCODER, NOTHING, Content, Kept, KeptViews, can_be_kept
from lfdash.runs.places import SETTLE_S
from lfdash.runs.record import RunState
from lfdash.runs.scan import RunScan
from tests.support.many import add_plain, add_run, write_notes


class Bench:
    """A workspace with runs of every end, a clock, and which folders were read."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.now, self.read = root, 1000.0, list[str]()
        original = scan.look

        def counted(workspace: Path, path: Path, poll: Any) -> Any:
            self.read.append(path.name)
            return original(workspace, path, poll)

        monkeypatch.setattr(scan, "look", counted)
        for number, state in enumerate((RunState.SUCCEEDED, RunState.FAILED, RunState.STOPPED)):
            add_run(root, f"r{number}", state=state, steps=20, age=9000, checkpoints=(10,))
        add_plain(root, "cli")

    def scan(self) -> RunScan:
        watcher = ProcessRegistry(self.root, FakeLauncher(), interval=60).watcher
        return RunScan(self.root, watcher.poll, clock=lambda: self.now)

    def settled(self) -> RunScan:
        """A scan that has looked until nothing is so young that it may still change unseen."""
        found = self.scan()
        for _ in range(4):
            found.look()
            self.now += SETTLE_S
        return found

    def again(self, before: Kept) -> RunScan:
        """The first look of a later process."""
        found = self.scan()
        found.take(before)
        self.read.clear()
        found.look()
        return found


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    root = tmp_path / "workspace"
    root.mkdir()
    return Bench(root, monkeypatch)


def through_disk(bench: Bench, found: Kept) -> Kept:
    KeptViews(bench.root).save(found)
    return KeptViews(bench.root).load()


def test_a_later_process_finds_the_same_and_reads_nothing(bench: Bench) -> None:
    first = bench.settled()
    before = through_disk(bench, first.keep())
    assert before == first.keep() and len(before.runs) == 3
    second = bench.again(before)
    assert second.views == first.views and bench.read == ["cli"]  # nobody says when a plain run ends


@pytest.mark.parametrize("name", ["run.json", "exit.json", "trainer_log.jsonl", "notes.json", "new"])
def test_what_has_changed_is_read_again(bench: Bench, name: str) -> None:
    before = bench.settled().keep()
    folder = bench.root / "saves/demo-llama/lora/r0"
    path = folder / name
    if name == "notes.json":
        write_notes(scan.RunPaths(folder), "later")
    else:
        path.write_text((path.read_text() if path.exists() else "") + "\n")
        os.utime(path, (5, 5))
    second = bench.again(before)
    assert sorted(bench.read) == ["cli", "r0"]
    fresh = bench.scan()
    fresh.look()
    assert second.views == fresh.views


def test_runs_that_came_went_or_were_moved_are_found(bench: Bench) -> None:
    before = bench.settled().keep()
    saves = bench.root / "saves/demo-llama/lora"
    (saves / "r0").rename(saves / "moved")
    (saves / "r1" / "run.json").unlink()
    (saves / "r1" / "trainer_log.jsonl").unlink()
    add_run(bench.root, "r9")
    second = bench.again(before)
    fresh = bench.scan()
    fresh.look()
    assert second.views == fresh.views and {view.name for view in second.views} == {"moved", "r2", "r9", "cli"}


def test_a_view_is_never_taken_for_another_folder(bench: Bench) -> None:
    before = bench.settled().keep()
    (one, other, *_) = before.runs
    false = replace(before.runs[one], view=before.runs[other].view)
    second = bench.again(Kept({one: false}, before.folders))
    assert Path(one).name in bench.read and len({view.path for view in second.views}) == 4


def test_only_what_stays_as_it_is_is_kept(bench: Bench) -> None:
    found = bench.scan()
    found.look()
    assert found.keep().runs == {}  # a later change might not show in its time
    view = next(view for view in bench.settled().views if view.record)
    assert can_be_kept(view)
    for change in ({"state": RunState.RUNNING}, {"state": RunState.LOST}, {"record": None}, {"unseen": "x"},
        {"others": (1,)}):
        assert not can_be_kept(replace(view, **change))  # type: ignore[arg-type]


def test_a_file_that_does_not_fit_is_nothing(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = bench.settled().keep()
    views = KeptViews(bench.root)
    file = bench.root / ".lfdash" / "views.bin"
    assert views.load() == NOTHING
    views.save(found)
    whole = file.read_bytes()
    for content in (b"", b"\xc1", whole[:-5], ENCODER.encode({"of": 1}), ENCODER.encode(Content(("0", "x"), found))):
        file.write_bytes(content)
        assert views.load() == NOTHING
    file.write_bytes(whole)
    assert views.load() == found
    monkeypatch.setattr(kept, "LARGEST_FILE", 10)
    assert views.load() == NOTHING
    monkeypatch.undo()
    other = tmp_path / "other"
    bench.root.rename(other)
    assert KeptViews(other).load() == NOTHING  # its views say where the runs lay


def test_a_workspace_that_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    KeptViews(tmp_path / "gone", lambda: False).save(NOTHING)
    KeptViews(tmp_path / "gone").save(NOTHING)
    assert not (tmp_path / "gone").exists()


def test_the_registry_keeps_what_it_found(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "SETTLE_S", 0.0)
    first = ProcessRegistry(bench.root, FakeLauncher(), interval=60)
    first.start()
    first.refresh()
    first.close()
    bench.read.clear()
    second = ProcessRegistry(bench.root, FakeLauncher(), interval=60)
    second.start()
    second.close()
    assert second.snapshot() == first.snapshot() and bench.read == ["cli"]
    assert msgspec.msgpack.decode((bench.root / ".lfdash" / "views.bin").read_bytes())["of"][1] == str(bench.root)
