"""Deleted runs: whole here or whole there whenever a process dies, and back where they came from."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lfdash.outcomes import Refused
from lfdash.runs.record import RunState
from lfdash.runs.trash import BESIDE, Emptied
from tests.support import ROOT
from tests.support.died import every_death
from tests.support.finished import CONTENT, Runs, code
from tests.support.runs import wait_for


def is_whole(folder: Path) -> bool:
    """Whether a run's folder has all that was in it."""
    names = {"run.json", "exit.json", "attempts", "checkpoint-5", "training_args.yaml"}
    return folder.is_dir() and set(os.listdir(folder)) == names and (
        (folder / "checkpoint-5" / "model.bin").read_text() == CONTENT
    )


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


def other_disk(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Lets a folder be on another disk: a rename into it or out of it fails, as the kernel's does."""
    original = os.rename

    def rename(source: Any, target: Any, **more: Any) -> None:
        if Path(source).is_relative_to(folder) != Path(target).is_relative_to(folder):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(source), None, str(target))
        original(source, target, **more)

    monkeypatch.setattr(os, "rename", rename)


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


def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_point: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("lfdash.files.hit", full)


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
    monkeypatch.setattr(shutil, "rmtree", lambda _path, ignore_errors: None)
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


# -- death at every step --------------------------------------------------------------------------------


def whole_somewhere(runs: Runs, home: Path) -> bool:
    """Whether the run is whole at its place or in the trash, not both, and listed or shown there as what it is."""
    other = runs.again()
    view, items = other.view(), other.trash.items()
    if home.exists():
        return is_whole(home) and view is not None and not items
    return view is None and len(items) == 1 and is_whole(items[0].place) and items[0].origin == home


@pytest.mark.parametrize("second_disk", [False, True])
def test_who_dies_while_a_run_is_deleted_or_taken_back_loses_nothing(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, second_disk: bool
) -> None:
    home = runs.add().root
    if second_disk:
        other_disk(monkeypatch, runs.root / "saves")
    seen: list[str] = []

    def there() -> object:
        other = runs.again()
        return other.trash.put(other.view())

    def back() -> object:
        other = runs.again()
        return other.trash.restore(other.trash.items()[0].name)

    for act in (there, back):
        for where in every_death(monkeypatch, act):
            seen.append(where.split()[0] if where else "end")
            assert whole_somewhere(runs, home), f"{act.__name__} died at {where}"
            if where:  # the next one begins where this one began
                done = home.exists() == (act is back)
                if done:
                    (back if act is there else there)()
        assert home.exists() == (act is back)
    assert seen.count("end") == 2 and seen.count("rename") >= 2 + second_disk and len(seen) > 8


def test_who_dies_while_the_trash_is_emptied_shows_nothing_that_is_not_whole(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = runs.add().root
    runs.registry.archive.discard("id-r1")
    (item,) = runs.trash.items()
    copy = runs.root.parent / "copy"
    shutil.copytree(runs.trash.folder, copy)
    deaths = 0
    for _ in every_death(monkeypatch, lambda: runs.again().trash.empty([item.name])):
        deaths += 1
        items = runs.again().trash.items()
        assert not items or is_whole(items[0].place)
        runs.again().trash.sweep()
        left = runs.again().trash.items()
        assert left == items  # sweeping takes away only what was not shown
        if not left:
            # the note of an origin without a folder is kept for an hour: somebody may be about to move it
            assert set(os.listdir(runs.trash.folder)) == {".origins"}
        shutil.rmtree(runs.trash.folder)
        shutil.copytree(copy, runs.trash.folder)
    assert deaths > 8 and not home.exists()


def test_an_origin_without_a_folder_is_forgotten_after_an_hour(runs: Runs) -> None:
    paths = runs.add()
    runs.registry.archive.discard("id-r1")
    (item,) = runs.trash.items()
    os.rename(item.place, paths.root)  # by hand
    note = runs.trash.folder / ".origins" / f"{item.name}.json"
    runs.trash.sweep()
    assert note.exists() and runs.trash.items() == ()
    data = json.loads(note.read_text())
    note.write_text(json.dumps({**data, "discarded": time.time() - 4000}))
    runs.trash.sweep()
    assert not note.exists() and runs.view() is not None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"origin": 1}', '{"origin": "a", "place": "b"}'])
def test_a_broken_origin_hides_nothing_else(runs: Runs, text: str) -> None:
    runs.add()
    runs.add("r2")
    for name in ("r1", "r2"):
        runs.registry.archive.discard(f"id-{name}")
    (runs.trash.folder / ".origins" / "r1.id-r1.json").write_text(text)
    items = {item.run_id: item for item in runs.again().trash.items()}
    assert set(items) == {"id-r1", "id-r2"}  # that of r1 is told by its record
    runs.trash.sweep()


KILLED = """
import pathlib, sys
from tests.support.finished import Runs
runs = Runs(pathlib.Path(sys.argv[1]))
print("ready", flush=True)
while True:
    assert runs.registry.archive.discard("id-r1") is None
    assert runs.registry.archive.restore(runs.trash.items()[0].name) is None
"""


def test_a_process_that_is_killed_while_it_moves_a_run_to_and_fro(runs: Runs) -> None:
    """The same with real processes and SIGKILL at moments that nobody chose."""
    home = runs.add().root
    for number in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(runs.root)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            cwd=ROOT,
        )
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        began = home.stat().st_ctime_ns if home.exists() else 0
        wait_for(lambda began=began: home.exists() and home.stat().st_ctime_ns != began)  # it has begun to move it
        time.sleep(0.0137 * number)  # another moment each time
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert process.stderr is not None and process.stderr.read() == ""
        assert whole_somewhere(runs, home)
        if not home.exists():
            assert runs.again().registry.archive.restore(runs.again().trash.items()[0].name) is None
