"""How long the rows of datasets are in tokens, where that was measured; kept in the workspace until a file changes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from lfdash.data.dataset_info import FILE, DatasetInfo
from lfdash.data.files import stamp
from lfdash.jobs.rules import listed
from lfdash.llamafactory.token_lengths import NEEDED, Lengths
from lfdash.workspace.allowed_paths import Roots
from lfdash.workspace.folders import Workspace
from lfdash.workspace.memo import Memo

MOST_KEPT = 40  # measured datasets


class RowLengths:
    """What was measured in a workspace. datasets: what dataset_info.json of a folder lists. For any thread: of two that
    keep something at once, one may be lost."""

    def __init__(self, workspace: Workspace, roots: Roots, datasets: Callable[[str], DatasetInfo], memo: Memo) -> None:
        self._root, self._roots, self._datasets, self._memo = workspace.root, roots, datasets, memo
        self._held: dict[str, tuple[int, ...]] | None = None

    def keep(self, args: Mapping[str, Any], found: Lengths) -> None:
        """Keeps what was measured of a job's datasets together."""
        held = dict([*self._known().items(), (self._key(args, listed(args.get("dataset"))), found.tokens)][-MOST_KEPT:])
        self._held = held
        self._memo.save({key: list(tokens) for key, tokens in held.items()})

    def of(self, args: Mapping[str, Any]) -> Lengths | None:
        """The lengths of a job's datasets, measured together or each by itself; None where one was not, or has changed
        since."""
        names = listed(args.get("dataset"))
        known = self._known()
        whole = known.get(self._key(args, names)) if names and known else None
        if whole is not None:
            return Lengths(whole)
        parts = [known.get(self._key(args, [name])) for name in names] if known else []
        if not parts or any(part is None for part in parts):
            return None
        return Lengths(tuple(length for part in parts for length in part or ()))

    def _known(self) -> dict[str, tuple[int, ...]]:
        if self._held is None:
            kept = self._memo.load().items()
            self._held = {key: tuple(map(int, tokens)) for key, tokens in kept if isinstance(tokens, list)}
        return self._held

    def _key(self, args: Mapping[str, Any], names: list[str]) -> str:
        """Of all that decides a length: arguments, and the files' marks."""
        directory = str(args.get("dataset_dir") or "data")
        files, folder = self._datasets(directory).files, self._root / directory
        paths = [folder / FILE, *(folder / files[name] for name in names if name in files)]
        marks = [stamp(path) if self._roots.readable(path) is not None else None for path in paths]
        decides = {name: args[name] for name in NEEDED if name in args and name not in ("dataset", "dataset_dir")}
        text = json.dumps([decides, directory, names, marks], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:32]
