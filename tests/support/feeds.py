"""Helpers of the tests that read what a run logged."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lfdash.runs.metrics.feed import RunFeed
from lfdash.runs.paths import RunPaths


def written(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as a trainer log."""
    return "".join(json.dumps(row) + "\n" for row in rows)


def fed(
    folder: Path, rows: Iterable[Mapping[str, Any]], console: str = "", history: list[dict[str, Any]] | None = None
) -> RunFeed:
    """A feed that has read what a run wrote into a folder: its trainer log, its console, the history of its state."""
    paths = RunPaths(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths.trainer_log.write_text(written(rows))
    if console:
        paths.console.write_text(console)
    if history is not None:
        paths.trainer_state.write_text(json.dumps({"log_history": history}))
    feed = RunFeed(paths)
    feed.poll()
    return feed
