"""A small file of the workspace that may be lost: a draft, the settings of the page."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lfdash.files import read_json_file, write_text_atomic


class Memo:
    """A small JSON file of the workspace (draft, settings): read tolerantly, replaced atomically.

    is_here: whether the workspace is still where it was; else nothing is kept.
    """

    def __init__(self, path: Path, is_here: Callable[[], bool] = lambda: True) -> None:
        self.path = path
        self._is_here = is_here

    def load(self) -> dict[str, Any]:
        """Its mapping; empty when the file is missing or cannot be read, and then replaced by the next `save`."""
        data = read_json_file(self.path)
        return data if isinstance(data, dict) else {}

    def save(self, content: Mapping[str, Any]) -> None:
        """Replaces the file. A full or read-only disk loses the memo, never the page."""
        if not self._is_here():
            return
        with contextlib.suppress(OSError):
            write_text_atomic(self.path, json.dumps(content), durable=False)
