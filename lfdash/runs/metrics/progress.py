"""How far a run is, in one line, by the last rows of its trainer log."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress, islice

import numpy as np

from lfdash.runs.log_reader import LogRow
from lfdash.runs.metrics.launches import last_launch
from lfdash.runs.metrics.line import number, seconds

RECENT = 20  # rows from which speed, remaining time and rhythm are taken
FEWEST = 4  # lines that make a rhythm


@dataclass(frozen=True)
class Rhythm:
    """How a launch steps, by its newest lines. step_s: usual seconds of a step. line_s: usual seconds between two
    lines of the log; longest_s: the longest of these pauses, with what evaluations and saving took. last_s: when the
    newest line came, seconds since the training began."""

    step_s: float
    line_s: float
    longest_s: float
    last_s: float = 0.0


@dataclass(frozen=True)
class Progress:
    """How far a run is; None where the log does not say.

    percent: 0-100. elapsed_s, remaining_s: seconds. loss: the newest training loss. tokens_per_s: recent speed.
    """

    step: int | None = None
    total: int | None = None
    percent: float | None = None
    epoch: float | None = None
    elapsed_s: float | None = None
    remaining_s: float | None = None
    loss: float | None = None
    tokens_per_s: float | None = None
    rhythm: Rhythm | None = None


def is_bare(row: LogRow) -> bool:
    """Whether this is a line of a training without a loss: the one that ends it, or, with `eval_on_each_dataset`, that
    of an evaluation, whose losses have names that LLaMA-Factory's log does not know. The lines of a prediction have no
    epoch."""
    return "loss" not in row and "eval_loss" not in row and "epoch" in row


def newest(rows: Sequence[LogRow], key: str) -> float | None:
    """The last number under `key`; None when there is none (NaN is one)."""
    for row in reversed(rows):
        if isinstance(row.get(key), int | float):
            return number(row[key])
    return None


def progress(rows: Sequence[LogRow]) -> Progress:
    """How far the newest launch in `rows` is (the last rows of a log are enough)."""
    return progress_in(rows)


def progress_in(rows: Sequence[LogRow], elapsed: float | None = None) -> Progress:
    """As `progress`. elapsed: as for `progress_of`."""
    launch = last_launch(rows)
    return progress_of(launch, elapsed, resumed=len(launch) < len(rows))


def progress_of(rows: Sequence[LogRow], elapsed: float | None = None, *, resumed: bool = False) -> Progress:
    """How far a launch is, by its last rows. elapsed: seconds since its start, where that is known; the log's own begin
    with the training. resumed: whether there was a launch before it.

    Steps count as far as any line says: an evaluation's last line goes back to 0. Speed and remaining time
    are taken from the last 20 training lines: LLaMA-Factory's own are wrong after a resume, where all steps
    and tokens since step 0 are divided by the time of this launch.
    """
    steps = [number(row.get("current_steps")) for row in rows]
    known = known_steps(rows, steps)
    if not all(known):
        rows, steps = list(compress(rows, known)), list(compress(steps, known))
    if not rows:
        return Progress()
    step = int(max(steps))
    last = newest(rows, "total_steps")
    last = last if last is not None and math.isfinite(last) and last > 0 else None
    total = None if last is None else int(last)
    if elapsed is None:
        elapsed = max((value for value in map(seconds, rows) if math.isfinite(value)), default=None)
    speed, remaining = pace(rows, step, total, resumed=resumed)
    return Progress(
        step=step,
        total=total,
        percent=min(100.0, 100.0 * step / last) if last else None,
        epoch=newest([row for row in rows if row["current_steps"] != 0], "epoch"),
        elapsed_s=elapsed,
        remaining_s=remaining,
        loss=newest(rows, "loss"),
        tokens_per_s=speed,
        rhythm=rhythm_of(rows),
    )


def known_steps(rows: Sequence[LogRow], steps: Sequence[float]) -> list[bool]:
    """Which lines of a launch stand at a step that may be: 0 to the total. Beyond it there is the one that a trainer
    makes whose checkpoint stood beyond the end: then the launch has no other."""
    totals = [number(row.get("total_steps")) for row in rows]
    beyond = [step > total > 0 for step, total in zip(steps, totals, strict=True)]
    others = {step for step in steps if step > 0}
    one = len(others) == 1  # whatever lines of evaluations go back to 0
    return [math.isfinite(step) and step >= 0 and (one or not far) for step, far in zip(steps, beyond, strict=True)]


def rhythm_of(rows: Sequence[LogRow]) -> Rhythm | None:
    """How a launch steps, by its newest lines; None when there are too few to tell. The median, so that one evaluation
    or one checkpoint among them changes nothing."""
    timed = ((number(row.get("current_steps")), seconds(row)) for row in reversed(rows) if not is_side_line(row))
    newest_first = list(islice((pair for pair in timed if math.isfinite(sum(pair))), RECENT + 1))
    times = np.array([when for _, when in newest_first][::-1])
    if len(times) < FEWEST:
        return None
    pauses = np.maximum(np.diff(times), 0.0)
    # elapsed_time has whole seconds: many lines may share one
    usual = float(np.median(pauses)) or float(pauses.mean()) or 1.0 / len(times)
    steps = (newest_first[0][0] - newest_first[-1][0]) / len(pauses)
    return Rhythm(usual / steps if steps > 0 else usual, usual, float(pauses.max()), float(times[-1]))


def is_side_line(row: LogRow) -> bool:
    """Whether a line stands beside the steps: of an evaluation, or of the end."""
    return "eval_loss" in row or is_bare(row)


def pace(
    rows: Sequence[LogRow], step: int, total: int | None, *, resumed: bool
) -> tuple[float | None, float | None]:
    """(tokens a second, seconds that remain) by the newest training lines, as far as they can be told. One line tells
    a speed only of a launch that was not resumed."""
    remaining = 0.0 if step == total else None
    newest_first = (row for row in reversed(rows) if "loss" in row and math.isfinite(seconds(row)))
    recent = list(islice(newest_first, RECENT))[::-1]
    if len(recent) < 2:
        return (None if resumed else newest(recent, "throughput") or None, remaining)  # 0: none were counted
    spent = seconds(recent[-1]) - seconds(recent[0])
    steps, tokens = (
        number(recent[-1].get(key)) - number(recent[0].get(key)) for key in ("current_steps", "total_tokens")
    )
    if spent <= 0:
        return None, remaining
    if remaining is None and total is not None and steps > 0:
        remaining = (total - step) * spent / steps
    return (tokens / spent if tokens > 0 else None), remaining
