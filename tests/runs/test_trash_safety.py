"""Deleted runs: whole here or whole there whenever a process dies, and nothing outside is touched."""

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
from lfdash.runs.trash import Emptied, TrashLook
from lfdash.runs.trash_origins import BESIDE
from tests.support import ROOT
from tests.support.died import every_death
from tests.support.finished import Runs, code
from tests.support.runs import wait_for
from tests.support.trashed import is_whole, other_disk

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
