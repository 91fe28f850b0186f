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

from lfdash import files
from lfdash.engine.registry import ProcessRegistry
from lfdash.launchers.fake import FakeLauncher
from lfdash.outcomes import Refused
from lfdash.runs import trash
from lfdash.runs.record import RunState
from lfdash.runs.trash import Emptied, TrashLook
from lfdash.runs.trash_origins import BESIDE
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


# -- what somebody else wrote -----------------------------------------------------------------------------


def note(runs: Runs, name: str, **changes: object) -> Path:
    """A note about a deleted run, as a file says it."""
    data = {"version": 1, "run_id": "id-x", "title": "old run", "discarded": 1.0, "origin": "saves/m/lora/old",
            "place": f".lfdash/trash/{name}"}
    path = runs.trash.folder / ".origins" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data | changes))
    return path


OUTSIDE: dict[str, dict[str, Any]] = {
    "place": {"place": "../thesis"},
    "place, absolute": {"place": "{parent}/thesis"},
    "place, dots": {"place": ".lfdash/trash/../../../thesis"},
    "place of another name": {"place": ".lfdash/trash/other"},
    "place that is no trash": {"place": "models/thesis"},
    "place behind a link": {"place": "saves/.lfdash-trash/thesis"},
    "place behind a link inside": {"place": "data/.lfdash-trash/thesis"},
    "origin": {"origin": "../dotssh"},
    "origin behind a link": {"origin": "saves/out/dotssh"},
    "origin in our own folder": {"origin": ".lfdash/queue"},
    "origin, the workspace": {"origin": "."},
    "hidden origin": {"origin": ".git/hooks"},
    "id": {"run_id": "../../x"},
    "time": {"discarded": 1e300},
    "no path": {"origin": "a\0b"},
    "half a character": {"origin": "a\ud800b"},
}


@pytest.mark.parametrize("case", OUTSIDE)
def test_a_note_moves_and_deletes_nothing_outside(runs: Runs, case: str) -> None:
    parent = runs.root.parent
    for folder in (parent / "thesis", runs.root / "models" / "thesis", runs.trash.folder / "thesis"):
        folder.mkdir(parents=True)
        (folder / "years.txt").write_text("work")
    (runs.root / "saves").mkdir()
    (runs.root / "data").mkdir()
    (runs.root / "saves" / BESIDE).symlink_to(parent)
    (runs.root / "data" / BESIDE).symlink_to(runs.root / "models")
    (runs.root / "saves" / "out").symlink_to(parent)
    changes = {key: text.format(parent=parent) if key == "place" else text for key, text in OUTSIDE[case].items()}
    file = note(runs, "thesis", **changes)
    before = sorted(path for path in parent.rglob("*"))
    seen = runs.trash.look()
    assert seen.items == seen.away == () and [spoiled.file for spoiled in seen.unreadable] == [file.name]
    assert runs.trash.empty(["thesis"]) == Emptied(0)
    assert runs.registry.archive.restore("thesis") == Refused("unknown")
    runs.trash.sweep()
    assert sorted(path for path in parent.rglob("*") if path.name not in ("launch.lock", "id")) == before


def test_a_link_is_no_deleted_run(runs: Runs) -> None:
    thesis = runs.root.parent / "thesis"
    thesis.mkdir()
    note(runs, "thesis")
    (runs.trash.folder / "thesis").symlink_to(thesis)
    (runs.trash.folder / ".gone.other").symlink_to(thesis)
    (thesis / "years.txt").write_text("work")
    assert runs.trash.items() == ()
    runs.trash.empty(["thesis"])
    runs.trash.sweep()
    assert (thesis / "years.txt").exists()


def test_a_link_that_is_put_in_the_way_at_the_last_moment(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the act: the trash folder becomes a link to somebody's folder with the same names."""
    runs.add()
    runs.registry.archive.discard("id-r1")
    (item,) = runs.trash.items()
    victim = runs.root.parent / "victim"
    (victim / item.name).mkdir(parents=True)
    (victim / item.name / "years.txt").write_text("work")
    really = files.open_folder

    def swapped(root: Path, folder: Path, **more: bool) -> Any:
        if folder == runs.trash.folder and not folder.is_symlink():
            folder.rename(folder.with_name("moved"))
            folder.symlink_to(victim)
        return really(root, folder, **more)

    monkeypatch.setattr(trash, "open_folder", swapped)
    assert code(runs.trash.empty([item.name]).refused) == "failed"
    assert (victim / item.name / "years.txt").exists()


def test_a_run_outside_of_the_allowed_folders_stays(runs: Runs, tmp_path: Path) -> None:
    paths = runs.add(output_dir=str(tmp_path / "disk" / "r1"))
    other = ProcessRegistry(runs.root, FakeLauncher(), interval=60)
    other.refresh()
    assert code(other.archive.discard("id-r1")) == "not_ours" and is_whole(paths.root)


# -- a disk that is away ----------------------------------------------------------------------------------


def test_what_lies_on_a_disk_that_is_away_is_not_forgotten(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither while its mount point is empty, nor while another disk with a trash of its own is there."""
    home = runs.add().root
    with monkeypatch.context() as patch:
        other_disk(patch, runs.root / "saves")
        runs.registry.archive.discard("id-r1")
    (item,) = runs.trash.items()
    data = json.loads((file := runs.trash.folder / ".origins" / f"{item.name}.json").read_text())
    file.write_text(json.dumps(data | {"discarded": time.time() - 7200}))
    (runs.root / "saves").rename(runs.root.parent / "away")
    for kind in ("no disk", "empty", "another disk"):
        if kind == "empty":
            (runs.root / "saves").mkdir()
        if kind == "another disk":
            item.place.parent.mkdir(parents=True)
            (item.place.parent / ".disk").write_text("of another disk")
        other = runs.again().trash
        other.sweep()
        seen = other.look()
        assert (seen.items, [away.name for away in seen.away]) == ((), [item.name]), kind
    shutil.rmtree(runs.root / "saves")
    (runs.root.parent / "away").rename(runs.root / "saves")
    assert [back.name for back in runs.again().trash.items()] == [item.name]
    shutil.rmtree(item.place)  # by hand, with the disk there
    runs.trash.sweep()
    assert runs.trash.look() == TrashLook(()) and not file.exists() and not home.exists()


def test_a_look_that_failed_forgets_nothing(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.add()
    runs.registry.archive.discard("id-r1")
    (item,) = runs.trash.items()
    note(runs, item.name, run_id="id-r1", discarded=1.0)
    really = os.lstat

    def fail(path: Any, **more: Any) -> os.stat_result:
        if str(path) == str(item.place):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return really(path, **more)

    with monkeypatch.context() as patch:
        patch.setattr(os, "lstat", fail)
        runs.trash.sweep()
    assert [back.name for back in runs.trash.items()] == [item.name]
    assert (runs.trash.folder / ".origins" / f"{item.name}.json").exists()


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
