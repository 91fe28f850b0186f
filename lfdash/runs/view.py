"""A run as a page shows it: judged from what lies in its folder and what the launcher says."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lfdash.files import NOT_THERE, look_mark, readable
from lfdash.jobs.kinds import DEFAULT, named
from lfdash.jobs.resources import ResourceRequest
from lfdash.runs.console import collapse, last_error
from lfdash.runs.log_reader import read_last, tail_bytes
from lfdash.runs.metadata import kind_of_plain
from lfdash.runs.metrics.launches import last_launch
from lfdash.runs.metrics.progress import RECENT, Progress, progress, progress_in
from lfdash.runs.metrics.whole import Whole
from lfdash.runs.notes import NONE, Notes
from lfdash.runs.notes import read as read_notes
from lfdash.runs.paths import ADAPTERS, LOG, NOTES, STATE, WEIGHTS, Beginning, RunPaths
from lfdash.runs.plain import YOUNG_S, is_pointer, judge_plain, traces_of
from lfdash.runs.plain_times import first_stamp, times_of
from lfdash.runs.record import TERMINAL, Exit, RunRecord, RunState, Scheduled, Status, Why
from lfdash.runs.steps import read_steps

FEW_LINES = 2048  # bytes of the log of a run that is over
LAST_LINES = 6144  # bytes of a log that nearly always tell how far it is
CHECKPOINT = "checkpoint-"


@dataclass(frozen=True)
class Reason:
    """Why a job is held or waits. The text of `waits.<code>` of the locale is filled with params."""

    code: str
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Stall:
    """A run that goes on, but not forward: no step for `quiet_s` seconds (rounded down), usually one each `usual_s`."""

    quiet_s: float
    usual_s: float


REFUSED = "refused_"  # start of a reason that is a refusal of the launcher
WRITTEN = ("user", "after_failure", "never_begins")  # reasons that are kept with the job
FROM_ELSEWHERE = ("other_workspace", "other_cli")  # reasons of a job that another dashboard made


@dataclass(frozen=True)
class Waiting:
    """How a job stands in the queue. position: 1 is next; held: why it is not to be started; waits: what it waits
    for; behind: the runs it waits for that do not step any more. settings: the training_args.yaml that it will have."""

    position: int
    ask: ResourceRequest
    held: Reason | None = None
    waits: Reason | None = None
    behind: tuple[tuple[str, Stall], ...] = ()
    settings: str = ""

    @property
    def can_release(self) -> bool:
        """Whether it is held by what was written down (by hand, after a failure, a refused start), and not by what it
        asks for: that a release would not change."""
        code = self.held.code if self.held else ""
        return code in WRITTEN or code.startswith(REFUSED)

    @property
    def can_requeue(self) -> bool:
        """Whether it was made for another workspace or LLaMA-Factory, and can be made one of this dashboard."""
        return self.held is not None and self.held.code in FROM_ELSEWHERE


@dataclass(frozen=True)
class Saved:
    """What lies in the run's folder.

    model: "adapter" or "model" (whole weights) at top level, or None. step: the step it was saved at, where known, also
    of a copy without its weights (0: a stop before the first step saved an untrained one). checkpoints: their steps,
    ascending.
    """

    model: str | None = None
    step: int | None = None
    checkpoints: tuple[int, ...] = ()


NOTHING_SAVED = Saved()


@dataclass(frozen=True)
class RunView:
    """A run as a page shows it.

    path: absolute folder; output_dir: the same relative to the workspace. record: None for a run of the plain
    CLI (read-only). exit_code: None while alive or when nobody saw it; -N = killed by signal N. error: the
    exception line of one that failed. awaiting: while STOPPING, what is waited for: "data" (loading and
    tokenizing cannot be interrupted), "save" (the step ends, then the model is saved), "evaluation" (the last
    evaluation runs to its end), "term", "kill". started, ended: epoch seconds. lost: while LOST, why; see Status.
    waiting: how it stands in the queue, for a job that waits (its folder may not exist yet). others: earlier attempts
    that live beside the newest, which must not be. unseen: why the last look could not see the run; then the view is
    that of the look before. ranks: while STOPPING
    under torchrun, (those that live, those there were). stalled: while STOPPING, whether there was no sign of life
    for so long that a harder step should be offered (stall.py). stall: while RUNNING, that it does not step any more;
    None also where that is not known: before there are some lines to tell the usual pace. plain_kind: the kind of a run
    of the plain CLI, from what lies in its folder (`metadata.kind_of_plain`). scheduled: what the scheduler says of it
    that has started it, while it is not over.
    """

    run_id: str
    name: str
    path: Path
    output_dir: str
    state: RunState
    record: RunRecord | None = None
    attempt: int = 1
    progress: Progress = field(default_factory=Progress)
    exit_code: int | None = None
    error: str | None = None
    saved: Saved = field(default_factory=Saved)
    awaiting: str | None = None
    started: float | None = None
    ended: float | None = None
    lost: Why | None = None
    waiting: Waiting | None = None
    others: tuple[int, ...] = ()
    unseen: str | None = None
    notes: Notes = NONE
    ranks: tuple[int, int] | None = None
    stalled: bool = False
    stall: Stall | None = None
    plain_kind: str = DEFAULT.name
    scheduled: Scheduled | None = None

    @property
    def target(self) -> str:
        """The target that it is on, or waits for; "" for this machine."""
        return self.record.launcher.partition(":")[2] if self.record is not None else ""

    @property
    def pending(self) -> bool:
        """Whether it waits in the queue of the scheduler that it was given to."""
        return self.state is RunState.STARTING and self.scheduled is not None and self.scheduled.waits

    @property
    def never_began(self) -> bool:
        """Whether its newest attempt is over, and the scheduler that it was given to has begun nothing of it: the
        launcher then tells an end without a start."""
        end = self.record.last.exit if self.record is not None else None
        ended = end is not None and end.code is None and end.started is None
        return bool(self.target) and self.state in (RunState.STOPPED, RunState.FAILED) and ended

    @property
    def kind(self) -> str:
        """The name of its kind of job."""
        return self.record.kind if self.record else self.plain_kind

    @property
    def paths(self) -> RunPaths:
        """The names of the files in its folder."""
        return RunPaths(self.path)

    @property
    def spoiled(self) -> bool:
        """Whether its run.json cannot be read (`error` says why), so that the other files of its folder tell of it."""
        told = (RunState.FAILED, RunState.STOPPED) if self.record else (RunState.UNKNOWN,)
        return self.error is not None and self.state not in told

    @property
    def elapsed_s(self) -> float | None:
        """Seconds that all attempts took, as far as known: `progress` tells of the newest alone."""
        parts = [self.progress.elapsed_s]
        if self.record is not None:
            parts += [a.exit.seconds for a in self.record.attempts if a.exit is not None and a.number < self.attempt]
        known = [part for part in parts if part is not None]
        return sum(known) if known else None

    def with_whole(self, whole: Whole) -> RunView:
        """The same, with what is known of the whole training where that is what counts: the speed of a run that is
        over, instead of its last one; the time of all launches, where the log alone knows of them."""
        progress = self.progress
        if self.state in TERMINAL:
            progress = replace(progress, tokens_per_s=whole.tokens_per_s)
        if self.record is None and whole.seconds is not None:
            progress = replace(progress, elapsed_s=whole.seconds)
        return self if progress == self.progress else replace(self, progress=progress)

    @property
    def ended_early(self) -> bool:
        """Whether a training has finished before its last planned step: by early stopping, or by whoever stopped a run
        of the plain CLI, of which nobody here knows. Of a log whose rest is not here the saved state tells more."""
        step, total = self.progress.step, self.progress.total
        if step is None or not total or self.state is not RunState.SUCCEEDED or not named(self.kind).trains:
            return False
        return max(step, self.saved.step or 0) < total

    @property
    def shown_percent(self) -> float | None:
        """How much of it is done, 0 to 100: what has finished is done, whatever its log has of it."""
        over = self.state is RunState.SUCCEEDED and not self.ended_early
        return 100.0 if over else self.progress.percent

    @property
    def past_end(self) -> bool:
        """Whether the checkpoint that it resumed stood at the end already, so that nothing was left to train.

        LLaMA-Factory's trainer takes one step all the same where the checkpoint is beyond the end ("3 / 2"), and none
        where it is at the end: then its log has no loss.
        """
        step, total = self.progress.step, self.progress.total
        if step is None or total is None or self.state is not RunState.SUCCEEDED:
            return False
        return step > total or (step == total and self.attempt > 1 and self.progress.loss is None)


def plain_id(workspace: Path, path: Path) -> str:
    """A stable id for a run of the plain CLI: from its place."""
    return "cli-" + hashlib.sha256(relative(workspace, path).encode()).hexdigest()[:12]


def relative(workspace: Path, path: Path) -> str:
    """The folder as users write it: relative to the workspace, or absolute when it lies elsewhere."""
    top, place = f"{workspace}/", str(path)
    if place.startswith(top):
        return readable(place[len(top) :])
    return readable("." if path == workspace else place)


def just_ended(kind: str, state: RunState) -> bool:
    """Whether a run served until it was stopped: that is how such a kind ends, so nothing was cut off."""
    return state is RunState.STOPPED and named(kind).serves


def judge(status: Status, *, complete: bool) -> RunState:
    """The state of an attempt. complete: whether its training reached its last step and wrote its results.

    Exit code 0 does not tell stopped from finished, so the wish counts, unless it came too late. An exit
    code that nobody saw is judged by the results on disk. One that waits elsewhere is STARTING: QUEUED is our own
    queue's, which can still change its mind.
    """
    if status.phase in ("pending", "starting", "running"):
        if status.wish:
            return RunState.STOPPING
        return RunState.RUNNING if status.phase == "running" else RunState.STARTING
    if status.exit is None:
        if complete:
            return RunState.SUCCEEDED
        return RunState.STOPPED if status.wish else RunState.LOST
    if status.exit.code == 0 and complete:
        return RunState.SUCCEEDED
    if status.exit.stop or status.exit.by:
        return RunState.STOPPED
    return RunState.SUCCEEDED if status.exit.code == 0 else RunState.FAILED


def is_complete(paths: RunPaths, beginning: Beginning) -> bool:
    """Whether the training of an attempt reached its last step and saved: trainer_state.json at top level is
    written at the end, also of a stopped one."""
    if not beginning.has_written(paths.root, STATE):
        return False
    step, most = read_steps(paths.named(STATE))
    return step is not None and most is not None and step >= most > 0


def read_saved(paths: RunPaths) -> Saved:
    """What lies in the folder now. OSError when that cannot be known."""
    try:
        names = os.listdir(paths.root)
    except OSError as error:
        if error.errno in NOT_THERE:
            return NOTHING_SAVED
        raise
    numbers = [name[len(CHECKPOINT) :] for name in names if name.startswith(CHECKPOINT)]
    checkpoints = tuple(sorted(int(number) for number in numbers if number.isdecimal()))
    model = "model" if not WEIGHTS.isdisjoint(names) else None
    model = "adapter" if not ADAPTERS.isdisjoint(names) else model
    return Saved(model, read_steps(paths.named(STATE))[0] if STATE in names else None, checkpoints)


def read_error(paths: RunPaths, ended: Exit, start: int) -> str | None:
    """Why the newest attempt failed, in one line: why it could not start, else its exception, else the signal that
    killed it, else the last line of its output. start: the byte of console.log at which that begins."""
    if ended.error:
        return ended.error
    found = last_error(paths.console, start)
    if found or ended.code is None:
        return found
    if ended.code < 0:
        return f"{signal.strsignal(-ended.code) or 'signal'} ({signal_name(-ended.code)})"
    lines = tail_bytes(paths.console, 1 << 14, start).decode("utf-8", "replace").split("\n")
    return next((text for text in (collapse(line) for line in reversed(lines)) if text), None)


def signal_name(number: int) -> str:
    """SIGSEGV for 11."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def awaiting(status: Status, found: Progress) -> str:
    """What a stop waits for; see RunView."""
    if status.wish in ("term", "kill"):
        return status.wish
    if found.step is None:
        return "data"
    return "evaluation" if found.step == found.total else "save"


def shown_name(record: RunRecord, folder: Path) -> str:
    """The run's name; that of its folder where somebody gave the folder another one (names may have spaces,
    folders of runs have none)."""
    if record.name == folder.name:
        return record.name
    own = Path(record.name).name.replace(" ", "")
    return record.name if own == folder.name.replace(" ", "") else readable(folder.name)


def view_run(
    workspace: Path, paths: RunPaths, record: RunRecord, status: Status, others: tuple[int, ...] = ()
) -> RunView:
    """How a recorded run stands; its record is given with the end of the newest attempt, which is not written down.

    others: earlier attempts that live as well. OSError when something of it cannot be read.
    """
    number, ended = record.last.number, status.exit
    beginning = paths.attempt(number).beginning()
    if known(record):
        state = record.last.state
    else:
        over = status.phase in ("ended", "lost")
        state = judge(status, complete=over and is_complete(paths, beginning))
        if state in TERMINAL and state is not RunState.LOST:
            record = record.with_last(state=state, stop=status.wish, exit=ended)
    elapsed = status.elapsed if ended is None else ended.seconds
    has_log = beginning.has_written(paths.root, LOG)
    found = read_progress(paths.named(LOG), elapsed, over=state in TERMINAL) if has_log else Progress()
    failed = state is RunState.FAILED or (state is RunState.STOPPED and ended is not None and (ended.code or 0) > 0)
    return RunView(
        run_id=record.run_id,
        name=shown_name(record, paths.root),
        path=paths.root,
        output_dir=relative(workspace, paths.root),
        state=state,
        record=record,
        attempt=number,
        others=others,
        progress=timed(found, state, elapsed),
        exit_code=ended.code if ended else None,
        error=read_error(paths, ended, beginning.console_start) if failed and ended else None,
        saved=read_saved(paths),
        awaiting=awaiting(status, found) if state is RunState.STOPPING else None,
        started=record.last.started,
        ended=ended.ended if ended else None,
        lost=status.why if state is RunState.LOST else None,
        ranks=status.ranks,
        scheduled=status.scheduled,
        notes=read_notes(paths.named(NOTES)),
    )


def read_progress(log: str, elapsed: float | None = None, *, over: bool = False) -> Progress:
    """How far a log is: from its last lines, or from more of them where those do not tell. elapsed: as for
    `progress_of`. over: nothing more will come, and a few lines will do for its speed."""
    rows = read_last(log, FEW_LINES if over else LAST_LINES)
    found = progress_in(rows, elapsed)
    told = found.loss is not None and sum(["loss" in row for row in last_launch(rows)]) > (2 if over else RECENT)
    return found if told else progress_in(read_last(log), elapsed)


def timed(found: Progress, state: RunState, elapsed: float | None) -> Progress:
    """Progress with the time since the start (the log's own begins with the training), and none that remains
    for a run that is not training."""
    remaining = found.remaining_s if state is RunState.RUNNING else None
    if found.remaining_s == remaining and (elapsed is None or found.elapsed_s == elapsed):
        return found
    return replace(found, elapsed_s=found.elapsed_s if elapsed is None else elapsed, remaining_s=remaining)


def view_plain(workspace: Path, paths: RunPaths, error: str | None = None) -> RunView:
    """A run that has no record of ours: what its log shows. error: why its run.json is none. OSError when something of
    it cannot be read."""
    if look_mark(paths.named(LOG)) is None:
        return view_unlogged(workspace, paths, error)
    if not os.path.isfile(paths.named(LOG)):  # nor does it keep a job from its device: nobody trains into that
        return view_unknown(workspace, paths.root, f"{LOG} is not a plain file")
    rows = read_last(paths.named(LOG))
    pointer = is_pointer(paths.named(LOG))
    state = RunState.LOST if pointer else judge_plain(traces_of(paths, rows))
    found = progress(rows)
    started, changed = times_of(paths, rows, found.elapsed_s, pointer=pointer)
    return plain(
        workspace, paths, state=state, progress=found, error=error, lost="pointer" if pointer else None,
        saved=read_saved(paths), started=started, ended=changed if state in TERMINAL else None,
    )


def view_unlogged(workspace: Path, paths: RunPaths, error: str | None = None) -> RunView:
    """A run of the plain CLI without a trainer_log.jsonl (places.py, is_unlogged): the state that a training saves at
    its end tells that it finished, and where; what has only begun to log may go on as long as that is young, and then
    nobody knows how it ended. OSError when something of it cannot be read."""
    saved = read_saved(paths)
    step, total = read_steps(paths.named(STATE))
    spoken = look_mark(paths.running_log)
    young = spoken is not None and abs(time.time() - spoken[0] / 1e9) < YOUNG_S
    state = RunState.SUCCEEDED if step is not None else RunState.RUNNING if young else RunState.LOST
    percent = min(100.0, 100.0 * step / total) if step is not None and total else None
    return plain(
        workspace, paths, state=state, progress=Progress(step, total, percent), error=error,
        lost="unlogged" if state is RunState.LOST else None, saved=saved, started=first_stamp(paths, time.time()),
    )


def plain(workspace: Path, paths: RunPaths, **known: Any) -> RunView:
    """A run without a record of ours, with what is known of it beside its place, notes and kind."""
    return RunView(
        run_id=plain_id(workspace, paths.root), name=readable(paths.root.name), path=paths.root,
        output_dir=relative(workspace, paths.root), notes=read_notes(paths.notes), plain_kind=kind_of_plain(paths),
        **known,
    )


def view_unknown(workspace: Path, path: Path, reason: str) -> RunView:
    """A folder of which nothing could be read yet."""
    name, place = readable(path.name), relative(workspace, path)
    return RunView(plain_id(workspace, path), name, path, place, RunState.UNKNOWN, error=reason, unseen=reason)


def view_unseen(workspace: Path, paths: RunPaths, record: RunRecord, reason: str) -> RunView:
    """A run whose record is there, and of which nobody can see how it does: it can be stopped all the same."""
    return RunView(
        record.run_id, shown_name(record, paths.root), paths.root, relative(workspace, paths.root), RunState.UNKNOWN,
        record=record, attempt=record.last.number, error=reason, unseen=reason, started=record.last.started,
    )


def known(record: RunRecord) -> Status | None:
    """The status that the record itself tells: that of an attempt whose end was written down when the next began."""
    last = record.last
    if last.exit is None or last.exit.code is None or last.state not in TERMINAL:
        return None
    return Status("ended", last.exit, last.stop, last.started)
