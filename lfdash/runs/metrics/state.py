"""What a trainer's state tells of the steps: trainer_state.json, at the end of a training or of a checkpoint."""

from __future__ import annotations

import os
import re
from threading import Lock
from typing import Any

import msgspec
import numpy as np

from lfdash.files import FileMark, is_absent, look_mark, open_plain, quick_json
from lfdash.runs.metrics.columns import Columns
from lfdash.runs.metrics.followed import PIECE, Deadline
from lfdash.runs.metrics.line import NAN, number
from lfdash.runs.metrics.match import all_close, write
from lfdash.runs.paths import STATE, RunPaths

LARGEST_STATE = 1 << 30  # bytes of a trainer_state.json that is read
BEGINNING = b'"log_history": ['
HEAD = 1 << 16  # bytes among which the history begins
END = re.compile(rb"\}\s*\]")
MARK = 64  # bytes by which a history is known again
CHECKPOINT = "checkpoint-"


class StateReader:
    """Follows one trainer_state.json, or those that take its place: each has the history of the one before, and more.

    last_step: of the newest entry that was read. through: whether all of it was, or reading failed. gone: whether there
    is no such file any more though some of it was read.
    """

    def __init__(self) -> None:
        self.last_step = NAN
        self.through = True
        self.gone = False
        self._seen: FileMark | None = None
        self._path = ""
        self._done = 0  # bytes of the history that were read
        self._known = b""  # the last of these

    def look(self, path: str) -> bool:
        """Whether there is something to read; costs a stat."""
        try:
            mark = look_mark(path)
        except OSError:
            self.through, self._seen = True, None
            return False
        self.gone = mark is None and self._done > 0
        if mark is None or mark[1] > LARGEST_STATE:
            self.through = True
        elif (mark, path) != (self._seen, self._path):
            self._seen, self._path, self.through = mark, path, False
        return not self.through

    def read(self, columns: Columns, deadline: Deadline, lock: Lock) -> bool:
        """Puts what is new into the columns, as long as it may; whether anything was. lock: is taken for writing."""
        changed = False
        try:
            with open_plain(self._path) as file:
                begin = file.read(HEAD).find(BEGINNING) + len(BEGINNING)
                if begin < len(BEGINNING):
                    self.through = True
                    return False
                file.seek(begin + max(0, self._done - MARK))
                if file.read(min(self._done, MARK)) != self._known:
                    self._done, self._known = 0, b""
                while not self.through and not deadline.passed():
                    file.seek(begin + self._done)
                    changed = self._take(file.read(PIECE), columns, lock) or changed
        except OSError as error:
            self.through = True
            if not is_absent(error):  # it is tried again
                self._seen = None
        return changed

    def _take(self, data: bytes, columns: Columns, lock: Lock) -> bool:
        """Takes the next piece of the history."""
        end = END.search(data)
        cut = (end.start() if end else data.rfind(b"}")) + 1
        self.through = end is not None or not cut
        entries = parsed(data[:cut])
        if entries is None:  # not as transformers writes it
            self.through = True
            return False
        self._done += cut
        self._known = (self._known + data[:cut])[-MARK:]
        if entries:
            self.last_step = number(entries[-1].get("step"))
            with lock:
                put_history(columns, entries)
        return bool(entries)


def parsed(data: bytes) -> list[dict[str, Any]] | None:
    """Entries of a history, with a comma between them; None for anything else."""
    try:
        entries = quick_json(b"[" + data.strip(b", \r\n\t") + b"]")
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return [entry for entry in entries if isinstance(entry, dict)]


def put_history(columns: Columns, history: list[dict[str, Any]]) -> None:
    """Puts the entries whose steps are there, and whose losses are those of the log.

    A state may be that of a launch before, whose steps have been trained again; and that of a run that went on from
    another's checkpoint has that one's steps before its own.
    """
    steps = np.array([number(entry.get("step")) for entry in history], dtype=np.float64)
    places = np.searchsorted(columns.view("step"), steps)
    there = places < len(columns)
    there[there] = columns.view("step")[places[there]] == steps[there]
    if "loss" in columns:
        loss = np.array([number(entry.get("loss")) for entry in history], dtype=np.float64)
        there[there] = all_close(loss[there], columns.view("loss")[places[there]])
    kept = np.flatnonzero(there)
    entries = [
        {name: number(value) for name, value in history[place].items() if type(value) in (int, float)}
        for place in kept.tolist()
    ]
    write(columns, places[kept], entries, exact=True)


class Checkpoints:
    """Which of a run's checkpoints is the newest; looked for when the run's folder has changed."""

    def __init__(self, paths: RunPaths) -> None:
        self._paths = paths
        self._seen: FileMark | None = None
        self._newest: str | None = None

    def newest(self) -> str | None:
        """The trainer_state.json of the checkpoint that was written last; None where there is none."""
        try:
            mark = look_mark(str(self._paths.root))
            if mark != self._seen:
                self._newest = newest_checkpoint(self._paths) if mark is not None else None
                self._seen = mark
        except OSError:
            pass  # it stays the one that is known, and is looked for again
        return self._newest


def newest_checkpoint(paths: RunPaths) -> str | None:
    """As `Checkpoints.newest`, by a look into the folder. OSError when that failed."""
    newest, found = -1.0, None
    with os.scandir(paths.root) as entries:
        for entry in entries:
            if entry.name.startswith(CHECKPOINT) and entry.is_dir(follow_symlinks=False):
                changed = entry.stat(follow_symlinks=False).st_mtime
                if changed > newest:
                    newest, found = changed, entry.name
    return None if found is None else f"{paths.root}/{found}/{STATE}"
