"""What a trainer's state tells of the steps: trainer_state.json, at the end of a training or of a checkpoint."""

from __future__ import annotations

import math
from typing import Any

from lfdash.files import FileMark, file_mark, read_json
from lfdash.runs.metrics.columns import Columns
from lfdash.runs.metrics.match import close, write
from lfdash.runs.metrics.progress import number
from lfdash.runs.paths import RunPaths

LARGEST_STATE = 1 << 26  # bytes of a trainer_state.json that is read


class StateReader:
    """Follows the trainer_state.json of a run."""

    def __init__(self, paths: RunPaths) -> None:
        self._path = paths.trainer_state
        self._seen: FileMark | None = None

    def poll(self, columns: Columns) -> bool:
        """Puts what is new into the columns; whether anything was."""
        mark = file_mark(self._path)
        if mark is None or mark == self._seen or mark[1] > LARGEST_STATE:
            return False
        history = read_json(self._path).get("log_history")
        if not isinstance(history, list):
            return False
        self._seen = mark
        put_history(columns, history)
        return True


def put_history(columns: Columns, history: list[Any]) -> None:
    """Puts the entries whose steps are there; a state may be that of a launch before, whose steps have been trained
    again, and of a run that went on from another's checkpoint it has that one's steps before its own."""
    places, entries = [], []
    for entry in history:
        if not isinstance(entry, dict):
            continue
        place = columns.place(number(entry.get("step")))
        if place is None:
            continue
        loss = columns.view("loss")[place] if "loss" in columns else math.nan
        if close(number(entry.get("loss")), loss):
            places.append(place)
            entries.append({name: number(value) for name, value in entry.items() if type(value) in (int, float)})
    write(columns, places, entries)
