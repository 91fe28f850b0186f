"""Columns of a run from rows of a log, through the real reader."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lfdash.runs.metrics.frame import OVERFLOWN, TRAINED, MetricFrame
from lfdash.runs.metrics.merge import Merge
from lfdash.runs.metrics.rows import read_block

DEAD = 3
Row = Mapping[str, Any]
OTHER_NAMES = {"step": "current_steps", "learning_rate": "lr"}  # of trainer_state.json


def columns(rows: Iterable[Row]) -> MetricFrame:
    """The columns of rows of trainer_log.jsonl or of trainer_state.json, whose gradient norms are taken too."""
    merge, rows = Merge(), [renamed(row) for row in rows]
    add(merge, rows)
    return merge.frame()


def grown_columns(rows: Iterable[Row]) -> list[MetricFrame]:
    """The same of the first row, of the first two, and so on; before them, of none."""
    merge = Merge()
    frames = [merge.frame()]
    for row in rows:
        add(merge, [renamed(row)])
        frames.append(merge.frame())
    return frames


def renamed(row: Row) -> dict[str, Any]:
    """A row with the names of trainer_log.jsonl."""
    return {OTHER_NAMES.get(name, name): value for name, value in row.items()}


def add(merge: Merge, rows: list[dict[str, Any]]) -> None:
    """Takes rows; what is logged first, then the gradient norms, which another file has."""
    logged = ({name: value for name, value in row.items() if name != "grad_norm"} for row in rows)
    merge.add(read_block("".join(json.dumps(row) + "\n" for row in logged).encode())[0])
    for row in rows:
        place = merge.columns.place(float(row["current_steps"]))
        if "grad_norm" in row and place is not None:
            norm = float(row["grad_norm"])
            merge.columns.put("grad_norm", place, norm)
            merge.columns.marks[place] |= 0 if math.isfinite(norm) else OVERFLOWN


def until(frame: MetricFrame, rows: int) -> MetricFrame:
    """The first rows of columns."""
    kept = tuple(one for one in frame.segments if one.place < rows)
    cut = {name: column[:rows] for name, column in frame.columns.items()}
    return MetricFrame(cut, kept, frame.marks[:rows], frame.origin)


def dead_since(frame: MetricFrame) -> float | None:
    """The step since which nothing is learned, as a feed says it: three logged losses in a row that are no numbers."""
    trained = (frame.marks & TRAINED) > 0
    losses, steps = frame["loss"][trained], frame["step"][trained]
    over = (frame.marks[trained] & OVERFLOWN) > 0
    alive = np.flatnonzero(np.isfinite(losses) & ~((losses == 0) & over))
    first = int(alive[-1]) + 1 if len(alive) else 0
    return float(steps[first]) if len(losses) - first >= DEAD else None


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a log of either kind."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        found: list[dict[str, Any]] = json.loads(text)["log_history"]
    else:
        found = [json.loads(line) for line in text.splitlines() if line.strip()]
    return [row for row in found if isinstance(row, dict) and not {"step", "current_steps"}.isdisjoint(row)]
