"""Where a run of the plain CLI stands. Nobody here watches its process: only what it left can tell.

What counts, in this order. While the log is young, the run goes on, unless a results file was written after it
(LLaMA-Factory writes those last), or results or trainer_state.json tell of the last planned step, at which it stands.
Later, and at once of a log that was copied here (it was made in less time than its own lines took), it has finished
when one of these is true, else it is lost, or, of a copy that is young, may go on elsewhere:

- a results file tells the epoch of the log's last line (without an epoch: it was written after the log);
- trainer_state.json at top level, which is written at the end, stands at the log's last step;
- it stands at the end of the planned steps, is no older than the log, and its history has the log's last loss: the rest
  of the log is not here;
- the last line is the one that ends a training: no loss, but an epoch. Early stopping writes it before the last
  planned step, and with `eval_on_each_dataset` evaluations write such lines, too: then it must be at the last step, or
  one more than there were at any step before;
- it is a prediction (its lines have neither loss nor epoch), and the next line would be beyond its end.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from lfdash.files import FileMark, look_json, look_mark, read_edges
from lfdash.runs.born import born
from lfdash.runs.log_reader import LogRow
from lfdash.runs.metrics.launches import last_launch
from lfdash.runs.metrics.line import number, seconds
from lfdash.runs.metrics.progress import is_bare, rhythm_of
from lfdash.runs.paths import LOG, STATE, RunPaths
from lfdash.runs.record import RunState
from lfdash.runs.steps import LARGEST_STATE, read_steps

YOUNG_S = 120.0  # a log that changed that recently belongs to a run that goes on
TIMES = 3.0  # the same for a log that has a line seldom: that many times the longest pause between two
LONG_S = 86400.0  # no log that changed longer ago is young
WRITTEN_S = 5.0  # that lines may come late to a disk, all at once
SLACK_S = 2.0  # files that were copied at once have times in any order
SAME_EPOCH = 0.011  # older versions round it to two digits
PREDICTED = 5  # steps of a prediction between two lines (train/callbacks.py, on_prediction_step)
POINTER = b"version https://git-lfs"  # begins what git-lfs leaves where a file was not fetched
LARGEST_POINTER = 1024  # bytes
RESULTS = ("all_results.json", "train_results.json", "predict_results.json", "eval_results.json")


@dataclass(frozen=True)
class Traces:
    """What a run left. rows: the end of its log. log_age, results_age: seconds since the last change of the log and of
    the newest results file; None = there is none. results_epoch: what the results tell. saved_step: of
    trainer_state.json at top level. goes_beyond: whether that is the state of the same training's end, of which the log
    has only a part. copied: whether the log was made here in less time than its lines took."""

    rows: Sequence[LogRow]
    log_age: float | None = None
    results_age: float | None = None
    results_epoch: float | None = None
    saved_step: int | None = None
    goes_beyond: bool = False
    copied: bool = False


def traces_of(paths: RunPaths, rows: Sequence[LogRow]) -> Traces:
    """Looks at a folder. OSError when something of it cannot be read."""
    now = time.time()
    marks = {name: look_mark(paths.named(name)) for name in (LOG, STATE, *RESULTS)}
    ages = {name: now - mark[0] / 1e9 for name, mark in marks.items() if mark is not None}
    results = [name for name in RESULTS if name in ages]
    epochs = (number(look_json(paths.named(name)).get("epoch")) for name in results)
    saved, planned = read_steps(paths.named(STATE))
    return Traces(
        rows=rows,
        log_age=ages.get(LOG),
        results_age=min((ages[name] for name in results), default=None),
        results_epoch=next((epoch for epoch in epochs if math.isfinite(epoch)), None),
        saved_step=saved,
        goes_beyond=(
            saved is not None and saved == planned and ages.get(STATE, LONG_S) <= ages.get(LOG, 0.0) + SLACK_S
            and has_history(paths, last_launch(rows), saved)
        ),
        copied=ages.get(LOG, LONG_S) < LONG_S and was_copied(paths.named(LOG), marks[LOG], rows),
    )


def has_history(paths: RunPaths, rows: Sequence[LogRow], end: int) -> bool:
    """Whether trainer_state.json, which stands at the planned end, is that of the training whose log stops before: it
    is planned for as many steps, and its history has the newest loss at its step. OSError when it cannot be read."""
    newest = next((row for row in reversed(rows) if "loss" in row), None)
    if newest is None or number(newest.get("total_steps")) != end or not number(newest.get("current_steps")) < end:
        return False
    history = look_json(paths.named(STATE), limit=LARGEST_STATE).get("log_history")
    wanted = number(newest.get("current_steps")), number(newest["loss"])
    return isinstance(history, list) and any(
        isinstance(entry, dict) and (number(entry.get("step")), number(entry.get("loss"))) == wanted
        for entry in reversed(history)
    )


def is_pointer(log: str) -> bool:
    """Whether a log that is there is none, but what git-lfs left in its place. OSError when it cannot be read."""
    mark = look_mark(log)
    return mark is not None and mark[1] <= LARGEST_POINTER and read_edges(log, len(POINTER))[0].startswith(POINTER)


def was_copied(log: str, mark: FileMark | None, rows: Sequence[LogRow]) -> bool:
    """Whether a log was made here in much less time than its own clock took for these lines, so that nobody wrote it
    here while it trained; False where that is not known."""
    clocks = [when for when in map(seconds, last_launch(rows)) if math.isfinite(when)]
    made = born(log) if mark is not None and clocks else None
    return mark is not None and made is not None and mark[0] / 1e9 - made < (clocks[-1] - clocks[0]) / 2 - WRITTEN_S


def judge_plain(traces: Traces) -> RunState:
    """RUNNING, SUCCEEDED or LOST; see above."""
    rows = last_launch(traces.rows)
    written_last = traces.results_age is not None and (
        traces.log_age is None or traces.results_age <= traces.log_age + SLACK_S
    )
    told = traces.results_epoch is not None and fits(traces, rows)
    told = told or (written_last and traces.results_epoch is None)
    finished = bool(rows) and (told or has_ended(traces, rows))
    if not is_young(traces.log_age, rows):
        return RunState.SUCCEEDED if finished else RunState.LOST
    if not traces.copied:
        finished = bool(rows) and ((written_last and fits(traces, rows)) or is_complete(traces, rows))
    return RunState.SUCCEEDED if finished else RunState.RUNNING


def is_young(age: float | None, rows: Sequence[LogRow]) -> bool:
    """Whether a log of that age may belong to a run that goes on; also after a clock that was set back."""
    rhythm = rhythm_of(rows)
    return age is not None and abs(age) < max(YOUNG_S, TIMES * rhythm.longest_s if rhythm else 0.0)


def fits(traces: Traces, rows: Sequence[LogRow]) -> bool:
    """Whether the results are those of the log's end: of the same epoch, where they tell one."""
    if traces.results_epoch is None or not rows:
        return True
    epochs = [number(row["epoch"]) for row in rows if "epoch" in row]
    return bool(epochs) and abs(epochs[-1] - traces.results_epoch) < SAME_EPOCH


def is_complete(traces: Traces, rows: Sequence[LogRow]) -> bool:
    """Whether the log is at its last planned step, and what is written at the very end is there: results of its epoch,
    or the state of that step. Then it is over, however young a copy of the log is."""
    last = rows[-1]
    step, total = number(last.get("current_steps")), number(last.get("total_steps"))
    if not step >= total:
        return False
    return traces.saved_step == step or (traces.results_epoch is not None and fits(traces, rows))


def has_ended(traces: Traces, rows: Sequence[LogRow]) -> bool:
    """Whether the training saved its state at the log's last step, or beyond it at its end; or its last line is the one
    that ends it."""
    last = rows[-1]
    step, total = number(last.get("current_steps")), number(last.get("total_steps"))
    if traces.goes_beyond or (traces.saved_step is not None and traces.saved_step == step):
        return True
    if is_bare(last):
        return step >= total or closes(rows)
    return "loss" not in last and "eval_loss" not in last and step + PREDICTED > total


def closes(rows: Sequence[LogRow]) -> bool:
    """Whether a line without a loss before the last planned step ends the training: the evaluations of several
    datasets have written fewer of them at each step before."""
    bare = Counter(number(row.get("current_steps")) for row in rows if is_bare(row))
    last = number(rows[-1].get("current_steps"))
    return all(bare[last] > count for step, count in bare.items() if step != last)
