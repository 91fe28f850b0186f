"""When a run of the plain CLI began and ended, as far as its files tell. Those of a copy have the time of the copying,
which is no time of the run: then its own output tells the beginning, or nobody knows it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import datetime

from lfdash.files import is_absent, look_mark, read_edges
from lfdash.runs.log_reader import LogRow
from lfdash.runs.paths import LOG, RunPaths
from lfdash.runs.plain import SLACK_S, WRITTEN_S, was_copied

HEAD = 1 << 16  # bytes of the output in which its first time stands
ZONES_S = 26 * 3600.0  # two zones are that far apart at most: the output has the local time of where it was written
# "[INFO|2026-01-31 09:00:00] file.py:1 >> ", "[INFO|file.py:1] 2026-01-31 09:00:00,123 >> " (transformers and
# LLaMA-Factory 0.9, extras/logging.py), "01/31/2026 09:00:00 - INFO - " (LLaMA-Factory 0.8)
STAMP = re.compile(
    rb"^(?:\[[A-Z]+\|(?:[^\]\s]+\] )?(\d{4})-(\d\d)-(\d\d)|(\d\d)/(\d\d)/(\d{4})) (\d\d):(\d\d):(\d\d)(?!\d)",
    re.MULTILINE,
)


def times_of(
    paths: RunPaths, rows: Sequence[LogRow], elapsed: float | None, *, pointer: bool
) -> tuple[float | None, float | None]:
    """(began, last changed) of a run, epoch seconds; None = not known. rows: the end of its log; elapsed: the seconds
    that they tell; pointer: whether the log is none, but what git-lfs left. OSError when it cannot be looked at."""
    mark = look_mark(paths.named(LOG))
    if mark is None:
        return None, None
    changed = mark[0] / 1e9
    if pointer or (was_copied(paths.named(LOG), mark, rows) and not has_own_times(paths, changed, elapsed)):
        return first_stamp(paths, changed), None
    return (None if elapsed is None else changed - elapsed), changed


def has_own_times(paths: RunPaths, changed: float, elapsed: float | None) -> bool:
    """Whether the files of a copy have the times they were written at: some are as much older than the log as a run of
    `elapsed` seconds leaves them. A copy without times has all of them at once."""
    with os.scandir(paths.root) as found:
        oldest = min((entry.stat(follow_symlinks=False).st_mtime for entry in found), default=changed)
    return elapsed is not None and changed - oldest > max(SLACK_S, elapsed / 2 - WRITTEN_S)


def first_stamp(paths: RunPaths, changed: float) -> float | None:
    """The first time that the run's output tells, taken for one of this machine's zone; None where it tells none, or
    one after the log was last `changed`. OSError when it cannot be read."""
    for path in (paths.console, paths.running_log):
        try:
            found = STAMP.search(read_edges(path, HEAD)[0])
        except OSError as error:
            if is_absent(error):
                continue
            raise
        when = None if found is None else stamp_of(*found.groups())
        if when is not None and when <= changed + ZONES_S:
            return when
    return None


def stamp_of(*parts: bytes | None) -> float | None:
    """Epoch seconds of year, month, day; or month, day, year; and hour, minute, second."""
    year, month, day, other_month, other_day, other_year, hour, minute, second = (
        int(part or 0) for part in parts
    )
    try:
        return datetime(year or other_year, month or other_month, day or other_day, hour, minute, second).timestamp()
    except (ValueError, OverflowError):
        return None
