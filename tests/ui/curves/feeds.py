"""Feeds of runs that were never on a disk."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lfdash.runs.metrics.feed import RunFeed
from lfdash.runs.paths import RunPaths


def feed(rows: Iterable[dict[str, Any]] = (), folder: Path | None = None) -> RunFeed:
    """The feed of a trainer log with these rows, read."""
    paths = RunPaths(folder or Path(tempfile.mkdtemp()))
    paths.trainer_log.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found = RunFeed(paths)
    found.poll()
    return found
