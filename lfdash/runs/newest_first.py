"""The runs of a workspace in order, newest first, each with an id of its own. A change of one costs that of one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import compress
from operator import is_not
from pathlib import Path

from lfdash.runs.paths import is_home
from lfdash.runs.view import RunView, plain_id


class NewestFirst:
    """Views by the path of their folder. A folder that is a copy of another run's is given an id of its own: the one
    that lies where it was made keeps it, else the first by its path."""

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self._found: dict[str, RunView] = {}  # as the looks have made them
        self._shown: dict[str, RunView] = {}  # with ids that are their own
        self._folders: dict[str, tuple[str, ...]] = {}  # of each id
        self._home: dict[str, bool] = {}  # of those whose id others have as well: whether it was made there
        self._doubtful: set[str] = set()  # ids of which it must be asked (again) who has them
        self._changed: set[str] = set()
        self._views: list[RunView] = []
        self._places: dict[str, int] = {}
        self._tuple: tuple[RunView, ...] = ()

    def put(self, path: str, view: RunView) -> None:
        """Adds the view of a folder, or another one."""
        before = self._found.get(path)
        if before is None or before.run_id != view.run_id:
            self._leave(path, before)
            self._folders[view.run_id] = (*self._folders.get(view.run_id, ()), path)
        if len(self._folders[view.run_id]) > 1:
            self._doubtful.add(view.run_id)
        self._home.pop(path, None)
        self._found[path] = view
        self._changed.add(path)

    def drop(self, path: str) -> None:
        """Takes a folder out."""
        self._leave(path, self._found.pop(path, None))
        self._home.pop(path, None)
        self._changed.add(path)

    def _leave(self, path: str, view: RunView | None) -> None:
        if view is None:
            return
        others = tuple(other for other in self._folders[view.run_id] if other != path)
        if others:
            self._folders[view.run_id] = others
            self._doubtful.add(view.run_id)
        else:
            del self._folders[view.run_id]

    def views(self) -> tuple[RunView, ...]:
        """All of them; the same tuple where nothing has changed."""
        shown = {path: self._found.get(path) for path in self._changed}
        for run_id in tuple(self._doubtful):
            shown.update(self._apart(run_id))
        self._changed.clear()
        if self._replace(shown):
            self._sort()
        return self._tuple

    def _replace(self, shown: dict[str, RunView | None]) -> bool:
        """Takes the views that are shown now; whether their order may be another one."""
        moved = False
        for path, view in shown.items():
            before = self._shown.get(path)
            if view is None:
                moved |= self._shown.pop(path, None) is not None
            elif view is not before:
                self._shown[path] = view
                if before is None or when(before) != when(view):
                    moved = True
                elif not moved:
                    self._views[self._places[path]] = view
        if shown and not moved:
            self._tuple = tuple(self._views)
        return moved

    def _sort(self) -> None:
        order = sorted(self._shown.items(), key=lambda item: when(item[1]), reverse=True)
        self._views = [view for _, view in order]
        self._places = {path: place for place, (path, _) in enumerate(order)}
        self._tuple = tuple(self._views)

    def _apart(self, run_id: str) -> Iterable[tuple[str, RunView]]:
        """The views of an id: one keeps it."""
        self._doubtful.discard(run_id)
        paths = self._folders.get(run_id, ())
        if len(paths) < 2:
            return [(path, self._found[path]) for path in paths]
        keeper = min(paths, key=lambda path: (not self._lies_home(run_id, path), path))
        return [(path, self._found[path] if path == keeper else self._copy(path)) for path in paths]

    def _copy(self, path: str) -> RunView:
        view = self._found[path]
        named = replace(view, run_id=plain_id(self._workspace, view.path))
        before = self._shown.get(path)
        return before if before is not None and before == named else named

    def _lies_home(self, run_id: str, path: str) -> bool:
        """Whether a run lies where it was made. As long as that cannot be seen, who has the id keeps it."""
        if path not in self._home:
            view = self._found[path]
            try:
                self._home[path] = is_home(view.paths, view.attempt)
            except OSError:
                self._doubtful.add(run_id)
                shown = self._shown.get(path)
                return shown is not None and shown.run_id == run_id
        return self._home[path]


def places_changed(before: Sequence[RunView], after: Sequence[RunView]) -> list[int] | None:
    """The places at which another view stands now; None when runs came, went or moved. Compares objects: that costs
    less than a millisecond for ten thousand."""
    if len(before) != len(after):
        return None
    places = list(compress(range(len(after)), map(is_not, before, after)))
    same = all(
        before[place].run_id == after[place].run_id and before[place].output_dir == after[place].output_dir
        for place in places
    )
    return places if same else None


def when(view: RunView) -> float:
    """By what the runs are in order: their start, or their end where that is not known."""
    return view.started or view.ended or 0.0
