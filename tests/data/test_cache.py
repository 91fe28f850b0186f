"""Lists and row counts of data folders: read once, and again when a file changed."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lfdash.data import cache
from lfdash.data import preview as previews
from lfdash.data.cache import DataCache
from lfdash.data.counting import Counter
from lfdash.data.preview import Counted, count_rows


def entries(folder: Path, *names: str) -> None:
    """A dataset_info.json that lists files of these names."""
    folder.mkdir(exist_ok=True)
    listed = {name: {"file_name": f"{name}.json"} for name in names}
    (folder / "dataset_info.json").write_text(json.dumps(listed))


def counted(monkeypatch: pytest.MonkeyPatch, name: str) -> list[Path]:
    """The paths that a reader of the cache is called with from now on."""
    calls: list[Path] = []
    original: Callable[..., Any] = getattr(cache, name)

    def reader(path: Path, *more: Any) -> Any:
        calls.append(path)
        return original(path, *more)

    monkeypatch.setattr(cache, name, reader)
    return calls


def test_a_list_is_read_again_only_when_it_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = DataCache(tmp_path)
    missing = data.info("data").problem
    assert missing is not None and missing.code == "datasets_missing"
    entries(tmp_path / "data", "a")
    calls = counted(monkeypatch, "read_dataset_info")
    assert data.info("data").names == data.info("data").names == ("a",)
    assert len(calls) == 1
    entries(tmp_path / "data", "a", "b")
    assert data.info("data").names == ("a", "b")
    assert len(calls) == 2


def test_rows_are_counted_again_only_when_a_file_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries(tmp_path / "data", "a", "b")
    (tmp_path / "data" / "a.json").write_text('[{"x": 1}, {"x": 2}]')
    data, calls = DataCache(tmp_path), counted(monkeypatch, "preview")
    assert data.rows("data", ["a"]) == data.rows("data", ["a"]) == {"a": 2}
    assert len(calls) == 1
    (tmp_path / "data" / "a.json").write_text('[{"x": 1}, {"x": 2}, {"x": 3}]')
    assert data.rows("data", ["a"]) == {"a": 3}


def test_what_is_missing_broken_or_not_listed_has_no_count(tmp_path: Path) -> None:
    entries(tmp_path / "data", "good", "gone", "broken")
    (tmp_path / "data" / "good.json").write_text('[{"x": 1}]')
    (tmp_path / "data" / "broken.json").write_text("[{")
    assert DataCache(tmp_path).rows("data", ["good", "gone", "broken", "other"]) == {"good": 1}


def test_a_large_file_is_counted_once_while_others_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until then nobody says how many rows it has; its first rows are there at once, and read once."""
    monkeypatch.setattr(previews, "START", 1000)
    entries(tmp_path / "data", "large", "small")
    (tmp_path / "data" / "large.json").write_text(json.dumps([{"x": n} for n in range(500)]))
    (tmp_path / "data" / "small.json").write_text('[{"x": 1}]')
    data, go, looks = DataCache(tmp_path), threading.Event(), list[Path]()

    def slow(path: Path, told: Callable[[int, int], bool]) -> Counted | None:
        looks.append(path)
        assert go.wait(60)
        return count_rows(path, told)

    data.counter, calls = Counter(slow, Counted), counted(monkeypatch, "preview")
    names = ["large", "small"]
    assert data.rows("data", names) == data.rows("data", names) == {"small": 1}
    first = data.preview(tmp_path / "data" / "large.json")
    assert (len(first.rows), first.count, first.problem) == (50, None, None)
    go.set()
    assert data.counter.settle(60)
    assert data.rows("data", names) == data.rows("data", names) == {"large": 500, "small": 1}
    assert len(looks) == 1 and len(calls) == 2
    (tmp_path / "data" / "large.json").write_text(json.dumps([{"x": n} for n in range(501)]))
    data.rows("data", names)
    assert data.counter.settle(60) and data.rows("data", names)["large"] == 501


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), os.mkdir])
def test_what_is_no_plain_file_has_no_count(tmp_path: Path, make: Callable[[Path], object]) -> None:
    entries(tmp_path / "data", "a")
    make(tmp_path / "data" / "a.json")
    data = DataCache(tmp_path)
    assert data.rows("data", ["a"]) == {}
    found = data.preview(tmp_path / "data" / "a.json")
    assert found.problem is not None and found.problem.code in ("data_unreadable", "data_folder_empty")


def test_what_may_not_be_read_is_not_read(tmp_path: Path) -> None:
    entries(tmp_path / "data", "a", "b")
    for name in "ab":
        (tmp_path / "data" / f"{name}.json").write_text('[{"x": 1}]')
    data = DataCache(tmp_path, lambda path: None if path.name == "b.json" else path)
    assert data.rows("data", ["a", "b"]) == {"a": 1}
    problem = DataCache(tmp_path, lambda _path: None).info("data").problem
    assert problem is not None and (problem.code, problem.params["value"]) == ("name_outside", "data")
