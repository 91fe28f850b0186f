"""The order of the runs, and who has an id: by what changed, the same as if all was made anew."""

from __future__ import annotations

import errno
import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from lfdash.runs import newest_first
from lfdash.runs.newest_first import NewestFirst
from lfdash.runs.paths import RunPaths, marker
from lfdash.runs.record import RunState
from lfdash.runs.view import RunView, plain_id


def view_of(folder: Path, run_id: str, started: float) -> RunView:
    """A run that is over."""
    return RunView(run_id, folder.name, folder, folder.name, RunState.SUCCEEDED, started=started)


def make_home(folder: Path) -> None:
    """Makes it the folder in which its run was made."""
    control = RunPaths(folder).attempt(1)
    control.root.mkdir(parents=True)
    control.spec.write_text(json.dumps({"marker": marker(RunPaths(folder), 1)}))


def ids(order: NewestFirst) -> dict[str, str]:
    return {view.name: view.run_id for view in order.views()}


def test_newest_first_and_the_same_tuple_where_nothing_changed(tmp_path: Path) -> None:
    order = NewestFirst(tmp_path)
    views = [view_of(tmp_path / f"r{n}", f"id-{n}", float(n)) for n in range(5)]
    for view in views:
        order.put(str(view.path), view)
    first = order.views()
    assert [view.name for view in first] == ["r4", "r3", "r2", "r1", "r0"] and order.views() is first
    other = replace(views[2], error="e")
    order.put(str(other.path), other)
    second = order.views()
    assert [a is b for a, b in zip(first, second, strict=True)] == [True, True, False, True, True]
    assert second[2] is other
    later = replace(views[0], started=9.0)
    order.put(str(later.path), later)
    order.drop(str(views[4].path))
    assert [view.name for view in order.views()] == ["r0", "r3", "r2", "r1"]


def test_of_copies_the_one_that_lies_at_home_keeps_the_id(tmp_path: Path) -> None:
    order = NewestFirst(tmp_path)
    make_home(tmp_path / "home")
    for name in ("a", "home", "z"):
        order.put(str(tmp_path / name), view_of(tmp_path / name, "id", 1.0))
    own = {name: plain_id(tmp_path, tmp_path / name) for name in ("a", "z")}
    assert ids(order) == {"home": "id", **own}
    before = order.views()
    order.put(str(tmp_path / "other"), view_of(tmp_path / "other", "id-2", 1.0))
    assert [view for view in order.views() if view in before] == list(before)
    assert all(any(view is one for one in order.views()) for view in before)
    order.drop(str(tmp_path / "home"))
    assert ids(order) == {"a": "id", "z": own["z"], "other": "id-2"}
    order.drop(str(tmp_path / "a"))
    assert ids(order) == {"z": "id", "other": "id-2"}


def test_who_is_at_home_is_asked_again_when_a_view_changes_and_the_others_stay_as_they_are(tmp_path: Path) -> None:
    """A copy that was resumed where it lies is at home there."""
    order = NewestFirst(tmp_path)
    for name in ("a", "b", "c"):
        order.put(str(tmp_path / name), view_of(tmp_path / name, "id", 1.0))
    before = {view.name: view for view in order.views()}
    assert before["a"].run_id == "id"
    control = RunPaths(tmp_path / "b").attempt(2)
    control.root.mkdir(parents=True)
    control.spec.write_text(json.dumps({"marker": marker(RunPaths(tmp_path / "b"), 2)}))
    order.put(str(tmp_path / "b"), replace(view_of(tmp_path / "b", "id", 1.0), attempt=2))
    now = {view.name: view for view in order.views()}
    assert now["b"].run_id == "id" and now["a"].run_id == plain_id(tmp_path, tmp_path / "a")
    assert now["c"] is before["c"]


def test_as_long_as_it_cannot_be_seen_who_is_at_home_who_has_the_id_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = NewestFirst(tmp_path)
    make_home(tmp_path / "home")
    for name in ("a", "home"):
        order.put(str(tmp_path / name), view_of(tmp_path / name, "id", 1.0))
    assert ids(order)["home"] == "id"
    real = newest_first.is_home

    def fail(_paths: RunPaths, _attempt: int) -> bool:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(newest_first, "is_home", fail)
    order.put(str(tmp_path / "home"), view_of(tmp_path / "home", "id", 2.0))
    order.put(str(tmp_path / "a"), view_of(tmp_path / "a", "id", 2.0))
    assert ids(order)["home"] == "id"
    fresh = NewestFirst(tmp_path)
    for name in ("a", "home"):
        fresh.put(str(tmp_path / name), view_of(tmp_path / name, "id", 1.0))
    assert ids(fresh)["a"] == "id"  # nothing is known: the first
    monkeypatch.setattr(newest_first, "is_home", real)
    assert ids(fresh)["home"] == "id"  # asked again without any change


def naive(workspace: Path, views: dict[str, RunView], home: set[str]) -> dict[str, str]:
    """Who has which id, made anew from all views."""
    by_id: dict[str, list[RunView]] = {}
    for view in views.values():
        by_id.setdefault(view.run_id, []).append(view)
    found = {}
    for run_id, same in by_id.items():
        first, *copies = sorted(same, key=lambda view: (len(same) > 1 and view.name not in home, str(view.path)))
        found[first.name] = run_id
        found.update({view.name: plain_id(workspace, view.path) for view in copies})
    return found


@pytest.mark.parametrize("seed", range(5))
def test_any_sequence_of_changes_leaves_what_all_made_anew_would(tmp_path: Path, seed: int) -> None:
    rng, order, views = random.Random(seed), NewestFirst(tmp_path), dict[str, RunView]()
    home = {f"r{n}" for n in range(0, 12, 3)}
    for name in home:
        make_home(tmp_path / name)
    for _ in range(150):
        for _ in range(rng.randrange(4)):
            folder = tmp_path / f"r{rng.randrange(12)}"
            if rng.random() < 0.3:
                if views.pop(str(folder), None):
                    order.drop(str(folder))
            else:
                view = view_of(folder, f"id-{rng.randrange(5)}", float(rng.randrange(4)))
                views[str(folder)] = view
                order.put(str(folder), view)
        found = order.views()
        assert ids(order) == naive(tmp_path, views, home)
        assert [view.started for view in found] == sorted((view.started or 0 for view in views.values()), reverse=True)
        assert order.views() is found
