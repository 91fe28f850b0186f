"""A small file of the workspace that may be lost: a draft, the settings of the page."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lfdash.files import write_text_atomic


class Memo:
    """A small JSON file of the workspace (draft, settings): read tolerantly, replaced atomically."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> dict[str, Any]:
        """Its mapping; empty when the file is missing, broken or not a mapping."""
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def save(self, content: Mapping[str, Any]) -> None:
        """Replaces the file. A full or read-only disk loses the memo, never the page."""
        with contextlib.suppress(OSError):
            write_text_atomic(self.path, json.dumps(content), durable=False)
