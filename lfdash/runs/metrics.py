"""Rows of a trainer log -> columns to draw and one line of progress."""

from __future__ import annotations

import math
import re
import sys
from array import array
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from lfdash.files import FileMark, file_mark, read_json
from lfdash.runs.log_reader import Cursor, LogRow, read_lines, read_new, skipped
from lfdash.runs.paths import RunPaths

Column = npt.NDArray[np.float64]

# key in trainer_log.jsonl (train/callbacks.py, LogCallback) -> column
COLUMNS = {
    "loss": "loss",
    "eval_loss": "eval_loss",
    "lr": "learning_rate",
    "learning_rate": "learning_rate",  # until LLaMA-Factory 0.9
    "epoch": "epoch",
    "accuracy": "accuracy",
    "reward": "reward",
    "total_tokens": "tokens",
    "vram_allocated": "vram_allocated",
    "vram_reserved": "vram_reserved",
}
DERIVED = ("tokens_per_s", "grad_norm")
PIECE = 1 << 22  # bytes of a log that are read at once
LARGEST_STATE = 1 << 26  # bytes of a trainer_state.json that is read
MOST_DIGITS = 20  # of a part of a time: a spoiled log may have thousands
ELAPSED = re.compile(r"(?:(\d+) days?, )?(\d+):(\d\d):(\d\d)").fullmatch
RECENT = 20  # rows from which speed, remaining time and rhythm are taken
FEWEST = 4  # lines that make a rhythm
AHEAD = 1000  # lines of the log that are looked through for one that the console printed
DEAD = 3  # logged steps in a row without a loss that is a number
NAN = math.nan
LARGEST = int(sys.float_info.max)


@dataclass(frozen=True)
class MetricFrame:
    """Columns of equal length, ascending by step, one row a step; NaN where a step has no such value.

    `frame[name]` is there for every known column; `name in frame` says whether it holds any value.
    """

    columns: dict[str, Column]

    def __getitem__(self, name: str) -> Column:
        if name in self.columns:
            return self.columns[name]
        if name not in (*COLUMNS.values(), *DERIVED):
            raise KeyError(name)
        return np.full(len(self), NAN)

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def __len__(self) -> int:
        return len(self.columns["step"])

    @property
    def each_eval(self) -> tuple[str, ...]:
        """The columns of the losses on each of several evaluation datasets."""
        return tuple(sorted(filter(is_each_eval, self.columns)))

    def series(self, name: str) -> tuple[Column, Column]:
        """(steps, values) of one column, without its gaps."""
        known = np.isfinite(self[name])
        return self["step"][known], self[name][known]


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


def number(value: Any) -> float:
    """A logged value as a float; NaN for what is no number, or too large for one."""
    if type(value) is int:
        return float(value) if -LARGEST <= value <= LARGEST else NAN
    return value if isinstance(value, float) else NAN


def seconds(row: LogRow) -> float:
    """Time since this launch's training began.

    From tokens and throughput when both are there (throughput = all tokens so far / that time, exact to a
    millisecond); else from elapsed_time ("1 day, 2:03:04"), whole seconds. NaN when neither can be read.
    """
    tokens, rate = number(row.get("total_tokens")), number(row.get("throughput"))
    if tokens > 0 and rate > 0:
        return tokens / rate
    match = ELAPSED(str(row.get("elapsed_time", "")))
    if match is None:
        return NAN
    days, hours, minutes, rest = (number(int(part)) if len(part) < MOST_DIGITS else NAN for part in match.groups("0"))
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


def is_bare(row: LogRow) -> bool:
    """Whether this is a line of a training without a loss: the one that ends it, or, with `eval_on_each_dataset`, that
    of an evaluation, whose losses have names that LLaMA-Factory's log does not know. The lines of a prediction have no
    epoch."""
    return "loss" not in row and "eval_loss" not in row and "epoch" in row


def is_closing(row: LogRow) -> bool:
    """Whether this can only be a line of a training's end: no loss, at its last step."""
    return "loss" not in row and "eval_loss" not in row and row.get("current_steps") == row.get("total_steps")


def begins_segment(row: LogRow, before: LogRow) -> bool:
    """Whether a launch (a resume, a start over) begins with `row`: steps go back, or the last training ended.

    The last line of an evaluation goes back to step 0 and begins nothing. Several lines without a loss at the last
    step are the evaluations of several datasets, unless the clock began anew.
    """
    step, last = number(row.get("current_steps")), number(before.get("current_steps"))
    if step == 0:
        return False
    if not is_closing(before):
        return step < last
    return step != last or "loss" in row or seconds(row) < seconds(before)


class MetricTable:
    """Grows row by row into the columns of a MetricFrame. Values of one step are merged, the newest wins.

    A launch that begins no later than the first one did is a start over: it replaces what was there. Memory:
    8 bytes a column and step.
    """

    def __init__(self) -> None:
        self._columns: dict[str, array[float]] = {"step": array("d")}
        self._place: dict[float, int] = {}
        self._before: LogRow = {}
        self._timed: tuple[float, float] | None = None  # tokens, seconds of the row before, same launch
        self.trained: list[tuple[float, float]] = []  # step, training loss, as they came
        self.bare: list[tuple[float, float]] = []  # step, epoch of the lines without a loss, as they came
        self._overflown: set[float] = set()  # steps whose gradient norm is no finite number

    def add(self, rows: Sequence[LogRow]) -> None:
        """Takes rows in the order of the file; those without a step are passed over."""
        for row in rows:
            step = number(row.get("current_steps"))
            if not math.isfinite(step):
                continue
            if self._before and begins_segment(row, self._before):
                self._timed = None
                if step <= self._columns["step"][0]:
                    self._columns, self._place = {"step": array("d")}, {}
            self._before = row
            self._put(step, row)

    def _put(self, step: float, row: LogRow) -> None:
        for key, name in COLUMNS.items():
            if key in row:
                self.set(step, name, number(row[key]))
        if "loss" in row:
            self.trained.append((step, number(row["loss"])))
        elif is_bare(row):
            self.bare.append((step, number(row["epoch"])))
        speed = self._speed(row)
        if speed is not None:
            self.set(step, "tokens_per_s", speed)
        if step not in self._place:  # a closing line after a resume with nothing to do
            self._row(step)

    def _speed(self, row: LogRow) -> float | None:
        """Tokens a second since the row before: `throughput` itself is wrong after a resume."""
        tokens, now = number(row.get("total_tokens")), seconds(row)
        if "loss" not in row or not (tokens > 0 and now > 0):
            return None
        before, self._timed = self._timed, (tokens, now)
        if before is None or now <= before[1]:
            return None
        return (tokens - before[0]) / (now - before[1])

    def _row(self, step: float) -> int:
        if step not in self._place:
            self._place[step] = len(self._place)
            for name, column in self._columns.items():
                column.append(step if name == "step" else NAN)
        return self._place[step]

    def set(self, step: float, name: str, value: float) -> None:
        """Puts one value in its place."""
        place = self._row(step)
        if name not in self._columns:
            self._columns[name] = array("d", [NAN]) * len(self._place)
        self._columns[name][place] = value
        if name == "grad_norm":
            (self._overflown.discard if math.isfinite(value) else self._overflown.add)(step)

    def has(self, step: float) -> bool:
        """Whether a line of the log had this step."""
        return step in self._place

    def dead_since(self) -> float | None:
        """The step since which the run has learned nothing, since its loss is no number; None while it may learn.

        transformers logs such a loss as 0 (`logging_nan_inf_filter`): then the gradient norm tells. One such step
        means little (fp16 looks for its scale so), three in a row do.
        """
        dead = []
        for step, loss in reversed(self.trained):
            if math.isfinite(loss) and not (loss == 0 and step in self._overflown):
                break
            dead.append(step)
        return dead[-1] if len(dead) >= DEAD else None

    def frame(self) -> MetricFrame:
        """The columns so far, as copies."""
        columns = {name: np.array(column, dtype=np.float64) for name, column in self._columns.items()}
        step = columns["step"]
        if np.any(np.diff(step) < 0):  # a resume logged steps that lie between older ones
            order = np.argsort(step, kind="stable")
            columns = {name: column[order] for name, column in columns.items()}
        return MetricFrame(columns)


class RunTail:
    """Follows one run's trainer log, and its gradient norms. `frame` holds what the last `poll` found, `dead_since`
    the step since which nothing is learned (see MetricTable)."""

    def __init__(self, paths: RunPaths) -> None:
        self.paths = paths
        self._reset(Cursor())

    def _reset(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._table = MetricTable()
        self._side_values = SideValues(self.paths)
        self.frame = self._table.frame()
        self.dead_since: float | None = None

    def poll(self) -> bool:
        """Reads what is new; whether anything was."""
        changed = self._read()
        if not self._side_values.poll(self._table) and not changed:
            return False
        self.frame = self._table.frame()
        self.dead_since = self._table.dead_since()
        return True

    def _read(self) -> bool:
        """Takes the new rows of the log, a piece at a time: as they are read they take ten times their place in the
        table. Whether there were any, or another log took its place."""
        changed, more = False, True
        while more:
            before = self._cursor
            rows, cursor = read_new(self.paths.trainer_log, before, PIECE)
            replaced = cursor.generation != before.generation
            if replaced:
                self._reset(cursor)
            self._cursor = cursor
            self._table.add(rows)
            changed = changed or replaced or bool(rows)
            more = cursor.offset - (0 if replaced else before.offset) >= PIECE
        return changed


class SideValues:
    """What the trainer log lacks: gradient norms, and the losses of evaluations of several datasets
    (`eval_on_each_dataset`). From the console while a run is alive (a dict a logged step, without its number), and by
    step from trainer_state.json at the end.
    """

    TRAINED = re.compile(rb"\{'loss': '?([^',]+)'?, 'grad_norm': '?([^',]+)'?,")
    EVALUATED = re.compile(rb"\{'(eval_[^']+_loss)': '?([^',]+)'?,.*'epoch': '?([^',}]+)")

    def __init__(self, paths: RunPaths) -> None:
        self.paths = paths
        self._cursor = Cursor()
        self._matched = 0  # of the table's training rows
        self._waiting: deque[tuple[float, float]] = deque()  # loss, norm
        self._seen = 0  # of the table's lines without a loss
        self._evaluated: deque[tuple[str, float, float]] = deque()  # name, loss, epoch
        self._state: FileMark | None = None

    def poll(self, table: MetricTable) -> bool:
        """Puts what is new into the table; whether anything was."""
        ahead = skipped(self.paths.console, self._cursor)
        if ahead is not None:  # what was printed before is told by trainer_state.json
            self._cursor, self._matched, self._seen = ahead, len(table.trained), len(table.bare)
            self._waiting.clear()
            self._evaluated.clear()
        lines, self._cursor = read_lines(self.paths.console, self._cursor)
        for line in lines:
            match = self.TRAINED.search(line)
            if match:
                self._waiting.append((to_float(match[1]), to_float(match[2])))
            elif b"_loss'" in line and (match := self.EVALUATED.search(line)):
                name = match[1].decode("utf-8", "replace")
                self._evaluated.append((name, to_float(match[2]), to_float(match[3])))
        return self._match(table) | self._match_evaluated(table) | self._read_state(table)

    def _match(self, table: MetricTable) -> bool:
        """The console rounds the loss to four digits: the next row with such a loss is the one."""
        changed = False
        while self._waiting and self._matched < len(table.trained):
            loss, norm = self._waiting.popleft()
            for place in range(self._matched, min(self._matched + AHEAD, len(table.trained))):
                step, value = table.trained[place]
                if math.isclose(value, loss, rel_tol=2e-3):
                    self._matched = place + 1
                    table.set(step, "grad_norm", norm)
                    changed = True
                    break
        return changed

    def _match_evaluated(self, table: MetricTable) -> bool:
        """The console rounds the epoch to four digits; the datasets of one evaluation share a step."""
        changed = False
        while self._evaluated and self._seen < len(table.bare):
            name, loss, epoch = self._evaluated.popleft()
            for place in range(self._seen, min(self._seen + AHEAD, len(table.bare))):
                step, when = table.bare[place]
                if math.isclose(when, epoch, rel_tol=2e-3):
                    self._seen = place
                    table.set(step, name, loss)
                    changed = True
                    break
        return changed

    def _read_state(self, table: MetricTable) -> bool:
        seen = file_mark(self.paths.trainer_state)
        if seen is None or seen == self._state or seen[1] > LARGEST_STATE:
            return False
        history = read_json(self.paths.trainer_state).get("log_history")
        if not isinstance(history, list):
            return False
        self._state = seen
        for entry in history:
            # a run that goes on from another's checkpoint has that one's history before its own steps
            if isinstance(entry, dict) and table.has(step := number(entry.get("step"))):
                for name in entry:
                    if name == "grad_norm" or is_each_eval(name):
                        table.set(step, name, number(entry[name]))
        return True


def is_each_eval(name: str) -> bool:
    """Whether this is the column of the losses on one of several evaluation datasets: eval_<dataset>_loss."""
    return name.startswith("eval_") and name.endswith("_loss") and name != "eval_loss"


def to_float(text: bytes) -> float:
    """A printed number; NaN when it is none."""
    try:
        return float(text)
    except ValueError:
        return NAN


# -- one line of progress -------------------------------------------------------------------------------


def last_segment(rows: Sequence[LogRow]) -> list[LogRow]:
    """The rows of the newest launch among `rows`."""
    for place in range(len(rows) - 1, 0, -1):
        if begins_segment(rows[place], rows[place - 1]):
            return list(rows[place:])
    return list(rows)


def newest(rows: Sequence[LogRow], key: str) -> float | None:
    """The last number under `key`; None when there is none (NaN is one)."""
    for row in reversed(rows):
        if isinstance(row.get(key), int | float):
            return number(row[key])
    return None


def progress(rows: Sequence[LogRow]) -> Progress:
    """How far the newest launch in `rows` is (the last rows of a log are enough)."""
    return progress_of(last_segment(rows))


def progress_of(rows: Sequence[LogRow], elapsed: float | None = None) -> Progress:
    """How far a launch is, by its last rows. elapsed: seconds since its start, where that is known; the log's own begin
    with the training.

    Steps count as far as any line says: an evaluation's last line goes back to 0. Speed and remaining time
    are taken from the last 20 training lines: LLaMA-Factory's own are wrong after a resume, where all steps
    and tokens since step 0 are divided by the time of this launch.
    """
    steps = [number(row.get("current_steps")) for row in rows]
    if not all(map(math.isfinite, steps)):
        rows = [row for row, step in zip(rows, steps, strict=True) if math.isfinite(step)]
        steps = [step for step in steps if math.isfinite(step)]
    if not rows:
        return Progress()
    step = int(max(steps))
    last = newest(rows, "total_steps")
    total = int(last) if last and math.isfinite(last) else None
    if elapsed is None:
        elapsed = max((value for value in map(seconds, rows) if math.isfinite(value)), default=None)
    speed, remaining = pace(rows, step, total)
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


def pace(rows: Sequence[LogRow], step: int, total: int | None) -> tuple[float | None, float | None]:
    """(tokens a second, seconds that remain) by the newest training lines, as far as they can be told."""
    remaining = 0.0 if step == total else None
    newest_first = (row for row in reversed(rows) if "loss" in row and math.isfinite(seconds(row)))
    recent = list(islice(newest_first, RECENT))[::-1]
    if len(recent) < 2:
        return (newest(recent, "throughput"), remaining)
    spent = seconds(recent[-1]) - seconds(recent[0])
    steps, tokens = (
        number(recent[-1].get(key)) - number(recent[0].get(key)) for key in ("current_steps", "total_tokens")
    )
    if spent <= 0:
        return None, remaining
    if remaining is None and total is not None and steps > 0:
        remaining = (total - step) * spent / steps
    return (tokens / spent if tokens > 0 else None), remaining


# -- drawing --------------------------------------------------------------------------------------------


def smooth(values: Column) -> Column:
    """Exponential mean over a series without gaps; the longer the series, the smoother.

    The weight of the past grows with the logarithm of the length from about 0.05 to 0.9 (LLaMA-Factory's
    plots follow the same curve: weight = 1.8 * (logistic(0.05 * n) - 0.5)).
    """
    if len(values) == 0:
        return values.copy()
    weight = 1.8 * (1.0 / (1.0 + math.exp(-0.05 * len(values))) - 0.5)
    result = np.empty_like(values, dtype=np.float64)
    last = float(values[0])
    for place, value in enumerate(values.tolist()):
        last = last * weight + (1.0 - weight) * value
        result[place] = last
    return result


def downsample(x: Column, y: Column, n: int) -> tuple[Column, Column]:
    """At most `n` (>= 2) points that look the same: the smallest and the largest of each of n // 2 stretches."""
    if len(x) <= n:
        return x, y
    edges = np.linspace(0, len(x), n // 2 + 1).astype(int)[:-1]
    stretch = np.repeat(np.arange(len(edges)), np.diff(np.append(edges, len(x))))
    order = np.lexsort((y, stretch))  # within each stretch by value
    ends = np.append(edges[1:], len(x)) - 1
    chosen = np.unique(np.concatenate((order[edges], order[ends])))
    return x[chosen], y[chosen]
