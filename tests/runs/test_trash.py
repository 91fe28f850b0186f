"""Deleted runs: to the trash, and back where they came from."""

from __future__ import annotations

import errno
import os
import shutil
import time
from pathlib import Path

import pytest

from lfdash.outcomes import Refused
from lfdash.runs.record import RunState
from lfdash.runs.trash import Emptied
from lfdash.runs.trash_origins import BESIDE
from tests.support.finished import CONTENT, Runs, code
from tests.support.trashed import full_disk, is_whole, other_disk

# -- there and back -------------------------------------------------------------------------------------


def test_a_run_goes_to_the_trash_and_comes_back(runs: Runs) -> None:
    paths = runs.add()
    before = time.time()
    assert runs.registry.archive.discard("id-r1") is None
    assert runs.registry.get("id-r1") is None and not paths.root.exists()
    (item,) = runs.again().trash.items()
    assert (item.run_id, item.title, item.origin) == ("id-r1", "r1", paths.root)
    assert before <= item.discarded <= time.time() and is_whole(item.place)
    assert runs.trash.size(item) >= len(CONTENT)
    assert runs.registry.archive.restore(item.name) is None
    view = runs.registry.get("id-r1")
    assert view is not None and view.state is RunState.SUCCEEDED and is_whole(paths.root)
    assert runs.trash.items() == ()
    assert code(runs.registry.archive.restore(item.name)) == "unknown"


def test_a_place_that_is_taken_is_left_alone(runs: Runs) -> None:
    paths = runs.add()
    runs.registry.archive.discard("id-r1")
    (first,) = runs.trash.items()
    paths.root.mkdir()
    assert runs.registry.archive.restore(first.name) == Refused("place_taken", {"path": "saves/m/lora/r1"})
    paths.root.rmdir()
    runs.add()
    assert code(runs.registry.archive.restore(first.name)) == "place_taken"
    assert is_whole(first.place) and is_whole(paths.root)
    assert runs.registry.archive.discard("id-r1") is None
    second, first_again = runs.trash.items()
    assert first_again == first and second.name != first.name
    assert runs.trash.newest("id-r1") == second


def test_parents_that_are_gone_are_made_again(runs: Runs) -> None:
    paths = runs.add()
    runs.registry.archive.discard("id-r1")
    shutil.rmtree(runs.root / "saves")
    assert runs.registry.archive.restore(runs.trash.items()[0].name) is None
    assert is_whole(paths.root)


def test_a_run_outside_saves_is_found_again(runs: Runs, tmp_path: Path) -> None:
    paths = runs.add(output_dir=str(tmp_path / "disk" / "r1"))
    assert runs.registry.archive.discard("id-r1") is None
    (item,) = runs.trash.items()
    assert item.origin == tmp_path / "disk" / "r1" and item.place.parent == runs.trash.folder
    shutil.rmtree(runs.root / ".lfdash" / "elsewhere")
    assert runs.registry.archive.restore(item.name) is None
    assert runs.again().view() is not None and is_whole(paths.root)


def test_the_workspace_may_be_moved_meanwhile(runs: Runs) -> None:
    runs.add()
    runs.registry.archive.discard("id-r1")
    moved = runs.root.with_name("moved")
    runs.root.rename(moved)
    other = Runs(moved)
    assert other.registry.archive.restore(other.trash.items()[0].name) is None
    assert is_whole(moved / "saves/m/lora/r1")


def test_a_run_on_another_disk_is_never_copied(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = runs.add()
    other_disk(monkeypatch, runs.root / "saves")
    inode = (paths.root / "checkpoint-5" / "model.bin").stat().st_ino
    assert runs.registry.archive.discard("id-r1") is None
    (item,) = runs.again().trash.items()
    assert item.place.parent == paths.root.with_name(BESIDE) and is_whole(item.place)
    assert (item.place / "checkpoint-5" / "model.bin").stat().st_ino == inode
    assert runs.view() is None  # what lies in the hidden folder is no run
    assert runs.registry.archive.restore(item.name) is None
    assert is_whole(paths.root) and not item.place.parent.exists()
    runs.registry.archive.discard("id-r1")
    (item,) = runs.trash.items()
    assert runs.trash.empty([item.name]).freed >= len(CONTENT)
    assert sorted(path.name for path in paths.root.parent.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0 or not Path("/dev/shm").is_dir(), reason="needs a second file system: /dev/shm")
def test_a_run_on_a_real_second_file_system(runs: Runs) -> None:
    disk = Path("/dev/shm") / f"lfdash-test-{os.getpid()}"
    disk.mkdir()
    try:
        if disk.stat().st_dev == runs.root.stat().st_dev:
            pytest.skip("/dev/shm is the file system of the temporary folder")
        paths = runs.add(output_dir=str(disk / "r1"))
        assert runs.registry.archive.discard("id-r1") is None
        (item,) = runs.again().trash.items()
        assert item.place.is_relative_to(disk) and is_whole(item.place)
        assert runs.again().registry.archive.restore(item.name) is None
        assert is_whole(paths.root) and runs.again().view() is not None
    finally:
        shutil.rmtree(disk)


# -- what an older version, or a full disk, left ----------------------------------------------------------


def test_what_an_older_version_moved_here_can_be_taken_back(runs: Runs) -> None:
    paths = runs.add()
    old = runs.trash.folder / "r1.id-r1"
    old.parent.mkdir(parents=True, exist_ok=True)
    paths.root.rename(old)
    (runs.trash.folder / "a configuration.1.yaml").write_text("stage: sft\n")
    (runs.trash.folder / "somebody's folder").mkdir()
    (item,) = runs.trash.items()
    assert (item.origin, item.title) == (paths.root, "r1")
    assert runs.registry.archive.restore(item.name) is None and is_whole(paths.root)
    assert (runs.trash.folder / "a configuration.1.yaml").exists()


def test_on_a_full_disk_a_run_can_be_deleted_and_taken_back(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is when people delete runs. The run's own record tells where it came from."""
    paths = runs.add()
    runs.trash.sweep()  # as at start, when there was room for the folders
    full_disk(monkeypatch)
    assert runs.registry.archive.discard("id-r1") is None
    (item,) = runs.again().trash.items()
    assert item.origin == paths.root and is_whole(item.place)
    assert runs.registry.archive.restore(item.name) is None and is_whole(paths.root)
    runs.registry.archive.discard("id-r1")
    assert runs.trash.empty([item.name]).freed >= len(CONTENT)


def test_on_a_full_disk_a_run_that_nothing_would_lead_back_stays(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.add()
    renamed = runs.registry.archive.rename("id-r1", "r2")
    assert not isinstance(renamed, Refused)
    full_disk(monkeypatch)
    assert code(runs.registry.archive.discard("id-r1")) == "disk_kept"
    assert is_whole(renamed.path) and runs.trash.items() == ()


# -- refusals -------------------------------------------------------------------------------------------


def test_a_folder_whose_name_is_no_text(runs: Runs) -> None:
    folder = runs.root / "saves" / "m" / "lora" / os.fsdecode(b"odd-\xff-\xd0\xb6")
    folder.mkdir(parents=True)
    (folder / "trainer_log.jsonl").write_text('{"current_steps": 2, "total_steps": 2}\n')
    os.utime(folder / "trainer_log.jsonl", (1, 1))
    runs.registry.refresh()
    (view,) = runs.registry.snapshot()
    view.name.encode()
    assert runs.registry.archive.discard(view.run_id) is None and not folder.exists()
    (item,) = runs.again().trash.items()
    (item.name + item.title).encode()
    assert item.origin == folder
    assert runs.again().registry.archive.restore(item.name) is None and folder.is_dir()
    renamed = runs.registry.archive.rename(view.run_id, "even")
    assert not isinstance(renamed, Refused) and renamed.path == folder.with_name("even")


@pytest.mark.parametrize(("number", "refused"), [(errno.EROFS, "readonly"), (errno.EIO, "failed")])
def test_a_disk_that_does_not_let_it_changes_nothing(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, number: int, refused: str
) -> None:
    paths = runs.add()
    runs.add("r2")
    runs.registry.archive.discard("id-r2")

    def broken(*_args: object, **_more: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "rename", broken)
    assert code(runs.registry.archive.discard("id-r1")) == refused
    (item,) = runs.trash.items()
    assert code(runs.registry.archive.restore(item.name)) == refused
    emptied = runs.trash.empty([item.name])
    assert emptied.freed == 0 and code(emptied.refused) == refused
    assert is_whole(paths.root) and is_whole(item.place)


# -- emptied --------------------------------------------------------------------------------------------


def test_only_what_is_named_is_deleted_for_good(runs: Runs) -> None:
    for name in ("r1", "r2", "r3"):
        runs.add(name)
        runs.registry.archive.discard(f"id-{name}")
    third, second, first = runs.trash.items()
    sizes = [runs.trash.size(item) for item in (first, second)]
    assert runs.trash.empty([first.name, second.name, "nobody"]) == Emptied(sum(sizes))
    assert runs.again().trash.items() == (third,) and is_whole(third.place)
    assert sorted(os.listdir(runs.trash.folder)) == [".origins", third.name]
    assert os.listdir(runs.trash.folder / ".origins") == [f"{third.name}.json"]


def test_what_cannot_be_deleted_is_said(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.add()
    runs.registry.archive.discard("id-r1")
    (item,) = runs.trash.items()
    monkeypatch.setattr(shutil, "rmtree", lambda _path, ignore_errors, dir_fd: None)
    emptied = runs.trash.empty([item.name])
    assert emptied.freed == 0 and code(emptied.refused) == "trash_left"
    monkeypatch.undo()
    assert runs.trash.items() == ()  # half of it may be gone: not to be taken back
    runs.trash.sweep()
    assert os.listdir(runs.trash.folder) == [".origins"] and os.listdir(runs.trash.folder / ".origins") == []


def test_hard_links_free_nothing(runs: Runs, tmp_path: Path) -> None:
    paths = runs.add()
    (paths.root / "big.bin").write_bytes(b"x" * 1_000_000)
    os.link(paths.root / "big.bin", tmp_path / "kept.bin")
    runs.registry.archive.discard("id-r1")
    (item,) = runs.trash.items()
    assert runs.trash.size(item) < 1_000_000
